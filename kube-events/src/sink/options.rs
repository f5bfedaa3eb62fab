//! How an outlet treats its sink.

use std::path::PathBuf;
use std::time::Duration;

/// What happens to an event that finds the queue full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OverflowPolicy {
    /// Whoever offers it waits until there is room: nothing is dropped here. In a pipeline that holds up the source.
    /// This event still goes to the other sinks, and what they have they deliver; later events come to nobody until
    /// there is room. A watch that waits so long that the API server forgets what it was to tell (some minutes) goes
    /// on from what is still there, and a gap is told. With a spill, only a disk that is full holds up.
    Block,
    /// The event that has waited longest is dropped and counted.
    #[default]
    DropOldest,
    /// The event itself is dropped and counted.
    DropNewest,
}

/// What goes into one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Events at most; 1 for sinks that take one at a time. 100 by default.
    pub events: usize,
    /// Bytes at most, unless one event alone is longer; 1 MiB by default.
    pub bytes: usize,
    /// How long the first event of a batch waits for others; not at all by default: what has come meanwhile goes along.
    pub age: Duration,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { events: 100, bytes: 1 << 20, age: Duration::ZERO }
    }
}

/// How often a delivery is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// The pause after the first failure, which doubles with each further one; 500 ms by default.
    pub first: Duration,
    /// The longest pause; 30 s by default.
    pub longest: Duration,
    /// What one attempt may take; 30 s by default.
    pub timeout: Duration,
    /// When a batch is given up, dropped and counted. Never by default: then the queue's limit decides what is lost.
    pub give_up_after: Option<Duration>,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            give_up_after: None,
        }
    }
}

/// Where events wait on disk while a sink does not take them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpillOptions {
    /// A directory of its own, which is made where it is not there. What an earlier process has left in it is sent
    /// first.
    pub directory: PathBuf,
    /// The bytes that it may take; 1 GiB by default. When it is full, the queue's policy decides.
    pub max_bytes: u64,
    /// How long a delivery fails before events go to disk; 10 s by default. A queue that is full does not wait for it.
    pub after: Duration,
    /// The size of one file, about; 8 MiB by default. Space is given back by the file.
    pub segment_bytes: u64,
}

impl SpillOptions {
    /// In this directory, with the defaults.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), max_bytes: 1 << 30, after: Duration::from_secs(10), segment_bytes: 8 << 20 }
    }
}

/// How an outlet treats its sink.
///
/// ```
/// use std::time::Duration;
/// use kube_events::sink::{BatchOptions, OutletOptions, OverflowPolicy, SpillOptions};
///
/// let options = OutletOptions {
///     policy: OverflowPolicy::Block,
///     batch: BatchOptions { events: 500, age: Duration::from_secs(1), ..BatchOptions::default() },
///     spill: Some(SpillOptions::new("/var/lib/events/webhook")),
///     ..OutletOptions::default()
/// };
/// assert_eq!(options.queue, 10_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutletOptions {
    /// How many events wait in memory at most; 10,000 by default.
    pub queue: usize,
    /// What happens when more come.
    pub policy: OverflowPolicy,
    /// What goes into one delivery.
    pub batch: BatchOptions,
    /// How often it is tried.
    pub retry: RetryOptions,
    /// Where events wait on disk; nowhere by default.
    pub spill: Option<SpillOptions>,
}

impl Default for OutletOptions {
    fn default() -> Self {
        Self {
            queue: 10_000,
            policy: OverflowPolicy::default(),
            batch: BatchOptions::default(),
            retry: RetryOptions::default(),
            spill: None,
        }
    }
}
