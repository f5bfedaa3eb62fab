//! The time of day, which the ages of events are measured by.
//!
//! How much time passes is measured by `tokio::time`, which tests pause and move; the time of day may jump.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time of day. A closure is one.
///
/// ```
/// use kube_events::Clock;
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

/// The clock of a source: the system's, unless a test gives another.
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
    /// The same, for whoever takes any clock.
    pub(crate) fn closure(&self) -> impl Clock + use<> {
        let clock = Arc::clone(&self.0);
        move || clock.now()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.now()
    }
}
