//! The whole of it: programs in the kernel, and a task that reads what they count.

mod driver;
mod merge;
mod reclaim;

use std::{
    borrow::Cow,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use aya::maps::MapError;
use futures::Stream;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::driver::{Driver, Settings, Shared};
use crate::{
    events::Event,
    loader::{Capabilities, Health, HookChoice, LoadError, Loader, Options, RunTime, TimerChoice},
    sample::{Batch, Total},
    sys,
};

/// Batches that wait for their taker. Beyond them, the ring fills.
const BATCHES: usize = 16;
/// How long [`CgroupPerf::shutdown`] waits at most.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Why counting did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The programs are not in the kernel.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The runtime cannot wait for the ring.
    #[error("the runtime cannot wait for the ring: enable its IO driver")]
    Ring(#[source] io::Error),
    /// An option has a value that cannot be.
    #[error("bad option: {0}")]
    Options(&'static str),
    /// The thread that loads ended.
    #[error("loading was cut off")]
    CutOff(#[source] tokio::task::JoinError),
}

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It was shut down.
    #[error("counting has ended")]
    Stopped,
    /// The kernel refuses.
    #[error("the kernel's maps cannot be read")]
    Map(#[source] MapError),
}

/// What happened so far, beside what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// What the programs noticed.
    pub kernel: Health,
    /// Samples that were handed on.
    pub samples: u64,
    /// Of them, those that came after later ones.
    pub late: u64,
    /// Removed cgroups whose places were given back.
    pub reclaimed: u64,
    /// Times that a processor's counters were opened after the start.
    pub reopened: u64,
}

/// What to count, and how.
#[derive(Debug, Clone)]
pub struct Builder {
    options: Options,
    object: Option<Cow<'static, [u8]>>,
    grace: Duration,
    lateness: Option<Duration>,
    batch_every: Duration,
}

impl Builder {
    /// The events to count; [`Event::DEFAULT`] unless others are given.
    pub fn counters(mut self, counters: impl IntoIterator<Item = Event>) -> Self {
        self.options.counters = counters.into_iter().collect();
        self
    }

    /// Whether [`Event::WITHOUT_PMU`] is counted where none of the counters can be had. It is, unless this says no.
    pub fn software_fallback(mut self, on: bool) -> Self {
        self.options.software_fallback = on;
        self
    }

    /// The length of a slot, 100 µs to 1 s. One millisecond unless another is given.
    pub fn slot(mut self, slot: Duration) -> Self {
        self.options.slot = slot;
        self
    }

    /// Who accounts for changes of cgroup.
    pub fn hook(mut self, hook: HookChoice) -> Self {
        self.options.hook = hook;
        self
    }

    /// What ends slots.
    pub fn timer(mut self, timer: TimerChoice) -> Self {
        self.options.timer = timer;
        self
    }

    /// Whether samples are of processes within their cgroup.
    pub fn per_task(mut self, on: bool) -> Self {
        self.options.per_task = on;
        self
    }

    /// Whether there are samples, or totals alone.
    pub fn samples(mut self, on: bool) -> Self {
        self.options.samples = on;
        self
    }

    /// Everything about the programs at once.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Another object than this crate's.
    pub fn object(mut self, object: impl Into<Cow<'static, [u8]>>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// How long a removed cgroup's totals stay readable, at least a second: tasks may end in it after its removal. Two
    /// seconds unless another is given; with slots that are longer, longer.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How late a processor's samples of a slot may be and still be merged in order. Five milliseconds or two slots,
    /// whichever is longer, unless another is given.
    pub fn lateness(mut self, lateness: Duration) -> Self {
        self.lateness = Some(lateness);
        self
    }

    /// How often a batch is made. Every 20 milliseconds unless another is given, and whenever the ring is a quarter full.
    pub fn batch_every(mut self, every: Duration) -> Self {
        self.batch_every = every;
        self
    }

    /// Loads the programs and begins to count. Needs a runtime with IO and time.
    pub async fn start(self) -> Result<CgroupPerf, StartError> {
        if self.grace < Duration::from_secs(1) {
            return Err(StartError::Options("the grace time is at least a second"));
        }
        if self.batch_every < Duration::from_millis(1) {
            return Err(StartError::Options("batches are at least a millisecond apart"));
        }
        let Self { options, object, grace, lateness, batch_every } = self;
        let slot = options.slot;
        let tasks = options.per_task;
        let samples = options.samples;
        let load = move || match &object {
            Some(object) => Loader::with_object(object).load(&options),
            None => Loader::new().load(&options),
        };
        let mut attached = tokio::task::spawn_blocking(load).await.map_err(StartError::CutOff)??;
        let settings = Settings {
            counters: attached.capabilities().counters.len(),
            tasks,
            slot,
            lateness: lateness.unwrap_or(Duration::from_millis(5).max(2 * slot)),
            batch_every,
            grace: grace.max(3 * slot),
        };
        let ring = attached.take_ring().filter(|_| samples);
        let ring = ring.map(sys::watch).transpose().map_err(StartError::Ring)?;
        let messages = attached.take_messages();
        let capabilities = attached.capabilities().clone();
        let shared = Arc::new(Shared::new(attached));
        let (sender, receiver) = mpsc::channel(BATCHES);
        let token = CancellationToken::new();
        let driver = Driver::new(Arc::clone(&shared), settings, ring, messages, sender);
        let task = tokio::spawn(driver.run(token.clone()));
        Ok(CgroupPerf {
            capabilities,
            shared,
            batches: Mutex::new(samples.then_some(Samples { receiver })),
            task: Mutex::new(Some(task)),
            token: token.clone(),
            _guard: token.drop_guard(),
        })
    }
}

/// Counts what each cgroup does, until it is shut down or dropped.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use cgroup_perf::CgroupPerf;
/// use futures::StreamExt;
///
/// let perf = CgroupPerf::builder().start().await?;
/// println!("{}", perf.capabilities());
/// let mut samples = perf.samples().ok_or("somebody else reads them")?;
/// while let Some(batch) = samples.next().await {
///     for sample in batch.samples {
///         println!("{:?} on {} ran {} ns", sample.cgroup, sample.cpu, sample.ran);
///     }
/// }
/// perf.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CgroupPerf {
    capabilities: Capabilities,
    shared: Arc<Shared>,
    batches: Mutex<Option<Samples>>,
    task: Mutex<Option<JoinHandle<()>>>,
    token: CancellationToken,
    _guard: DropGuard,
}

impl CgroupPerf {
    /// Starts with the defaults: cycles, instructions and LLC misses by the millisecond.
    pub fn builder() -> Builder {
        Builder {
            options: Options::default(),
            object: None,
            grace: Duration::from_secs(2),
            lateness: None,
            batch_every: Duration::from_millis(20),
        }
    }

    /// What this kernel gave, and why not more.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The totals of each cgroup since the start, as of the last end of a slot on each processor. In no order. Those of
    /// a removed cgroup stay for the grace time.
    pub fn counters(&self) -> Result<Vec<Total>, ReadError> {
        let attached = self.shared.attached();
        let totals = attached.as_ref().ok_or(ReadError::Stopped)?.totals();
        totals.map_err(ReadError::Map)
    }

    /// The stream of samples; once. Whoever drops it turns samples off.
    pub fn samples(&self) -> Option<Samples> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What happened so far.
    pub fn status(&self) -> Result<Status, ReadError> {
        let attached = self.shared.attached();
        let kernel = attached.as_ref().ok_or(ReadError::Stopped)?.health().map_err(ReadError::Map)?;
        Ok(Status {
            kernel,
            samples: self.shared.samples.load(Ordering::Relaxed),
            late: self.shared.late.load(Ordering::Relaxed),
            reclaimed: self.shared.reclaimed.load(Ordering::Relaxed),
            reopened: self.shared.reopened.load(Ordering::Relaxed),
        })
    }

    /// What the programs noticed, by processor: lost records among it.
    pub fn health_by_cpu(&self) -> Result<Vec<(u32, Health)>, ReadError> {
        let attached = self.shared.attached();
        attached.as_ref().ok_or(ReadError::Stopped)?.health_by_cpu().map_err(ReadError::Map)
    }

    /// What the programs cost, where the kernel measures it.
    pub fn run_times(&self) -> Result<Vec<RunTime>, ReadError> {
        let attached = self.shared.attached();
        Ok(attached.as_ref().ok_or(ReadError::Stopped)?.run_times())
    }

    /// Ends counting, and waits until the programs are out of the kernel; ten seconds at most. The stream ends after
    /// what was counted last. Again is no error.
    pub async fn shutdown(&self) {
        self.token.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && tokio::time::timeout(SHUTDOWN, task).await.is_err()
        {
            tracing::warn!("the programs are still being detached");
        }
    }
}

/// Batches of samples, each in order, from all processors.
#[derive(Debug)]
pub struct Samples {
    receiver: mpsc::Receiver<Batch>,
}

impl Stream for Samples {
    type Item = Batch;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Batch>> {
        self.receiver.poll_recv(context)
    }
}
