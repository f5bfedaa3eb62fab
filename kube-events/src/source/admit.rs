//! Which events are told: those that are new, of those that come in. No IO.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metrics::counter;

use super::gap::{Gap, GapReason};
use super::options::SourceOptions;
use crate::checkpoint::{Mark, Position};
use crate::clock::WallClock;
use crate::event::Event;
use crate::telemetry;

/// Events that are remembered, so that no list tells them again: some 100 bytes each.
const REMEMBERED: usize = 8192;
/// Clocks differ: where only times tell what is newer than what was seen, so much older is looked at, too.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Why there is a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// Nothing was seen before.
    Fresh,
    /// Nothing is known of what was seen before.
    Lost,
    /// Something was seen before, up to the place.
    After(GapReason),
}

/// Where a watch is, and what it has seen.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) partition: Arc<str>,
    pub(super) options: Arc<SourceOptions>,
    pub(super) clock: WallClock,
    pub(super) place: Place,
    seen: Seen,
    /// What was there at the start is judged by its age then: a server that answers late costs no events.
    started: Timestamp,
}

/// The last that was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) version: Option<Arc<str>>,
    pub(super) last_event: Option<Timestamp>,
}

impl From<&Mark> for Place {
    fn from(mark: &Mark) -> Self {
        Self { version: Some(mark.resource_version.as_str().into()), last_event: mark.last_event }
    }
}

impl Admission {
    pub(super) fn new(partition: Arc<str>, options: Arc<SourceOptions>, clock: WallClock, place: Place) -> Self {
        let started = clock.now();
        Self { partition, options, clock, place, seen: Seen::default(), started }
    }

    /// The gap that a list closes, if there is one. It is counted.
    pub(super) fn gap(&self, listing: Listing) -> Option<Gap> {
        let (reason, since) = match listing {
            Listing::Fresh => return None,
            Listing::Lost => (GapReason::CheckpointLost, None),
            Listing::After(reason) => (reason, self.place.last_event),
        };
        counter!(telemetry::SOURCE_GAPS, "reason" => reason.as_str()).increment(1);
        let gap = Gap { partition: self.partition.clone(), since, until: self.clock.now(), reason };
        tracing::warn!(partition = %self.partition, "{gap}");
        Some(gap)
    }

    /// Whether a listed event is told. `before`: the place when the list began.
    pub(super) fn admits_listed(&mut self, event: &Event, listing: Listing, before: &Place) -> bool {
        counter!(telemetry::SOURCE_EVENTS, "kind" => "listed").increment(1);
        match listing {
            Listing::Fresh | Listing::Lost => {
                if is_too_old(event, self.started, self.options.max_age) {
                    return false;
                }
            }
            Listing::After(reason) => {
                if !is_newer(event, before, reason) {
                    counter!(telemetry::SOURCE_SKIPPED, "reason" => "seen").increment(1);
                    return false;
                }
            }
        }
        self.is_news(event)
    }

    /// Whether an event that came by watch is told. The watch is where the event is from now on.
    pub(super) fn admits_watched(&mut self, event: &Event) -> bool {
        self.advance(&event.metadata.resource_version);
        !is_too_old(event, self.clock.now(), self.options.max_watched_age) && self.is_news(event)
    }

    /// The watch is at this version.
    pub(super) fn advance(&mut self, version: &str) {
        if !version.is_empty() {
            self.place.version = Some(version.into());
        }
    }

    /// The position of an event; without a version if it is within a list.
    pub(super) fn position(&mut self, event: &Event, within_list: bool) -> Position {
        // By a clock that is ahead, all that happens until then would be taken for seen where only times tell.
        let time = event.timestamp().map(|time| time.min(self.clock.now()));
        self.place.last_event = self.place.last_event.max(time);
        let resource_version = if within_list { None } else { self.place.version.clone() };
        Position { partition: self.partition.clone(), resource_version, time }
    }

    /// Where the watch is.
    pub(super) fn bookmark(&self) -> Position {
        Position { partition: self.partition.clone(), resource_version: self.place.version.clone(), time: None }
    }

    fn is_news(&mut self, event: &Event) -> bool {
        let news = self.seen.insert(&event.metadata.uid, &event.metadata.resource_version);
        if !news {
            counter!(telemetry::SOURCE_SKIPPED, "reason" => "seen").increment(1);
        }
        news
    }
}

