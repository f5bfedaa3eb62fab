//! Positions that are acknowledged in any order → the mark before which all are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use super::{EventsApi, Mark, Marks, Position};

/// What of the positions is done with, so that a restart loses nothing: a mark moves on only when everything before it
/// is acknowledged. It does no IO; [`Progress`](super::Progress) shares one.
///
/// A position takes some 100 bytes while it waits, and there are never more than the limit.
///
/// ```
/// use kube_events::checkpoint::{EventsApi, Position, Tracker};
///
/// let at = |version: &str| Position {
///     partition: "".into(), resource_version: Some(version.into()), time: None,
/// };
/// let mut tracker = Tracker::new(EventsApi::Core, 100);
/// // Two sinks get each event.
/// let (first, second) = (tracker.begin(&at("7"), 2)?, tracker.begin(&at("8"), 2)?);
/// for ticket in [&second, &second, &first] {
///     tracker.acknowledge(ticket);
/// }
/// assert_eq!(tracker.marks().of(""), None, "one sink has not got the first");
/// tracker.acknowledge(&first);
/// assert_eq!(tracker.marks().of("").unwrap().resource_version, "8");
/// # Ok::<(), kube_events::checkpoint::Full>(())
/// ```
#[derive(Debug)]
pub struct Tracker {
    limit: usize,
    waiting: usize,
    partitions: BTreeMap<Arc<str>, Partition>,
    marks: Marks,
}

/// Names a position that is to be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    partition: Arc<str>,
    number: u64,
}

/// As many positions wait as may: wait for acknowledgements, and begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{limit} positions wait for acknowledgements: let sinks catch up, or raise the limit")]
pub struct Full {
    /// The limit.
    pub limit: usize,
}

#[derive(Debug, Default)]
struct Partition {
    /// The number of the first that waits.
    first: u64,
    waiting: VecDeque<Waiting>,
    /// The newest time of those that are done.
    time: Option<Timestamp>,
}

#[derive(Debug)]
struct Waiting {
    version: Option<Arc<str>>,
    time: Option<Timestamp>,
    pending: u32,
}

impl Tracker {
    /// Of a source of this API, with so many waiting positions at most (one at least).
    pub fn new(api: EventsApi, limit: usize) -> Self {
        Self { limit: limit.max(1), waiting: 0, partitions: BTreeMap::new(), marks: Marks::new(api) }
    }

    /// The marks that a source goes on from. Those of another API are left out: its versions mean nothing here.
    pub fn resume(&mut self, marks: &Marks) {
        if marks.api == self.marks.api {
            self.marks.marks.clone_from(&marks.marks);
        }
    }

    /// The marks before which everything is acknowledged.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// How many positions wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// A position, in the order of the source, and how often it will be acknowledged: once per sink. One that needs
    /// none (no sink wants it, or it is a bookmark) is done as soon as those before it are.
    pub fn begin(&mut self, position: &Position, acknowledgements: u32) -> Result<Ticket, Full> {
        let partition = self.partitions.entry(position.partition.clone()).or_default();
        // What is done while others before it wait needs no place for each. A part of a list does not join a version:
        // its time is newer than what that version stands for.
        let joins =
            |last: &Waiting| last.pending == 0 && (position.resource_version.is_some() || last.version.is_none());
        if acknowledgements == 0
            && let Some(last) = partition.waiting.back_mut().filter(|last| joins(last))
        {
            last.time = last.time.max(position.time);
            if position.resource_version.is_some() {
                last.version.clone_from(&position.resource_version);
            }
        } else {
            if self.waiting >= self.limit {
                return Err(Full { limit: self.limit });
            }
            self.waiting += 1;
            partition.waiting.push_back(Waiting {
                version: position.resource_version.clone(),
                time: position.time,
                pending: acknowledgements,
            });
        }
        let number = partition.first + partition.waiting.len() as u64 - 1;
        self.settle(&position.partition);
        Ok(Ticket { partition: position.partition.clone(), number })
    }

