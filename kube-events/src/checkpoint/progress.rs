//! A tracker that the source's reader, the sinks and the checkpoint share.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Checkpoint, CheckpointError, EventsApi, Full, Marks, Position, Ticket, Tracker};
use crate::pace::Backoff;
use crate::telemetry;

/// A [`Tracker`] that is shared: whoever reads the source begins positions, sinks acknowledge them, and
/// [`save`](Self::save) keeps the marks. Clones are the same.
///
/// ```
/// use kube_events::checkpoint::{EventsApi, Memory, Position, Progress, SaveOptions};
/// # use kube_events::checkpoint::Checkpoint;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let progress = Progress::new(EventsApi::Core, 10_000);
/// let position = Position { partition: "".into(), resource_version: Some("7".into()), time: None };
/// let ticket = progress.begin(&position, 1).await;
/// progress.acknowledge(&ticket);
///
/// let memory = Memory::default();
/// // In a program: until it is told to stop.
/// progress.save(&memory, &SaveOptions::default(), async {}).await?;
/// assert_eq!(memory.load().await?, Some(progress.marks()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Progress {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tracker: Mutex<Tracker>,
    /// Told whenever the tracker has moved.
    moved: watch::Sender<()>,
}

/// How marks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaveOptions {
    /// The least time between two writes; 5 s by default. A crash repeats what was acknowledged within it.
    pub interval: Duration,
    /// The longest pause after a failure; 1 min by default.
    pub max_backoff: Duration,
    /// What the last write, when it is stopped, may take; 5 s by default.
    pub last_write: Duration,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            max_backoff: Duration::from_mins(1),
            last_write: Duration::from_secs(5),
        }
    }
}

impl Progress {
    /// See [`Tracker::new`].
    pub fn new(api: EventsApi, limit: usize) -> Self {
        let inner = Inner { tracker: Mutex::new(Tracker::new(api, limit)), moved: watch::Sender::new(()) };
        Self { inner: Arc::new(inner) }
    }

    /// See [`Tracker::resume`].
    pub fn resume(&self, marks: &Marks) {
        self.inner.tracker.lock().resume(marks);
    }

    /// The marks before which everything is acknowledged.
    pub fn marks(&self) -> Marks {
        self.inner.tracker.lock().marks().clone()
    }

    /// How many positions wait.
    pub fn waiting(&self) -> usize {
        self.inner.tracker.lock().waiting()
    }

    /// Begins a position; see [`Tracker::begin`].
    pub fn try_begin(&self, position: &Position, acknowledgements: u32) -> Result<Ticket, Full> {
        let (ticket, waiting) = {
            let mut tracker = self.inner.tracker.lock();
            (tracker.begin(position, acknowledgements)?, tracker.waiting())
        };
        self.tell(waiting);
        Ok(ticket)
    }

    /// Begins a position, when there is room for it: sinks that fall behind hold up whoever calls this.
    pub async fn begin(&self, position: &Position, acknowledgements: u32) -> Ticket {
        let mut moved = self.inner.moved.subscribe();
        loop {
            if let Ok(ticket) = self.try_begin(position, acknowledgements) {
                return ticket;
            }
            // The sender is in `self`.
            let _ = moved.changed().await;
        }
    }

    /// One sink has dealt with a position; see [`Tracker::acknowledge`].
    pub fn acknowledge(&self, ticket: &Ticket) {
        let waiting = {
            let mut tracker = self.inner.tracker.lock();
            tracker.acknowledge(ticket);
            tracker.waiting()
        };
        self.tell(waiting);
    }

    fn tell(&self, waiting: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge of what fits in memory")]
        gauge!(telemetry::CHECKPOINT_WAITING).set(waiting as f64);
        self.inner.moved.send_replace(());
    }

    /// Keeps the marks whenever they have moved, not more often than the interval, and a last time when `stop` is
    /// ready. Failures are counted, logged and tried again, with what is newest then; only that of the last write is
    /// returned.
    pub async fn save(
        &self,
        checkpoint: &dyn Checkpoint,
        options: &SaveOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<(), CheckpointError> {
        let mut moved = self.inner.moved.subscribe();
        moved.mark_changed();
        let first = options.interval.max(Duration::from_secs(1));
        let mut backoff = Backoff::new(first, options.max_backoff);
        let mut stored = Marks::default();
        let run = async {
            loop {
                let _ = moved.changed().await;
                let marks = self.marks();
                if marks.marks.is_empty() || marks == stored {
                    continue;
                }
                let pause = match counted(checkpoint.store(&marks).await) {
                    Ok(()) => {
                        stored = marks;
                        backoff.reset();
                        options.interval
                    }
                    Err(error) => {
                        let pause = backoff.next(None);
                        tracing::warn!(%error, ?pause, "positions are not kept: a restart would repeat events");
                        moved.mark_changed();
                        pause
                    }
                };
                sleep(pause).await;
            }
        };
        tokio::select! {
            () = run => {}
            () = stop => {}
        }
        let marks = self.marks();
        if marks.marks.is_empty() || marks == stored {
            return Ok(());
        }
        let late = |_| Err(CheckpointError::Other("the last write did not end in time".into()));
        counted(timeout(options.last_write, checkpoint.store(&marks)).await.unwrap_or_else(late))
    }
}

fn counted(stored: Result<(), CheckpointError>) -> Result<(), CheckpointError> {
    let result = if stored.is_ok() { "success" } else { "failure" };
    counter!(telemetry::CHECKPOINT_STORES, "result" => result).increment(1);
    stored
}