fn is_too_old(event: &Event, now: Timestamp, max_age: Option<Duration>) -> bool {
    let (Some(max_age), Some(time)) = (max_age, event.timestamp()) else { return false };
    let old = now.duration_since(time) > SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
    if old {
        counter!(telemetry::EVENTS_DISCARDED).increment(1);
    }
    old
}

/// Whether an event is newer than what was seen up to a place: by its version where both are numbers and of one history,
/// as those of Kubernetes' own servers are; by its time otherwise, and then rather too many than too few.
fn is_newer(event: &Event, place: &Place, reason: GapReason) -> bool {
    if reason.keeps_versions()
        && let Some(seen) = &place.version
        && let (Ok(version), Ok(seen)) = (event.metadata.resource_version.parse::<u64>(), seen.parse::<u64>())
    {
        return version > seen;
    }
    match (event.timestamp(), place.last_event) {
        (Some(time), Some(last)) => time.duration_since(last) >= -SKEW,
        _ => true,
    }
}

/// The newest events, by uid and version.
#[derive(Debug, Default)]
struct Seen {
    known: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Seen {
    /// False if it was there.
    fn insert(&mut self, uid: &str, version: &str) -> bool {
        // What says nothing of itself can't be told from others.
        if uid.is_empty() || version.is_empty() {
            return true;
        }
        let key: Arc<str> = format!("{uid}/{version}").into();
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(uid: &str, version: &str, second: i64) -> Event {
        let mut event = Event { last_timestamp: Timestamp::from_second(second).ok(), ..Event::default() };
        event.metadata.uid = uid.to_owned();
        event.metadata.resource_version = version.to_owned();
        event
    }

    fn admission(options: SourceOptions, place: Place) -> Admission {
        let clock = WallClock(Arc::new(|| Timestamp::from_second(1000).unwrap_or_default()));
        Admission::new("".into(), Arc::new(options), clock, place)
    }

    #[test]
    fn age_decides_at_a_fresh_start_and_for_watches_only_where_it_is_asked_to() {
        let mut fresh = admission(SourceOptions::default(), Place::default());
        let place = Place::default();
        for (n, (second, told)) in
            [(990, false), (994, false), (995, true), (1000, true), (5000, true)].into_iter().enumerate()
        {
            let listed = event(&n.to_string(), "1", second);
            assert_eq!(fresh.admits_listed(&listed, Listing::Fresh, &place), told, "{second}");
            assert!(fresh.admits_watched(&event(&n.to_string(), "2", second)), "{second}");
        }
        let timeless = Event { last_timestamp: None, ..event("timeless", "1", 0) };
        assert!(fresh.admits_listed(&timeless, Listing::Fresh, &place));
        let mut all = admission(SourceOptions { max_age: None, ..SourceOptions::default() }, Place::default());
        assert!(all.admits_listed(&event("a", "1", 0), Listing::Fresh, &place));
        let options = SourceOptions { max_watched_age: Some(Duration::from_mins(1)), ..SourceOptions::default() };
        assert!(!admission(options, Place::default()).admits_watched(&event("a", "1", 900)));
    }

    #[test]
    fn after_a_gap_what_is_newer_is_told_by_version_or_else_by_time() {
        let place = Place { version: Some("100".into()), last_event: Timestamp::from_second(500).ok() };
        let mut gap = admission(SourceOptions::default(), place.clone());
        let after = Listing::After;
        for (version, second, reason, told) in [
            ("100", 900, GapReason::Compacted, false),
            ("101", 1, GapReason::Compacted, true),
            // Versions of another history: times tell, with room for clocks that differ.
            ("101", 400, GapReason::VersionReset, false),
            ("99", 441, GapReason::VersionReset, true),
            ("7", 600, GapReason::ApiChanged, true),
            ("opaque", 400, GapReason::Compacted, false),
            ("opaque", 500, GapReason::Compacted, true),
        ] {
            let listed = event(&format!("{version} {second}"), version, second);
            assert_eq!(gap.admits_listed(&listed, after(reason), &place), told, "{version} at {second}, {reason:?}");
        }
        let again = event("a", "101", 600);
        assert!(gap.admits_listed(&again, after(GapReason::Compacted), &place));
        assert!(!gap.admits_listed(&again, after(GapReason::Compacted), &place), "once");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = Seen::default();
        for n in 0..3 * REMEMBERED {
            assert!(seen.insert("u", &n.to_string()));
        }
        assert_eq!((seen.known.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
        assert!(!seen.insert("u", &(3 * REMEMBERED - 1).to_string()));
        assert!(seen.insert("u", "0"), "forgotten");
        assert!(seen.insert("", "") && seen.insert("", ""));
    }
}
