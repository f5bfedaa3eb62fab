//! Cgroup ids that are no container's: remembered for a short time, so that each is not looked for again and again.

use std::collections::HashMap;

use tokio::time::Instant;

use super::bounds::Bounds;

/// The most that are remembered.
const MOST: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Misses {
    until: HashMap<u64, Instant>,
    next_walk: Option<Instant>,
}

impl Misses {
    /// Whether an id is worth a look now. That it is, is said once in the interval of walks.
    pub(super) fn may_look(&mut self, cgroup: u64, now: Instant, bounds: &Bounds) -> bool {
        let missed = self.until.get(&cgroup).is_some_and(|until| now < *until);
        let early = self.next_walk.is_some_and(|next| now < next);
        if !missed && !early {
            self.next_walk = Some(now + bounds.walk_interval);
        }
        !missed && !early
    }

    /// An id was looked for, and is not there.
    pub(super) fn remember(&mut self, cgroup: u64, now: Instant, bounds: &Bounds) {
        if self.until.len() >= MOST {
            self.until.retain(|_, until| now < *until);
        }
        if self.until.len() < MOST {
            self.until.insert(cgroup, now + bounds.miss_lifetime);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_miss_lasts_for_its_time_and_walks_are_apart() {
        let bounds = Bounds::default();
        let mut misses = Misses::default();
        let begin = Instant::now();
        let later = begin + bounds.walk_interval;
        assert!(misses.may_look(7, begin, &bounds));
        misses.remember(7, begin, &bounds);
        assert!(!misses.may_look(8, begin, &bounds), "so soon after a walk");
        assert!(!misses.may_look(7, later, &bounds), "just missed");
        assert!(misses.may_look(8, later, &bounds));
        assert!(misses.may_look(7, begin + bounds.miss_lifetime, &bounds));
    }

    #[test]
    fn misses_are_bounded_and_make_room_once_they_are_over() {
        let bounds = Bounds::default();
        let mut misses = Misses::default();
        let begin = Instant::now();
        for cgroup in 0..10_000 {
            misses.remember(cgroup, begin, &bounds);
        }
        assert_eq!(misses.until.len(), MOST);
        misses.remember(20_000, begin + bounds.miss_lifetime + Duration::from_secs(1), &bounds);
        assert_eq!(misses.until.len(), 1);
    }
}
