//! How many requests go out: a rate, and a pause where the server asks for one.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use crate::pace::MAX_RETRY_AFTER;

/// Tokio's clock, which tests can pause.
#[derive(Debug, Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A token bucket, before which those that wait stand in a queue.
#[derive(Debug)]
pub(super) struct Limit {
    clock: TokioClock,
    bucket: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    /// The head of the queue.
    head: Semaphore,
    /// The server asked for silence until then.
    not_before: Mutex<Option<Instant>>,
}

impl Limit {
    /// So many requests a second, after a burst of so many; at least one in an hour.
    pub(super) fn new(per_second: f64, burst: u32) -> Self {
        const LONGEST: Duration = Duration::from_hours(1);
        let period = if per_second > 0.0 { Duration::try_from_secs_f64(per_second.recip()).ok() } else { None };
        let period = period.unwrap_or(LONGEST).clamp(Duration::from_nanos(1), LONGEST);
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        let clock = TokioClock(Instant::now());
        let bucket = RateLimiter::direct_with_clock(quota, clock.clone());
        Self { clock, bucket, head: Semaphore::new(1), not_before: Mutex::new(None) }
    }

    /// Waits for the turn of one request.
    pub(super) async fn turn(&self) {
        // The semaphore is never closed.
        let _head = self.head.acquire().await;
        loop {
            let pause = *self.not_before.lock();
            if let Some(until) = pause.filter(|until| *until > Instant::now()) {
                sleep_until(until).await;
                continue;
            }
            match self.bucket.check() {
                Ok(()) => return,
                Err(early) => sleep(early.wait_time_from(self.clock.now()).max(Duration::from_millis(1))).await,
            }
        }
    }

    /// The server asks for a pause; when it is over.
    pub(super) fn hold_back(&self, pause: Duration) -> Instant {
        let until = Instant::now() + pause.min(MAX_RETRY_AFTER);
        let mut not_before = self.not_before.lock();
        let until = not_before.map_or(until, |before| before.max(until));
        *not_before = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_by_the_rate() {
        let limit = Limit::new(10.0, 20);
        let began = Instant::now();
        for _ in 0..20 {
            limit.turn().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..50 {
            limit.turn().await;
        }
        let took = began.elapsed();
        assert!((4_900..5_200).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_is_asked_for_holds_for_all() {
        let limit = Limit::new(10.0, 20);
        let began = Instant::now();
        limit.hold_back(Duration::from_secs(7));
        limit.hold_back(Duration::from_secs(3));
        limit.turn().await;
        assert_eq!(began.elapsed(), Duration::from_secs(7));
        let until = limit.hold_back(Duration::MAX);
        assert!(until <= Instant::now() + MAX_RETRY_AFTER);
    }

    #[tokio::test(start_paused = true)]
    async fn odd_rates_are_no_panic() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 1e300] {
            Limit::new(rate, 0).turn().await;
        }
    }
}
