//! How many occurrences an event stands for since it was last told: a pure state machine.

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lru::LruCache;

use crate::event::{Event, Occurrence, OccurrenceKind};

/// A UID is 36 characters. Whoever writes others isn't the API server, and its events are not tracked.
const MAX_ID_BYTES: usize = 128;

/// So many outdated entries go with each event that comes, at most.
const EXPIRE_AT_ONCE: usize = 16;

/// What [`Deltas`] keeps, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaLimits {
    /// Events that are remembered; the one that changed longest ago goes first. An entry takes about 200 bytes.
    pub events: NonZeroUsize,
    /// How long an event is remembered that doesn't change. The API server keeps it for one hour (`--event-ttl`) after
    /// its last change, and then sends its deletion.
    pub ttl: Duration,
    /// Whether an event that changed without having happened again is to be told too.
    pub tell_changes: bool,
}

impl Default for DeltaLimits {
    /// 65,536 events (about 13 MB), two hours, changes are not told.
    fn default() -> Self {
        const EVENTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(0xffff);
        Self { events: EVENTS, ttl: Duration::from_hours(2), tell_changes: false }
    }
}

/// What is to be done with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// It is to be told, as so many occurrences.
    Tell(Occurrence),
    /// This state of it was told before: same UID, same resourceVersion.
    Duplicate,
    /// It is an older state than the one that was told.
    Stale,
    /// It changed, but didn't happen again, and such changes are not to be told.
    Unchanged,
}

/// What [`Deltas`] did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeltaCounters {
    /// Events that were told for the first time.
    pub new: u64,
    /// Events that were told again, because their count rose.
    pub again: u64,
    /// Events whose count fell.
    pub resets: u64,
    /// Events that changed, but didn't happen again.
    pub unchanged: u64,
    /// Events that came twice in the same state.
    pub duplicates: u64,
    /// Events that came in an older state.
    pub stale: u64,
    /// Events without a UID (or with an absurd one), which are told each time.
    pub untracked: u64,
    /// Events that were forgotten for want of room.
    pub evicted: u64,
    /// Events that were forgotten because they were old.
    pub expired: u64,
}

/// Remembers the last count of each event, by its UID.
///
/// | the event | is told as | `delta` |
/// |---|---|---|
/// | is new, and first happened since the start | `new` | its count: all of it is news |
/// | is new to us, and happened before | `new` | 1: how much of its count is news isn't known |
/// | has a higher count | `again` | the difference |
/// | has a lower count | `reset` | its count: its writer began anew |
/// | has the same count | not, or as `changed` | 0 |
/// | has the same or an older resourceVersion | not | |
///
/// "Before" is before the start, or before anything that was forgotten for want of room: what was told once is never
/// counted as news again. resourceVersions that are numbers are compared as such (Kubernetes promises that they are);
/// of others, only the same one is known.
///
/// ```
/// use std::time::Instant;
/// use kube_events::delta::{DeltaLimits, Deltas, Observed};
/// use kube_events::event::{Event, Limits};
///
/// let mut deltas = Deltas::new(DeltaLimits::default(), "2024-05-01T10:00:00Z".parse()?);
/// let mut observe = |count: i32| {
///     let json = format!(r#"{{"metadata": {{"uid": "u", "resourceVersion": "{count}"}}, "count": {count},
///         "firstTimestamp": "2024-05-01T10:00:07Z"}}"#);
///     let event = Event::from_json(json.as_bytes(), &Limits::default()).unwrap();
///     match deltas.observe(&event, Instant::now()) {
///         Observed::Tell(occurrence) => occurrence.delta,
///         _ => 0,
///     }
/// };
/// assert_eq!([observe(2), observe(5), observe(5)], [2, 3, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Deltas {
    limits: DeltaLimits,
    entries: LruCache<Box<str>, Entry>,
    /// What first happened at or before it may have been told already.
    horizon: Timestamp,
    counters: DeltaCounters,
}

#[derive(Debug)]
struct Entry {
    revision: Revision,
    count: u32,
    first_seen: Option<Timestamp>,
    touched: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Revision {
    Number(u64),
    Other(Box<str>),
}

impl Revision {
    fn of(text: &str) -> Self {
        let other = || Self::Other(text.get(..MAX_ID_BYTES).unwrap_or(text).into());
        text.parse().map_or_else(|_| other(), Self::Number)
    }

    fn is_before(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Number(one), Self::Number(two)) if one < two)
    }
}

impl Deltas {
    /// Nothing is known. What first happened before `start` is not all news.
    pub fn new(limits: DeltaLimits, start: Timestamp) -> Self {
        Self {
            limits,
            // Grows with its entries; `limits` bounds it.
            entries: LruCache::unbounded(),
            // A time in whole seconds that equals the start isn't before it.
            horizon: Timestamp::from_second(start.as_second() - 1).unwrap_or(start),
            counters: DeltaCounters::default(),
        }
    }

