//! How long to wait after failures, with jitter.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rand::RngExt;

/// The longest wait that a server can ask for.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Anything up to `longest`, each as likely.
pub(crate) fn up_to(longest: Duration) -> Duration {
    longest.mul_f64(rand::rng().random_range(0.0..=1.0))
}

/// Pauses between two bounds that double, the last quarter of which is random: attempts that began together part.
#[derive(Debug)]
pub(crate) struct Backoff {
    builder: ExponentialBuilder,
    delays: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Self {
        const MOST: Duration = Duration::from_hours(24);
        let (shortest, longest) = (shortest.min(MOST), longest.min(MOST).max(shortest.min(MOST)));
        let builder =
            ExponentialBuilder::default().with_min_delay(shortest).with_max_delay(longest).without_max_times();
        Self { builder, delays: builder.build(), longest }
    }

    /// It went well: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.delays = self.builder.build();
    }

    /// The pause after a failure. `asked`: what the server wants it to be at least.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let own = self.delays.next().unwrap_or(self.longest);
        let own = own * 3 / 4 + up_to(own / 4);
        let asked = asked.unwrap_or_default().min(MAX_RETRY_AFTER);
        // More than what the server asks for, so that its clients don't come back all at once.
        if asked > own { asked + up_to(asked / 4) } else { own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_never_vanish() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for longest in [1, 2, 4, 8, 16, 30, 30, 30] {
            let (pause, longest) = (backoff.next(None), Duration::from_secs(longest));
            assert!(pause >= longest * 3 / 4 && pause <= longest, "{pause:?} of {longest:?}");
        }
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_secs(1));
    }

    #[test]
    fn odd_bounds_are_no_panic() {
        for (shortest, longest) in [(Duration::MAX, Duration::ZERO), (Duration::ZERO, Duration::MAX)] {
            let mut backoff = Backoff::new(shortest, longest);
            for _ in 0..200 {
                assert!(backoff.next(Some(Duration::MAX)) <= Duration::from_hours(24));
            }
        }
    }

    #[test]
    fn a_server_is_obeyed_within_reason() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let pause = backoff.next(Some(Duration::from_mins(1)));
        assert!(pause >= Duration::from_mins(1) && pause <= Duration::from_secs(75), "{pause:?}");
        let pause = backoff.next(Some(Duration::MAX));
        assert!(pause >= MAX_RETRY_AFTER && pause <= MAX_RETRY_AFTER * 5 / 4, "{pause:?}");
    }
}
