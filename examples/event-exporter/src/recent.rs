//! The last events, for the page: so many, each of bounded size.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use kube_events::event::{Deletion, EnhancedEvent};
use parking_lot::Mutex;
use serde::Deserialize;

/// Bytes of a message at most: an event of 10,000 is some 20 MB in all.
const MAX_MESSAGE: usize = 1024;
/// Bytes of any other text at most: names in Kubernetes are not longer.
const MAX_TEXT: usize = 253;
/// Bytes of a filter's text at most.
const MAX_FILTER: usize = 256;
/// Proposals for a filter at most.
const MAX_CHOICES: usize = 100;

/// What the page shows of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) time: Option<Timestamp>,
    pub(crate) type_: String,
    pub(crate) reason: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) component: String,
    pub(crate) count: u32,
    pub(crate) deletion: Deletion,
}

impl Seen {
    pub(crate) fn of(enhanced: &EnhancedEvent) -> Self {
        let event = &enhanced.event;
        let object = &event.involved_object;
        let component =
            if event.source.component.is_empty() { &event.reporting_component } else { &event.source.component };
        Self {
            time: enhanced.timestamp(),
            type_: cut(&event.type_, MAX_TEXT),
            reason: cut(&event.reason, MAX_TEXT),
            kind: cut(&object.kind, MAX_TEXT),
            namespace: cut(&event.metadata.namespace, MAX_TEXT),
            name: cut(&object.name, MAX_TEXT),
            message: cut(&event.message, MAX_MESSAGE),
            component: cut(component, MAX_TEXT),
            count: enhanced.count(),
            deletion: enhanced.object.deletion,
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut short = text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned();
    short.push('…');
    short
}

/// Which events are wanted: the page's query. Texts hit anywhere, in whatever case; an empty one hits all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) reason: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    #[serde(rename = "q")]
    pub(crate) text: String,
}

impl Filter {
    fn parts(&self) -> [&str; 5] {
        [&self.type_, &self.reason, &self.kind, &self.namespace, &self.text]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts().iter().all(|part| part.trim().is_empty())
    }

    fn lowered(&self) -> [String; 5] {
        self.parts().map(|part| {
            let part = part.trim();
            part.get(..part.floor_char_boundary(MAX_FILTER)).unwrap_or_default().to_lowercase()
        })
    }
}

fn hits([type_, reason, kind, namespace, text]: &[String; 5], seen: &Seen) -> bool {
    let has = |text: &str, wanted: &str| wanted.is_empty() || text.to_lowercase().contains(wanted);
    // A type is chosen, not typed.
    let typed = type_.is_empty() || seen.type_.to_lowercase() == *type_;
    let anywhere =
        || [&seen.message, &seen.name, &seen.reason, &seen.component].into_iter().any(|field| has(field, text));
    typed && has(&seen.reason, reason) && has(&seen.kind, kind) && has(&seen.namespace, namespace) && anywhere()
}

/// Values that a filter may have, among the events that are remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choices {
    pub(crate) reasons: BTreeSet<String>,
    pub(crate) kinds: BTreeSet<String>,
    pub(crate) namespaces: BTreeSet<String>,
}

/// The last events, the newest last.
#[derive(Debug)]
pub(crate) struct Recent {
    most: usize,
    events: Mutex<VecDeque<Arc<Seen>>>,
}

impl Recent {
    /// With room for so many.
    pub(crate) fn new(most: u16) -> Self {
        Self { most: most.max(1).into(), events: Mutex::default() }
    }

    pub(crate) fn add(&self, event: &EnhancedEvent) {
        let seen = Arc::new(Seen::of(event));
        let mut events = self.events.lock();
        if events.len() >= self.most {
            events.pop_front();
        }
        events.push_back(seen);
    }

    fn all(&self) -> Vec<Arc<Seen>> {
        self.events.lock().iter().cloned().collect()
    }

    /// The newest `most` of those that are wanted, the newest first; how many are wanted, and how many there are.
    pub(crate) fn wanted(&self, filter: &Filter, most: usize) -> (Vec<Arc<Seen>>, usize, usize) {
        let all = self.all();
        let lowered = filter.lowered();
        let there = all.len();
        let mut wanted: Vec<_> = all.into_iter().rev().filter(|seen| hits(&lowered, seen)).collect();
        let found = wanted.len();
        wanted.truncate(most);
        (wanted, found, there)
    }

    pub(crate) fn choices(&self) -> Choices {
        let mut choices = Choices::default();
        for seen in self.all().iter().rev() {
            let parts = [
                (&mut choices.reasons, &seen.reason),
                (&mut choices.kinds, &seen.kind),
                (&mut choices.namespaces, &seen.namespace),
            ];
            for (set, value) in parts {
                if set.len() < MAX_CHOICES && !value.is_empty() && !set.contains(value) {
                    set.insert(value.clone());
                }
            }
        }
        choices
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use kube_events::event::{Event, EventMeta, ObjectMetadata, ObjectReference};

    use super::*;

    pub(crate) fn event(reason: &str, message: &str) -> EnhancedEvent {
        let event = Event {
            metadata: EventMeta { namespace: "shop".to_owned(), ..EventMeta::default() },
            involved_object: ObjectReference {
                kind: "Pod".to_owned(),
                name: "web-0".to_owned(),
                ..ObjectReference::default()
            },
            type_: "Warning".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..Event::default()
        };
        EnhancedEvent::new(event, Arc::new(ObjectMetadata::gone()))
    }

    fn found(recent: &Recent, filter: &Filter) -> Vec<String> {
        recent.wanted(filter, 100).0.iter().map(|seen| seen.reason.clone()).collect()
    }

    #[test]
    fn it_remembers_the_last_ones_and_cuts_long_texts() {
        let recent = Recent::new(2);
        for (reason, message) in [("A", "x"), ("B", &*"ä".repeat(MAX_MESSAGE)), ("C", "x")] {
            recent.add(&event(reason, message));
        }
        assert_eq!(found(&recent, &Filter::default()), ["C", "B"]);
        let (shown, found, there) = recent.wanted(&Filter::default(), 1);
        assert_eq!((shown.len(), found, there), (1, 2, 2));
        let longest = recent.wanted(&Filter::default(), 2).0[1].message.len();
        assert!(longest <= MAX_MESSAGE + '…'.len_utf8(), "{longest}");
    }

    #[test]
    fn filters_hit_together() {
        let recent = Recent::new(9);
        for (reason, message) in [("BackOff", "restarting failed container"), ("Killing", "Stopping container web")] {
            recent.add(&event(reason, message));
        }
        let filter = |set: fn(&mut Filter)| {
            let mut filter = Filter::default();
            set(&mut filter);
            found(&recent, &filter)
        };
        assert_eq!(filter(|filter| filter.reason = "back".to_owned()), ["BackOff"]);
        assert_eq!(filter(|filter| filter.text = " STOPPING ".to_owned()), ["Killing"]);
        assert_eq!(filter(|filter| filter.type_ = "warning".to_owned()).len(), 2);
        assert_eq!(filter(|filter| filter.type_ = "warn".to_owned()).len(), 0);
        assert_eq!(filter(|filter| filter.kind = "node".to_owned()).len(), 0);
        assert_eq!(filter(|filter| (filter.namespace, filter.text) = ("SHOP".to_owned(), "web-0".to_owned())).len(), 2);
        assert_eq!(filter(|filter| filter.text = "ä".repeat(9999)).len(), 0);
        assert_eq!(recent.choices().reasons.len(), 2);
    }
}
