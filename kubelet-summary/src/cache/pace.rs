//! When nodes are asked in the background, so that they are not all asked at once.

use std::time::Duration;

use foldhash::quality::FixedState;
use std::hash::BuildHasher;
use tokio::time::Instant;

/// New nodes are asked for the first time at this distance from one another, on average: 100 a second.
const APART: Duration = Duration::from_millis(10);

/// Each node has a place of its own in a round of a TTL, by a hash of its name. Rounds of different caches differ by the
/// seed, so that two replicas do not ask a node at one time.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    ttl: Duration,
    /// The begin of the first round.
    epoch: Instant,
    seed: u64,
    /// When all new nodes so far have been asked.
    welcomed: Instant,
}

/// When nodes that came in together are asked first: within so long from then on.
pub(super) type Welcome = (Instant, Duration);

impl Pace {
    pub(super) fn new(ttl: Duration, seed: u64) -> Self {
        let now = Instant::now();
        Self { ttl, epoch: now, seed, welcomed: now }
    }

    /// How far into the round, or a part of it, a node's place is.
    fn place(&self, name: &str, round: Duration) -> Duration {
        let hash = FixedState::with_seed(self.seed).hash_one(name);
        // A part of the round as a fraction of 2^64; it is shorter than the round, so it fits where that does.
        let nanos = (u128::from(hash) * round.as_nanos()) >> 64;
        u64::try_from(nanos).map_or(round, Duration::from_nanos)
    }

    /// For so many nodes that came in now. A few are asked at once, and more as fast as new nodes may be; those that have
    /// no room so within a TTL, at their places in the round.
    pub(super) fn welcome(&mut self, nodes: usize, now: Instant) -> Option<Welcome> {
        let begin = self.welcomed.max(now);
        let span = APART.saturating_mul(u32::try_from(nodes).unwrap_or(u32::MAX));
        let end = begin.checked_add(span).filter(|end| end.saturating_duration_since(now) <= self.ttl)?;
        self.welcomed = end;
        Some((begin, span))
    }

    /// When one of them is asked.
    pub(super) fn first(&self, name: &str, now: Instant, welcome: Option<Welcome>) -> Instant {
        let at = match welcome {
            Some((begin, span)) => begin.checked_add(self.place(name, span)),
            None => now.checked_add(self.until_place(name, now)),
        };
        at.unwrap_or(now)
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
        let wait = (self.place(name, self.ttl).as_nanos() + round - into) % round;
        u64::try_from(wait).map_or(self.ttl, Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(55);

    /// First requests in each second, of so many nodes that came in together.
    fn firsts(pace: &mut Pace, nodes: usize, now: Instant) -> Vec<usize> {
        let welcome = pace.welcome(nodes, now);
        let mut seconds = vec![0; 56];
        for node in 0..nodes {
            let name = format!("ip-10-0-{}-{}.ec2.internal", node / 256, node % 256);
            let at = pace.first(&name, now, welcome);
            assert_eq!(pace.first(&name, now, welcome), at);
            seconds[usize::try_from((at - now).as_secs()).unwrap()] += 1;
        }
        while seconds.last() == Some(&0) {
            seconds.pop();
        }
        seconds
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_asked_at_once_and_many_within_a_round() {
        let now = Instant::now();
        let pace = || Pace::new(TTL, 7);
        assert_eq!(firsts(&mut pace(), 1, now), [1]);
        assert_eq!(firsts(&mut pace(), 100, now), [100]);
        // 100 a second, and no more of those that come while others are still to be asked.
        let mut filling = pace();
        for (nodes, before, seconds) in [(2_000, 0, 20), (1_000, 20, 30)] {
            let asked = firsts(&mut filling, nodes, now);
            assert_eq!(asked.len(), seconds);
            assert!(asked[..before].iter().all(|asked| *asked == 0), "{asked:?}");
            assert!(asked[before..].iter().all(|asked| (60..=140).contains(asked)), "{asked:?}");
        }
        // What has no room so is spread over the whole round.
        for mut pace in [filling, pace()] {
            let asked = firsts(&mut pace, 11_000, now);
            assert_eq!(asked.len(), 55);
            assert!(asked.iter().all(|asked| (120..=280).contains(asked)), "{asked:?}");
        }
        let second = |seed| Pace::new(TTL, seed).first("node-1", now, None);
        assert_ne!(second(7), second(8));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_later_finds_room_again() {
        let mut pace = Pace::new(TTL, 7);
        firsts(&mut pace, 5_000, Instant::now());
        tokio::time::advance(TTL).await;
        assert_eq!(firsts(&mut pace, 1, Instant::now()), [1]);
        // Times without end do no harm.
        let mut endless = Pace::new(Duration::MAX, 7);
        let now = Instant::now();
        assert!(endless.welcome(usize::MAX, now).is_some_and(|(begin, _)| begin == now));
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
