//! The time of day, which documents carry for whoever stores them.
//!
//! How much time passes (ages, gates, deadlines) is measured by `tokio::time`, which tests pause and move. The time of
//! day may jump, forwards or backwards: no document gets older or younger by that.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time of day. A closure is one.
///
/// ```
/// use kubelet_summary::Clock;
///
/// let stopped: &dyn Clock = &|| jiff::Timestamp::UNIX_EPOCH;
/// assert_eq!(stopped.now(), jiff::Timestamp::UNIX_EPOCH);
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// The clock of a cache: the system's, unless a test gives another.
#[derive(Clone)]
pub(crate) struct WallClock(pub(crate) Arc<dyn Clock>);

impl Default for WallClock {
    fn default() -> Self {
        Self(Arc::new(Timestamp::now))
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

impl WallClock {
    pub(crate) fn now(&self) -> Timestamp {
        self.0.now()
    }
}
