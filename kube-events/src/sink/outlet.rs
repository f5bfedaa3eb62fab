//! What a pipeline holds of a sink.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::queue::{Job, Offered, Queue};
use super::spill::Spill;
use super::worker::Worker;
use super::{OutletOptions, Sink, SpillError};
use crate::checkpoint::{Progress, Ticket};
use crate::event::EnhancedEvent;
use crate::telemetry::SinkMetrics;

/// How long after its time an outlet may take to put the rest on disk.
const LEAVE: Duration = Duration::from_secs(5);

/// Tells a source's progress, once, that an event was dealt with. Without one there is nothing to tell.
///
/// Dropped without being told, the event counts as not dealt with, so that a restart brings it again.
#[derive(Debug, Default)]
pub struct Ack(Option<(Progress, Ticket)>);

impl Ack {
    /// For an event of this ticket.
    pub fn new(progress: Progress, ticket: Ticket) -> Self {
        Self(Some((progress, ticket)))
    }

    /// For an event that nobody keeps the place of.
    pub fn none() -> Self {
        Self(None)
    }

    /// It was delivered, kept on disk, or given up by rule.
    pub fn acknowledge(self) {
        if let Some((progress, ticket)) = self.0 {
            progress.acknowledge(&ticket);
        }
    }
}

/// Counters of an outlet, since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutletStatus {
    /// Events that wait in memory.
    pub queued: usize,
    /// Records that wait on disk.
    pub spilled: u64,
    /// Records that the sink has taken.
    pub delivered: u64,
    /// Events dropped: the queue or the disk was full, or a batch was given up.
    pub dropped: u64,
    /// Events that can't be encoded, and records that the sink has refused.
    pub refused: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Why the last attempt failed, while none went well since.
    pub last_error: Option<Arc<str>>,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) spilled: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) last_error: Mutex<Option<Arc<str>>>,
}

/// What was left when an outlet ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Events that were neither delivered nor kept on disk. They were not acknowledged: with a checkpoint, the next
    /// start brings them again.
    pub undelivered: usize,
    /// Records on disk, for the next process.
    pub spilled: u64,
}

/// A sink with a queue before it, and a task that empties it. Dropping it stops the task; [`shutdown`](Self::shutdown)
/// delivers what waits first.
pub struct Outlet {
    name: Arc<str>,
    kind: &'static str,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    metrics: SinkMetrics,
    /// Told how long it may take to end.
    stop: watch::Sender<Option<Duration>>,
    dropped: CancellationToken,
    task: AbortHandle,
    drained: watch::Receiver<Option<Drained>>,
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl Outlet {
    /// Begins, on the runtime that it is called on. The name is the receiver's, for logs and metrics.
    pub async fn spawn(name: impl Into<Arc<str>>, sink: impl Sink, options: OutletOptions) -> Result<Self, SpillError> {
        Self::spawn_boxed(name.into(), Arc::new(sink), options).await
    }

    /// The same, of a sink that is shared or chosen at run time.
    pub async fn spawn_boxed(name: Arc<str>, sink: Arc<dyn Sink>, options: OutletOptions) -> Result<Self, SpillError> {
        let spill = match &options.spill {
            Some(options) => Some(Spill::open(options).await?),
            None => None,
        };
        let queue = Arc::new(Queue::new(options.queue, options.policy, spill.is_some()));
        let counters = Arc::new(Counters::default());
        counters.spilled.store(spill.as_ref().map_or(0, Spill::len), Ordering::Relaxed);
        let (stop, stopped) = watch::channel(None);
        let kind = sink.kind();
        let worker = Worker::new(Arc::clone(&name), sink, options, Arc::clone(&queue), spill, Arc::clone(&counters));
        let dropped = CancellationToken::new();
        let over = dropped.clone();
        let (done, drained) = watch::channel(None);
        let task = tokio::spawn(async move {
            tokio::select! {
                drained = worker.run(stopped) => drop(done.send_replace(Some(drained))),
                () = over.cancelled() => {}
            }
        });
        let task = task.abort_handle();
        let metrics = SinkMetrics::new(&name);
        Ok(Self { name, kind, queue, counters, metrics, stop, dropped, task, drained })
    }

    /// The receiver's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of the sink.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Hands over an event: at once, unless the queue is full and blocks.
    pub async fn offer(&self, event: EnhancedEvent, ack: Ack) {
        match self.queue.offer(Job { event, ack }).await {
            // One that comes after the end is not acknowledged: the next start brings it again.
            Offered::Taken | Offered::Closed => {}
            Offered::Dropped(job) => {
                let before = self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                self.metrics.dropped(1, "queue_full");
                if before == 0 {
                    tracing::warn!(sink = %self.name, "events are dropped: they come faster than the sink takes them");
                }
                job.ack.acknowledge();
            }
        }
    }

    /// What became of events so far.
    pub fn status(&self) -> OutletStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        OutletStatus {
            queued: self.queue.len(),
            spilled: count(&counters.spilled),
            delivered: count(&counters.delivered),
            dropped: count(&counters.dropped),
            refused: count(&counters.refused),
            failures: count(&counters.failures),
            last_error: counters.last_error.lock().clone(),
        }
    }

    /// Takes no more events, delivers what waits for so long at most, and keeps the rest on disk, if there is a spill.
    /// Further calls wait for the first one, and tell the same.
    pub async fn shutdown(&self, within: Duration) -> Drained {
        self.queue.close();
        self.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            stop.get_or_insert(within);
            is_first
        });
        // A sink that does not let go is left behind.
        let mut drained = self.drained.clone();
        let told = timeout(within + LEAVE, drained.wait_for(Option::is_some)).await;
        if let Ok(Ok(drained)) = told {
            return drained.unwrap_or_default();
        }
        self.task.abort();
        Drained { undelivered: self.queue.len(), spilled: self.status().spilled }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.queue.close();
        self.dropped.cancel();
    }
}