    /// Takes the next state of an event. `now` must not go back.
    pub fn observe(&mut self, event: &Event, now: Instant) -> Observed {
        self.expire(now);
        let uid = event.metadata.uid.as_str();
        let count = event.count();
        let tell = |delta, kind| Observed::Tell(Occurrence { delta, count, kind });
        if uid.is_empty() || uid.len() > MAX_ID_BYTES {
            self.counters.untracked += 1;
            return tell(1, OccurrenceKind::New);
        }
        let revision = Revision::of(&event.metadata.resource_version);
        let Some(entry) = self.entries.peek_mut(uid) else {
            self.counters.new += 1;
            let first_seen = event.first_seen();
            let news = first_seen.is_some_and(|time| time > self.horizon);
            self.insert(uid.into(), Entry { revision, count, first_seen, touched: now });
            return tell(if news { count } else { 1 }, OccurrenceKind::New);
        };
        // No resourceVersion says nothing of the state.
        if entry.revision == revision && !event.metadata.resource_version.is_empty() {
            self.counters.duplicates += 1;
            return Observed::Duplicate;
        }
        if revision.is_before(&entry.revision) {
            self.counters.stale += 1;
            return Observed::Stale;
        }
        let before = std::mem::replace(&mut entry.count, count);
        entry.revision = revision;
        entry.touched = now;
        self.entries.promote(uid);
        match count.cmp(&before) {
            Ordering::Greater => {
                self.counters.again += 1;
                tell(count - before, OccurrenceKind::Again)
            }
            Ordering::Less => {
                self.counters.resets += 1;
                tell(count, OccurrenceKind::Reset)
            }
            Ordering::Equal => {
                self.counters.unchanged += 1;
                if self.limits.tell_changes { tell(0, OccurrenceKind::Changed) } else { Observed::Unchanged }
            }
        }
    }

    /// Forgets an event that was deleted. Its UID never comes back.
    pub fn remove(&mut self, uid: &str) {
        self.entries.pop(uid);
    }

    /// Remembers that a state of an event was told: after a restart, from what was stored.
    pub fn seed(&mut self, uid: &str, resource_version: &str, count: u32, now: Instant) {
        if !uid.is_empty() && uid.len() <= MAX_ID_BYTES {
            let revision = Revision::of(resource_version);
            self.insert(uid.into(), Entry { revision, count, first_seen: None, touched: now });
        }
    }

    /// How many events are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was done so far.
    pub fn counters(&self) -> DeltaCounters {
        self.counters
    }

    fn insert(&mut self, uid: Box<str>, entry: Entry) {
        self.entries.put(uid, entry);
        while self.entries.len() > self.limits.events.get() {
            self.counters.evicted += 1;
            self.forget_oldest();
        }
    }

