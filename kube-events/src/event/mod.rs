//! The event with the object that it is about, as a value and as JSON.
//!
//! [`Event`] is what the API server tells, in the shape of core/v1 whichever API served it. [`ObjectMetadata`] is what
//! a cache knows of the object. [`EnhancedEvent`] joins them; its JSON is the form that kubernetes-event-exporter
//! emits, its [`rich`](EnhancedEvent::rich) form says more.

mod convert;
mod de_dot;
mod decode;
mod enhanced;
mod json;
mod lenient;
mod model;
mod object;
mod read_back;
mod time;

pub use decode::{DecodeError, Limits};
pub use enhanced::{EnhancedEvent, Occurrence, OccurrenceKind};
pub use json::Rich;
pub use model::{Event, EventMeta, EventSeries, EventSource, Marks, ObjectReference, OwnerReference};
pub use object::{Deletion, ObjectMetadata};
pub use time::{micros, millis, seconds};

/// Labels or annotations.
pub type StringMap = std::collections::BTreeMap<String, String>;
