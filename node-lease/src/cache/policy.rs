//! When a Lease is over: by whose clock, and what an outage changes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// By whose clock a Lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpiryPolicy {
    /// By this cache's: a Lease is good for its duration from the moment that its renewal was *seen* here. A writer whose
    /// clock is hours off is as visible as any other, and one that died goes in time.
    ///
    /// A Lease that is seen for the first time counts as renewed now, since its writer's clock may be wrong, unless it is
    /// over for longer than `max_skew` by that clock: then it is history, until it is renewed.
    ObservedRenewals {
        /// How far off a writer's clock may be.
        max_skew: Duration,
    },
    /// By the writer's, as the CloudWatch agent's reader does: a Lease is good until `renewTime` and its duration, and
    /// a tolerance for clocks that disagree.
    WriterClock {
        /// How far the writer's clock may be behind this one.
        tolerance: Duration,
    },
}

impl Default for ExpiryPolicy {
    /// Observed renewals, with writers' clocks up to a day off.
    fn default() -> Self {
        Self::ObservedRenewals { max_skew: Duration::from_hours(24) }
    }
}

impl ExpiryPolicy {
    /// For how much longer a Lease is good that is seen for the first time, or whose renewal is. `now` is this machine's
    /// time of day.
    pub(super) fn remaining(
        self,
        renewed: Timestamp,
        duration: Duration,
        now: Timestamp,
        first_sight: bool,
    ) -> Duration {
        let left_by_writer = left(renewed, duration, now);
        match self {
            Self::WriterClock { tolerance } => {
                let tolerance = SignedDuration::try_from(tolerance).unwrap_or(SignedDuration::MAX);
                positive(left_by_writer.saturating_add(tolerance))
            }
            Self::ObservedRenewals { max_skew } => {
                let history = left_by_writer.is_negative() && left_by_writer.unsigned_abs() > max_skew;
                if first_sight && history { Duration::ZERO } else { duration }
            }
        }
    }
}

/// What is left of a Lease by its writer's clock; negative if it is over.
fn left(renewed: Timestamp, duration: Duration, now: Timestamp) -> SignedDuration {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    renewed.duration_since(now).saturating_add(duration)
}

fn positive(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const TWO_HOURS: Duration = Duration::from_hours(2);

    fn remaining(policy: ExpiryPolicy, hours_behind: i64, first_sight: bool) -> Duration {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        policy.remaining(now - SignedDuration::from_hours(hours_behind), TWO_HOURS, now, first_sight)
    }

    #[test]
    fn by_the_writers_clock() {
        let policy = ExpiryPolicy::WriterClock { tolerance: HOUR };
        for first_sight in [true, false] {
            assert_eq!(remaining(policy, 0, first_sight), 3 * HOUR);
            assert_eq!(remaining(policy, 1, first_sight), 2 * HOUR);
            assert_eq!(remaining(policy, 3, first_sight), Duration::ZERO);
            assert_eq!(remaining(policy, -3, first_sight), 6 * HOUR);
        }
    }

    #[test]
    fn by_observed_renewals_a_clock_does_not_matter() {
        for hours_behind in [-3, 0, 3] {
            assert_eq!(remaining(ExpiryPolicy::default(), hours_behind, true), TWO_HOURS);
            assert_eq!(remaining(ExpiryPolicy::default(), hours_behind, false), TWO_HOURS);
        }
    }

    #[test]
    fn what_was_over_for_days_is_history_until_it_is_renewed() {
        let policy = ExpiryPolicy::default();
        assert_eq!(remaining(policy, 27, true), Duration::ZERO);
        assert_eq!(remaining(policy, 25, true), TWO_HOURS, "over for 23 hours");
        assert_eq!(remaining(policy, 27, false), TWO_HOURS, "a renewal was seen");
    }

    #[test]
    fn extreme_times_do_no_harm() {
        for renewed in [Timestamp::MIN, Timestamp::MAX] {
            for duration in [Duration::ZERO, Duration::MAX] {
                for policy in [ExpiryPolicy::default(), ExpiryPolicy::WriterClock { tolerance: Duration::MAX }] {
                    policy.remaining(renewed, duration, Timestamp::UNIX_EPOCH, true);
                }
            }
        }
    }
}