    fn expire(&mut self, now: Instant) {
        for _ in 0..EXPIRE_AT_ONCE {
            let outdated = |entry: &Entry| now.saturating_duration_since(entry.touched) > self.limits.ttl;
            if !self.entries.peek_lru().is_some_and(|(_, entry)| outdated(entry)) {
                return;
            }
            self.counters.expired += 1;
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, entry)) = self.entries.pop_lru() {
            self.horizon = entry.first_seen.map_or(self.horizon, |time| time.max(self.horizon));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_000_000;

    fn deltas(events: usize, tell_changes: bool) -> Deltas {
        let limits =
            DeltaLimits { events: NonZeroUsize::new(events).unwrap(), ttl: Duration::from_mins(1), tell_changes };
        Deltas::new(limits, Timestamp::from_second(START).unwrap())
    }

    fn event(uid: &str, version: &str, count: i32, first: i64) -> Event {
        let mut event = Event { count, first_timestamp: Timestamp::from_second(first).ok(), ..Event::default() };
        uid.clone_into(&mut event.metadata.uid);
        version.clone_into(&mut event.metadata.resource_version);
        event
    }

    fn told(observed: Observed) -> Option<(u32, OccurrenceKind)> {
        match observed {
            Observed::Tell(occurrence) => Some((occurrence.delta, occurrence.kind)),
            _ => None,
        }
    }

    #[test]
    fn each_rise_is_told_once() {
        use OccurrenceKind::{Again, New, Reset};
        let mut deltas = deltas(10, false);
        let now = Instant::now();
        let table = [
            ("5", 3, Some((3, New))),
            ("5", 3, None),
            ("7", 10, Some((7, Again))),
            ("6", 5, None),
            ("7", 10, None),
            ("8", 10, None),
            ("9", 2, Some((2, Reset))),
            ("10", 3, Some((1, Again))),
        ];
        for (version, count, want) in table {
            assert_eq!(told(deltas.observe(&event("u", version, count, START), now)), want, "{version}");
        }
        let counters = deltas.counters();
        assert_eq!((counters.new, counters.again, counters.resets), (1, 2, 1));
        assert_eq!((counters.duplicates, counters.stale, counters.unchanged), (2, 1, 1));
    }

    #[test]
    fn what_began_before_the_start_is_one_occurrence() {
        let mut deltas = deltas(10, true);
        let now = Instant::now();
        let mut observe = |event: &Event| told(deltas.observe(event, now));
        assert_eq!(observe(&event("old", "1", 50, START - 1)), Some((1, OccurrenceKind::New)));
        assert_eq!(observe(&event("old", "2", 52, START - 1)), Some((2, OccurrenceKind::Again)));
        assert_eq!(observe(&event("old", "3", 52, START - 1)), Some((0, OccurrenceKind::Changed)));
        let timeless = Event { first_timestamp: None, ..event("timeless", "1", 5, 0) };
        assert_eq!(observe(&timeless), Some((1, OccurrenceKind::New)));
    }

    #[test]
    fn series_count_too() {
        let mut deltas = deltas(10, false);
        let now = Instant::now();
        let series = |count, version: &str| Event {
            series: Some(crate::event::EventSeries { count, last_observed_time: None }),
            ..event("u", version, 1, START)
        };
        assert_eq!(told(deltas.observe(&event("u", "1", 1, START), now)), Some((1, OccurrenceKind::New)));
        assert_eq!(told(deltas.observe(&series(4, "2"), now)), Some((3, OccurrenceKind::Again)));
    }

    #[test]
    fn what_was_forgotten_is_not_counted_anew() {
        let mut deltas = deltas(2, false);
        let now = Instant::now();
        for (uid, first) in [("a", START + 1), ("b", START + 2), ("c", START + 3)] {
            assert_eq!(told(deltas.observe(&event(uid, "1", 5, first), now)), Some((5, OccurrenceKind::New)));
        }
        assert_eq!((deltas.len(), deltas.counters().evicted), (2, 1));
        // `a` was told five times already.
        assert_eq!(told(deltas.observe(&event("a", "2", 6, START + 1), now)), Some((1, OccurrenceKind::New)));
        assert_eq!(told(deltas.observe(&event("d", "3", 6, START + 9), now)), Some((6, OccurrenceKind::New)));
    }

    #[test]
    fn changes_keep_an_event_and_time_drops_it() {
        let mut deltas = deltas(10, false);
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        deltas.observe(&event("a", "1", 1, START), at(0));
        deltas.observe(&event("b", "1", 1, START), at(1));
        deltas.observe(&event("a", "2", 2, START), at(50));
        deltas.observe(&event("c", "1", 1, START), at(70));
        assert_eq!((deltas.len(), deltas.counters().expired), (2, 1));
        assert_eq!(told(deltas.observe(&event("a", "3", 4, START), at(71))), Some((2, OccurrenceKind::Again)));
        deltas.remove("a");
        deltas.remove("a");
        assert_eq!(deltas.len(), 1);
    }

    #[test]
    fn what_has_no_id_is_told_each_time_and_kept_nowhere() {
        let mut deltas = deltas(10, false);
        let now = Instant::now();
        for uid in [String::new(), "u".repeat(1000)] {
            for _ in 0..2 {
                assert_eq!(told(deltas.observe(&event(&uid, "1", 9, START), now)), Some((1, OccurrenceKind::New)));
            }
        }
        assert!(deltas.is_empty());
        assert_eq!(deltas.counters().untracked, 4);
        // Without a resourceVersion only the count tells.
        let table = [(1, Some(1)), (1, None), (3, Some(2))];
        for (count, want) in table {
            assert_eq!(told(deltas.observe(&event("u", "", count, START), now)).map(|(delta, _)| delta), want);
        }
        let opaque = [("x", Some(1)), ("x", None), ("w", Some(1))];
        for (count, (version, want)) in (1..).zip(opaque) {
            let observed = deltas.observe(&event("o", version, count, START - 9), now);
            assert_eq!(told(observed).map(|(delta, _)| delta).map(|delta| delta.min(1)), want, "{version}");
        }
    }

    #[test]
    fn what_was_stored_is_not_told_again() {
        let mut deltas = deltas(10, false);
        let now = Instant::now();
        deltas.seed("u", "5", 3, now);
        assert_eq!(deltas.observe(&event("u", "5", 3, START), now), Observed::Duplicate);
        assert_eq!(told(deltas.observe(&event("u", "6", 8, START), now)), Some((5, OccurrenceKind::Again)));
    }

    proptest::proptest! {
        /// The deltas of an event that keeps rising add up to its count, in whatever order its states come.
        #[test]
        fn deltas_add_up(order in proptest::collection::vec(1..50_i32, 1..40)) {
            let mut deltas = deltas(4, false);
            let now = Instant::now();
            let told: u32 = order.iter()
                .filter_map(|at| told(deltas.observe(&event("u", &at.to_string(), *at, START), now)))
                .map(|(delta, _)| delta)
                .sum();
            proptest::prop_assert_eq!(told, order.iter().max().copied().unwrap().cast_unsigned());
        }
    }
}
