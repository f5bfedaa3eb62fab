//! How long to wait: after failures, and so that thousands of nodes don't do the same thing in the same second.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The longest wait that a server can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Random parts of pauses.
#[derive(Debug)]
pub(crate) struct Jitter(ChaCha8Rng);

impl Jitter {
    /// Pauses that a seed decides; random ones without.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed.unwrap_or_else(rand::random)))
    }

    /// Anything up to `longest`, each as likely.
    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.0.random_range(0.0..=1.0))
    }

    /// A part of `pause`, from a tenth to all of it: what began together is spread over all of that time.
    pub(crate) fn part_of(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(self.0.random_range(0.1..=1.0))
    }

    /// About `pause`: up to a tenth less or more.
    pub(crate) fn about(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(self.0.random_range(0.9..=1.1))
    }
}

/// Pauses between two bounds that double, the last quarter of which is random: attempts that began together part. The
/// pauses are as long as the bound allows, since after an outage all that wait come back within the last of them.
#[derive(Debug)]
pub(crate) struct Backoff {
    builder: ExponentialBuilder,
    delays: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Self {
        let builder =
            ExponentialBuilder::default().with_min_delay(shortest).with_max_delay(longest).without_max_times();
        Self { builder, delays: builder.build(), longest }
    }

    /// It went well: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.delays = self.builder.build();
    }

    /// The pause after a failure. `asked`: what the server wants it to be at least.
    pub(crate) fn next(&mut self, asked: Option<Duration>, jitter: &mut Jitter) -> Duration {
        let own = self.delays.next().unwrap_or(self.longest);
        let own = own * 3 / 4 + jitter.up_to(own / 4);
        let asked = asked.unwrap_or_default().min(MAX_RETRY_AFTER);
        // More than what the server asks for, so that its clients don't come back all at once.
        if asked > own { asked + jitter.up_to(asked / 4) } else { own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_never_vanish() {
        let (mut backoff, mut jitter) =
            (Backoff::new(Duration::from_secs(1), Duration::from_secs(30)), Jitter::new(Some(7)));
        for longest in [1, 2, 4, 8, 16, 30, 30, 30] {
            let (pause, longest) = (backoff.next(None, &mut jitter), Duration::from_secs(longest));
            assert!(pause >= longest * 3 / 4 && pause <= longest, "{pause:?} of {longest:?}");
        }
        backoff.reset();
        assert!(backoff.next(None, &mut jitter) <= Duration::from_secs(1));
    }

    #[test]
    fn a_server_is_obeyed_within_reason() {
        let (mut backoff, mut jitter) =
            (Backoff::new(Duration::from_secs(1), Duration::from_secs(30)), Jitter::new(Some(7)));
        let pause = backoff.next(Some(Duration::from_mins(1)), &mut jitter);
        assert!(pause >= Duration::from_mins(1) && pause <= Duration::from_secs(75), "{pause:?}");
        let pause = backoff.next(Some(Duration::MAX), &mut jitter);
        assert!(pause >= MAX_RETRY_AFTER && pause <= MAX_RETRY_AFTER * 5 / 4, "{pause:?}");
        assert!(backoff.next(Some(Duration::ZERO), &mut jitter) >= Duration::from_secs(2));
    }

    #[test]
    fn jitter_spreads() {
        let mut jitter = Jitter::new(Some(1));
        let pauses: Vec<Duration> = (0..1000).map(|_| jitter.up_to(Duration::from_secs(30))).collect();
        for third in 0..3 {
            let (from, to) = (Duration::from_secs(third * 10), Duration::from_secs(third * 10 + 10));
            let count = pauses.iter().filter(|pause| **pause >= from && **pause < to).count();
            assert!((270..400).contains(&count), "{count} from {from:?} to {to:?}");
        }
        assert_ne!(Jitter::new(None).up_to(Duration::from_hours(1)), Jitter::new(None).up_to(Duration::from_hours(1)));
    }
}
