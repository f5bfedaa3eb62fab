//! The server's clock.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The system's time at the start, or one that was given, and tokio's from there on: what pauses the one, or moves it,
/// does so to the times in objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Timestamp,
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self::start_at(Timestamp::now())
    }

    pub(crate) fn start_at(epoch: Timestamp) -> Self {
        Self { epoch, started: Instant::now() }
    }

    /// Now, as objects tell it.
    pub(crate) fn now(self) -> Timestamp {
        SignedDuration::try_from(self.started.elapsed())
            .ok()
            .and_then(|elapsed| self.epoch.checked_add(elapsed).ok())
            .unwrap_or(self.epoch)
    }

    pub(crate) fn uptime_millis(self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_with_paused_time() {
        let clock = Clock::start();
        let before = clock.now();
        tokio::time::advance(Duration::from_hours(7)).await;
        assert_eq!(clock.now().duration_since(before), SignedDuration::from_hours(7));
        assert_eq!(clock.uptime_millis(), 7 * 3_600_000);
    }
}
