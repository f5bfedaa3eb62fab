//! When nodes are asked in the background, so that they are not all asked at once.

use std::time::Duration;

use foldhash::quality::FixedState;
use std::hash::BuildHasher;
use tokio::time::Instant;

/// Each node has a place of its own in a round of a TTL, by a hash of its name. Rounds of different caches differ by the
/// seed, so that two replicas do not ask a node at one time.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    ttl: Duration,
    /// The begin of the first round.
    epoch: Instant,
    seed: u64,
}

impl Pace {
    pub(super) fn new(ttl: Duration, seed: u64) -> Self {
        Self { ttl, epoch: Instant::now(), seed }
    }

    /// How far into the round a node's place is.
    fn place(&self, name: &str) -> Duration {
        let hash = FixedState::with_seed(self.seed).hash_one(name);
        // A part of the round as a fraction of 2^64; it is shorter than the round, so it fits where that does.
        let nanos = (u128::from(hash) * self.ttl.as_nanos()) >> 64;
        u64::try_from(nanos).map_or(self.ttl, Duration::from_nanos)
    }

    /// When a node that came in now is asked first.
    pub(super) fn first(&self, name: &str, now: Instant) -> Instant {
        now.checked_add(self.until_place(name, now)).unwrap_or(now)
    }

    /// When a node is asked next that may be asked from `earliest` on: then, or later by up to a tenth of a TTL if that
    /// is nearer to its place. Nodes that were asked at once, by a caller who wanted all, part from one another again so.
    pub(super) fn next(&self, name: &str, earliest: Instant) -> Instant {
        let wait = self.until_place(name, earliest);
        // A timer's lateness is no reason to go round once more.
        if wait > self.ttl.saturating_sub(self.ttl / 200) {
            return earliest;
        }
        earliest.checked_add(wait.min(self.ttl / 10)).unwrap_or(earliest)
    }

    /// How soon to look again at a node that is being asked right now.
    pub(super) fn recheck(&self) -> Duration {
        (self.ttl / 8).clamp(Duration::from_millis(1), Duration::from_hours(1))
    }

    fn until_place(&self, name: &str, now: Instant) -> Duration {
        let round = self.ttl.as_nanos().max(1);
        let into = now.saturating_duration_since(self.epoch).as_nanos() % round;
        let wait = (self.place(name).as_nanos() + round - into) % round;
        u64::try_from(wait).map_or(self.ttl, Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(55);

    #[tokio::test(start_paused = true)]
    async fn first_requests_are_spread_over_a_round() {
        let pace = Pace::new(TTL, 7);
        let now = Instant::now();
        let mut seconds = [0; 55];
        for node in 0..5_500 {
            let name = format!("ip-10-0-{}-{}.ec2.internal", node / 256, node % 256);
            let wait = pace.first(&name, now) - now;
            assert_eq!(pace.first(&name, now) - now, wait);
            seconds[usize::try_from(wait.as_secs()).unwrap()] += 1;
        }
        let (least, most) = (seconds.iter().min().unwrap(), seconds.iter().max().unwrap());
        assert!(*least > 60 && *most < 150, "{least} to {most} a second, 100 on average");
        let other = Pace::new(TTL, 8);
        assert_ne!(other.first("node-1", now), pace.first("node-1", now));
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_return_to_their_places_by_a_tenth_a_round_at_most() {
        let pace = Pace::new(TTL, 7);
        let start = Instant::now();
        for node in 0..100 {
            let name = format!("node-{node}");
            let mut at = start;
            for _ in 0..12 {
                let earliest = at + TTL;
                at = pace.next(&name, earliest);
                assert!(at >= earliest && at - earliest <= TTL / 10);
            }
            let off = pace.until_place(&name, at);
            assert!(off.is_zero() || off > TTL.saturating_sub(TTL / 200), "{name} is {off:?} away");
            // A timer that is late does not make it wait for the next round.
            assert_eq!(pace.next(&name, at + TTL + Duration::from_millis(2)), at + TTL + Duration::from_millis(2));
        }
    }
}
