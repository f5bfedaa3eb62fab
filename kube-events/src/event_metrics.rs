//! How many events there were, by type, reason, kind and namespace.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;

use crate::event::EnhancedEvent;

/// A label's value may be so long.
const MAX_VALUE_BYTES: usize = 128;
/// The value of all labels of what finds no room.
const OTHER: &str = "other";

/// One series of [`EventCounts`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventSeriesKey {
    /// The event's type.
    pub type_: String,
    /// The event's reason.
    pub reason: String,
    /// The object's kind.
    pub kind: String,
    /// The event's namespace.
    pub namespace: String,
}

/// Counts occurrences of events by type, reason, kind and namespace.
///
/// Reasons are whatever a controller writes, so the series are limited: what finds no room is counted in one series
/// whose labels are all `other`, and in [`overflowed`](Self::overflowed). Series are never forgotten: counters don't
/// go back.
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::sync::Arc;
/// use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
/// use kube_events::event_metrics::EventCounts;
///
/// let mut counts = EventCounts::new(NonZeroUsize::new(1000).unwrap());
/// let event = Event { type_: "Warning".to_owned(), reason: "BackOff".to_owned(), ..Event::default() };
/// counts.observe(&EnhancedEvent::new(event, Arc::new(ObjectMetadata::unknown())));
/// let text = counts.exposition("kube_events_total");
/// assert!(text.ends_with("kube_events_total{type=\"Warning\",reason=\"BackOff\",kind=\"\",namespace=\"\"} 1\n"));
/// ```
#[derive(Debug)]
pub struct EventCounts {
    limit: NonZeroUsize,
    series: HashMap<EventSeriesKey, u64>,
    other: u64,
    overflowed: u64,
}

impl EventCounts {
    /// With room for so many series.
    pub fn new(limit: NonZeroUsize) -> Self {
        Self { limit, series: HashMap::new(), other: 0, overflowed: 0 }
    }

    /// Counts an event: as many occurrences as its delta says, one where nobody counted.
    pub fn observe(&mut self, event: &EnhancedEvent) {
        let occurrences = event.occurrence.map_or(1, |occurrence| u64::from(occurrence.delta));
        let inner = &event.event;
        let short = |text: &str| text.get(..text.floor_char_boundary(MAX_VALUE_BYTES)).unwrap_or_default().to_owned();
        let key = EventSeriesKey {
            type_: short(&inner.type_),
            reason: short(&inner.reason),
            kind: short(&inner.involved_object.kind),
            namespace: short(&inner.metadata.namespace),
        };
        if let Some(count) = self.series.get_mut(&key) {
            *count = count.saturating_add(occurrences);
        } else if self.series.len() < self.limit.get() {
            self.series.insert(key, occurrences);
        } else {
            self.other = self.other.saturating_add(occurrences);
            self.overflowed += 1;
        }
    }

    /// The series, by their labels' order, without the one of what found no room.
    pub fn series(&self) -> Vec<(&EventSeriesKey, u64)> {
        let mut series: Vec<_> = self.series.iter().map(|(key, count)| (key, *count)).collect();
        series.sort();
        series
    }

    /// Occurrences of events that found no room.
    pub fn other(&self) -> u64 {
        self.other
    }

    /// Events that found no room.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// The counter in Prometheus' text format, under a name.
    pub fn exposition(&self, name: &str) -> String {
        let mut out = format!("# HELP {name} Occurrences of Kubernetes events.\n# TYPE {name} counter\n");
        let mut line = |values: [&str; 4], count: u64| {
            let [type_, reason, kind, namespace] = values.map(escape);
            // A String takes any text.
            let _ = writeln!(
                out,
                "{name}{{type=\"{type_}\",reason=\"{reason}\",kind=\"{kind}\",namespace=\"{namespace}\"}} {count}"
            );
        };
        for (key, count) in self.series() {
            line([&key.type_, &key.reason, &key.kind, &key.namespace], count);
        }
        if self.overflowed > 0 {
            line([OTHER; 4], self.other);
        }
        out
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Event, ObjectMetadata, Occurrence, OccurrenceKind};

    fn event(reason: &str, delta: Option<u32>) -> EnhancedEvent {
        let event = Event { reason: reason.to_owned(), type_: "Normal".to_owned(), ..Event::default() };
        let mut event = EnhancedEvent::new(event, Arc::new(ObjectMetadata::unknown()));
        event.occurrence = delta.map(|delta| Occurrence { delta, count: delta, kind: OccurrenceKind::New });
        event
    }

    #[test]
    fn series_are_limited_and_nothing_is_lost() {
        let mut counts = EventCounts::new(NonZeroUsize::new(2).unwrap());
        for (reason, delta) in
            [("A", None), ("B\"\\\n", Some(3)), ("A", Some(4)), ("C", Some(5)), ("D", None), ("A", Some(0))]
        {
            counts.observe(&event(reason, delta));
        }
        assert_eq!((counts.other(), counts.overflowed()), (6, 2));
        let want = "# HELP e Occurrences of Kubernetes events.\n# TYPE e counter\n\
            e{type=\"Normal\",reason=\"A\",kind=\"\",namespace=\"\"} 5\n\
            e{type=\"Normal\",reason=\"B\\\"\\\\\\n\",kind=\"\",namespace=\"\"} 3\n\
            e{type=\"other\",reason=\"other\",kind=\"other\",namespace=\"other\"} 6\n";
        assert_eq!(counts.exposition("e"), want);
    }

    #[test]
    fn long_reasons_are_cut() {
        let mut counts = EventCounts::new(NonZeroUsize::new(2).unwrap());
        counts.observe(&event(&"é".repeat(1000), None));
        assert_eq!(counts.series()[0].0.reason, "é".repeat(64));
    }
}
