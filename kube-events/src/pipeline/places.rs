//! Places in the checkpoint, for however many events a sink leaves waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checkpoint::{Position, Progress, Ticket};

/// Acknowledgements that a place of several events is begun with.
const GROUP: u32 = 4096;

/// Begins positions. Each event has one of its own, until half of all are taken: then one stands for some thousand
/// acknowledgements, so that a sink that takes nothing for hours costs no memory and holds up nobody.
#[derive(Debug)]
pub(super) struct Places {
    progress: Progress,
    limit: usize,
    /// By the namespace that is watched.
    groups: BTreeMap<Arc<str>, Group>,
}

#[derive(Debug)]
struct Group {
    ticket: Ticket,
    /// Acknowledgements that nobody is meant to give yet.
    left: u32,
    last: Position,
}

impl Places {
    /// The limit is that of the progress.
    pub(super) fn new(progress: Progress, limit: usize) -> Self {
        Self { progress, limit, groups: BTreeMap::new() }
    }

    /// A place for an event that so many receivers get; none if there is no room at all, or none is needed. The order
    /// is the source's.
    pub(super) fn begin(&mut self, position: &Position, receivers: u32) -> Option<Ticket> {
        let partition = &position.partition;
        let is_crowded = self.is_crowded();
        if !is_crowded {
            self.end_groups();
        }
        // A list is no place to go on from: its times do not belong to the version before it.
        let fits = |group: &Group| {
            group.left >= receivers && (position.resource_version.is_some() || group.last.resource_version.is_none())
        };
        if self.groups.get(partition).is_some_and(|group| !fits(group)) {
            self.end_group(partition);
        }
        if let Some(group) = self.groups.get_mut(partition) {
            return group.take(position, receivers);
        }
        if receivers == 0 || !is_crowded || receivers > GROUP {
            // One that needs no acknowledgement shares a place with others. If there is none, the next one moves the
            // mark as far.
            return self.progress.try_begin(position, receivers).ok();
        }
        // No place to go on from before all of it is dealt with.
        let place = Position { resource_version: None, ..position.clone() };
        let ticket = self.progress.try_begin(&place, GROUP).ok()?;
        let mut group = Group { ticket, left: GROUP, last: position.clone() };
        let ticket = group.take(position, receivers);
        self.groups.insert(Arc::clone(partition), group);
        ticket
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Lets the mark move past groups whose events are all dealt with, before they are full.
    pub(super) fn end_groups(&mut self) {
        while let Some((partition, _)) = self.groups.first_key_value() {
            let partition = Arc::clone(partition);
            self.end_group(&partition);
        }
    }

    /// Groups begin at half the limit and end at a quarter, lest they end all the time.
    fn is_crowded(&self) -> bool {
        let enough = if self.groups.is_empty() { self.limit / 2 } else { self.limit / 4 };
        self.progress.waiting().saturating_sub(self.groups.len()) >= enough.max(1)
    }

    fn end_group(&mut self, partition: &Arc<str>) {
        let Some(group) = self.groups.remove(partition) else { return };
        // The end before the last acknowledgement: it is all done at once then.
        let ended = self.progress.try_begin(&group.last, 0);
        for _ in 0..group.left {
            self.progress.acknowledge(&group.ticket);
        }
        if ended.is_err() {
            // Now there may be room; else the next position that is done moves the mark as far.
            let _ = self.progress.try_begin(&group.last, 0);
        }
    }
}

impl Group {
    fn take(&mut self, position: &Position, receivers: u32) -> Option<Ticket> {
        self.left -= receivers;
        let time = self.last.time.max(position.time);
        self.last = Position { time, ..position.clone() };
        (receivers > 0).then(|| self.ticket.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::EventsApi;

    fn position(version: usize) -> Position {
        Position { partition: "".into(), resource_version: Some(version.to_string().into()), time: None }
    }

    fn version(progress: &Progress) -> usize {
        progress.marks().of("").map_or(0, |mark| mark.resource_version.parse().unwrap())
    }

    #[test]
    fn a_sink_that_takes_nothing_for_a_million_events_costs_a_few_places() {
        let progress = Progress::new(EventsApi::Core, 1000);
        let mut places = Places::new(progress.clone(), 1000);
        let stuck = places.begin(&position(1), 1).unwrap();
        for n in 2..=1_000_000 {
            let ticket = places.begin(&position(n), 1).unwrap_or_else(|| panic!("no place for {n}"));
            progress.acknowledge(&ticket);
        }
        assert!(progress.waiting() <= 1000, "{}", progress.waiting());
        assert_eq!(version(&progress), 0);
        progress.acknowledge(&stuck);
        assert!(version(&progress) > 1_000_000 - 4096, "all groups that are full are done: {}", version(&progress));
        places.end_groups();
        assert_eq!((version(&progress), progress.waiting()), (1_000_000, 0));
    }

    #[test]
    fn without_any_room_events_go_on() {
        let progress = Progress::new(EventsApi::Core, 2);
        let mut places = Places::new(progress.clone(), 2);
        let tickets: Vec<_> = (1..=9000).map(|n| places.begin(&position(n), 1)).collect();
        let tracked = tickets.iter().flatten().count();
        assert_eq!(tracked, 1 + 4096, "one alone and one group");
        for ticket in tickets.iter().flatten() {
            progress.acknowledge(ticket);
        }
        let ticket = places.begin(&position(9001), 1).unwrap();
        progress.acknowledge(&ticket);
        assert_eq!(version(&progress), 9001);
    }

    proptest! {
        /// The mark is never past an event that has a place and is not dealt with, and arrives when all are.
        #[test]
        fn the_mark_waits_for_each(
            receivers in prop::collection::vec(0u32..4, 1..200),
            acknowledged in prop::collection::vec(any::<prop::sample::Index>(), 0..400),
            limit in 1usize..20,
        ) {
            let progress = Progress::new(EventsApi::Core, limit);
            let mut places = Places::new(progress.clone(), limit);
            let mut waiting: Vec<(usize, Ticket)> = Vec::new();
            let mut order = acknowledged.into_iter();
            for (n, receivers) in receivers.iter().enumerate() {
                if let Some(ticket) = places.begin(&position(n + 1), *receivers) {
                    waiting.extend((0..*receivers).map(|_| (n + 1, ticket.clone())));
                }
                if let Some(pick) = order.next() && !waiting.is_empty() {
                    let (_, ticket) = waiting.swap_remove(pick.index(waiting.len()));
                    progress.acknowledge(&ticket);
                }
                let first = waiting.iter().map(|(n, _)| *n).min().unwrap_or(usize::MAX);
                prop_assert!(version(&progress) < first);
                prop_assert!(progress.waiting() <= limit + 1);
            }
            for (_, ticket) in waiting {
                progress.acknowledge(&ticket);
            }
            places.end_groups();
            let ticket = places.begin(&position(1000), 1).unwrap();
            progress.acknowledge(&ticket);
            prop_assert_eq!(version(&progress), 1000);
        }
    }
}