    /// One sink has dealt with a position: it has it, or has given it up. More acknowledgements than were announced
    /// change nothing. True if a mark moved.
    pub fn acknowledge(&mut self, ticket: &Ticket) -> bool {
        let Some(partition) = self.partitions.get_mut(&ticket.partition) else { return false };
        let place = ticket.number.checked_sub(partition.first).and_then(|place| usize::try_from(place).ok());
        let Some(waiting) = place.and_then(|place| partition.waiting.get_mut(place)) else { return false };
        waiting.pending = waiting.pending.saturating_sub(1);
        self.settle(&ticket.partition)
    }

    /// Takes out what is done; true if the mark moved.
    fn settle(&mut self, name: &Arc<str>) -> bool {
        let Some(partition) = self.partitions.get_mut(name) else { return false };
        let mut version = None;
        let mut last_event = None;
        while let Some(done) = partition.waiting.pop_front_if(|first| first.pending == 0) {
            partition.first += 1;
            self.waiting -= 1;
            partition.time = partition.time.max(done.time);
            if done.version.is_some() {
                // Times go with versions: half a list says nothing about what is newer.
                (version, last_event) = (done.version, partition.time);
            }
        }
        let Some(version) = version else { return false };
        let resource_version = version.as_ref().to_owned();
        match self.marks.marks.get_mut(name.as_ref()) {
            Some(mark) => *mark = Mark { resource_version, last_event: last_event.max(mark.last_event) },
            None => {
                self.marks.marks.insert(name.as_ref().to_owned(), Mark { resource_version, last_event });
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(version: Option<u64>, second: i64) -> Position {
        Position {
            partition: "".into(),
            resource_version: version.map(|version| version.to_string().into()),
            time: Timestamp::from_second(second).ok(),
        }
    }

    fn version(tracker: &Tracker) -> Option<u64> {
        tracker.marks().of("").map(|mark| mark.resource_version.parse().unwrap())
    }

    #[test]
    fn a_list_is_a_place_to_go_on_from_when_all_of_it_is_done() {
        let mut tracker = Tracker::new(EventsApi::Core, 10);
        let (late, early) =
            (tracker.begin(&position(None, 9), 1).unwrap(), tracker.begin(&position(None, 5), 1).unwrap());
        tracker.begin(&position(Some(100), 0), 0).unwrap();
        assert!(!tracker.acknowledge(&late));
        assert_eq!(tracker.marks().of(""), None);
        assert!(tracker.acknowledge(&early));
        let last_event = Timestamp::from_second(9).ok();
        assert_eq!(tracker.marks().of(""), Some(&Mark { resource_version: "100".to_owned(), last_event }));
        assert_eq!(tracker.waiting(), 0);
    }

    #[test]
    fn bookmarks_behind_a_stuck_sink_take_one_place() {
        let mut tracker = Tracker::new(EventsApi::Core, 2);
        let stuck = tracker.begin(&position(Some(1), 1), 1).unwrap();
        for version in 2..1000 {
            tracker.begin(&position(Some(version), 0), 0).unwrap();
        }
        assert_eq!(tracker.waiting(), 2);
        assert_eq!(tracker.begin(&position(Some(1000), 1), 1), Err(Full { limit: 2 }));
        assert!(tracker.acknowledge(&stuck));
        assert_eq!(version(&tracker), Some(999));
        tracker.begin(&position(Some(1000), 1), 1).unwrap();
    }

    #[test]
    fn marks_go_on_from_what_was_stored_by_the_same_api() {
        let mark = Mark { resource_version: "5".to_owned(), last_event: Timestamp::from_second(50).ok() };
        let marks = Marks { api: EventsApi::Events, marks: [("a".into(), mark)].into() };
        let mut tracker = Tracker::new(EventsApi::Core, 2);
        tracker.resume(&marks);
        assert_eq!(*tracker.marks(), Marks::new(EventsApi::Core));
        let mut tracker = Tracker::new(EventsApi::Events, 2);
        tracker.resume(&marks);
        let older = Position { partition: "a".into(), ..position(Some(6), 49) };
        tracker.begin(&older, 0).unwrap();
        let mark = Mark { resource_version: "6".to_owned(), last_event: Timestamp::from_second(50).ok() };
        assert_eq!(tracker.marks().of("a"), Some(&mark), "the newest time stays");
    }

    #[test]
    fn a_part_of_a_list_gives_its_time_to_no_version_before_it() {
        let mut tracker = Tracker::new(EventsApi::Core, 10);
        let stuck = tracker.begin(&position(Some(1), 1), 1).unwrap();
        tracker.begin(&position(Some(5), 5), 0).unwrap();
        // The list that follows a version which the server has forgotten. Nobody wants its first events; the process
        // ends before it is read to the end.
        for second in [90, 100] {
            tracker.begin(&position(None, second), 0).unwrap();
        }
        assert_eq!(tracker.waiting(), 3, "the bookmark and the list's part take a place each");
        assert!(tracker.acknowledge(&stuck));
        let mark = |version: &str, second| Mark {
            resource_version: version.to_owned(),
            last_event: Timestamp::from_second(second).ok(),
        };
        assert_eq!(tracker.marks().of(""), Some(&mark("5", 5)), "what is newer than 5 s was not told yet");
        tracker.begin(&position(Some(200), 0), 0).unwrap();
        assert_eq!(tracker.marks().of(""), Some(&mark("200", 100)));
    }

    proptest! {
        /// Acknowledgements in any order, of several sinks, some twice: the mark is always the last version before the
        /// first position that is not done, with the newest time up to that version.
        #[test]
        fn the_mark_is_the_end_of_what_is_done(
            sinks in prop::collection::vec((0u32..3, any::<bool>(), 0i64..50), 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let mut tracker = Tracker::new(EventsApi::Core, sinks.len());
            let mut left: Vec<u32> = sinks.iter().map(|(pending, ..)| *pending).collect();
            let versions: Vec<Option<u64>> =
                sinks.iter().enumerate().map(|(n, (_, listed, _))| (!listed).then_some(n as u64 + 1)).collect();
            let mut tickets = Vec::new();
            let expected = |left: &[u32]| {
                let done = left.iter().take_while(|left| **left == 0).count();
                let last = versions[..done].iter().rposition(Option::is_some)?;
                let last_event = sinks[..=last].iter().map(|(.., second)| *second).max();
                let last_event = last_event.and_then(|second| Timestamp::from_second(second).ok());
                Some(Mark { resource_version: versions[last]?.to_string(), last_event })
            };
            let marked = |tracker: &Tracker| tracker.marks().of("").cloned();
            for (n, (pending, _, second)) in sinks.iter().enumerate() {
                tickets.push(tracker.begin(&position(versions[n], *second), *pending).unwrap());
                prop_assert_eq!(marked(&tracker), expected(&left[..=n]));
            }
            for pick in order {
                let n = pick.index(tickets.len());
                // A bookmark's place may be shared with one before it: only what needs acknowledging gets some.
                if sinks[n].0 == 0 {
                    continue;
                }
                left[n] = left[n].saturating_sub(1);
                tracker.acknowledge(&tickets[n]);
                prop_assert_eq!(marked(&tracker), expected(&left));
                prop_assert!(tracker.waiting() <= left.len());
            }
            for (n, ticket) in tickets.iter().enumerate() {
                for _ in 0..sinks[n].0 {
                    tracker.acknowledge(ticket);
                }
            }
            prop_assert_eq!(version(&tracker), versions.iter().copied().flatten().last());
            prop_assert_eq!(tracker.waiting(), 0);
        }
    }
}
