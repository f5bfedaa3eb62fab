//! The event as core/v1 has it. A text that is not there is empty.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StringMap;

/// An event in the shape of core/v1.
///
/// The API server serves the same object, with the same UID, as core/v1 and as events.k8s.io/v1: both are read
/// ([`Event::from_json`], [`From`] of the types of `k8s-openapi`), and end up here under the names of core/v1.
///
/// ```
/// use kube_events::event::{Event, Limits};
///
/// let json = br#"{"reason": "BackOff", "note": "again", "regarding": {"kind": "Pod", "name": "web-0"},
///     "series": {"count": 7}, "eventTime": "2024-05-01T10:00:00.000000Z"}"#;
/// let event = Event::from_json(json, &Limits::default())?;
/// assert_eq!(event.message, "again");
/// assert_eq!(event.involved_object.name, "web-0");
/// assert_eq!(event.count(), 7);
/// # Ok::<(), kube_events::event::DecodeError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    /// The event's own metadata, not its object's.
    pub metadata: EventMeta,
    /// The object that it is about (`regarding`).
    pub involved_object: ObjectReference,
    /// Why, as one word: `BackOff`.
    pub reason: String,
    /// What happened, for people (`note`).
    pub message: String,
    /// Who told it (`deprecatedSource`). Empty for those who write events.k8s.io/v1.
    pub source: EventSource,
    /// When it was first seen (`deprecatedFirstTimestamp`), in whole seconds.
    pub first_timestamp: Option<Timestamp>,
    /// When it was last seen (`deprecatedLastTimestamp`), in whole seconds.
    pub last_timestamp: Option<Timestamp>,
    /// How often it was seen (`deprecatedCount`); 0 where it isn't said. [`Event::count`] knows of series too.
    pub count: i32,
    /// `Normal` or `Warning`.
    pub type_: String,
    /// When it was first seen, in microseconds. What only core/v1 knows has none.
    pub event_time: Option<Timestamp>,
    /// The run of equal events that this one stands for.
    pub series: Option<EventSeries>,
    /// What was done or tried.
    pub action: String,
    /// A second object.
    pub related: Option<ObjectReference>,
    /// The controller that wrote it (`reportingController`).
    pub reporting_component: String,
    /// Which instance of the controller.
    pub reporting_instance: String,
    /// What was changed while it was read.
    pub marks: Marks,
}

/// What was changed in an event while it was read, so that nothing is shortened silently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// The bytes that were cut off the message.
    pub message_cut: usize,
    /// How many values of labels and annotations were cut.
    pub values_cut: usize,
    /// Bytes that were no UTF-8 were replaced by U+FFFD.
    pub invalid_utf8: bool,
}

impl Marks {
    /// Whether anything was changed.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// An event's own metadata: `ObjectMeta` without `managedFields`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventMeta {
    /// The name, unique in its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The stem of a name that the server made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// The namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Set by old servers only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub self_link: String,
    /// The unique id. The same in both APIs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Changes with every change.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// The generation; 0 where it isn't said.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// When the server got it.
    #[serde(serialize_with = "super::time::serialize_seconds")]
    pub creation_timestamp: Option<Timestamp>,
    /// When it is to go.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::time::serialize_seconds")]
    pub deletion_timestamp: Option<Timestamp>,
    /// How long its end may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// Its labels.
    #[serde(skip_serializing_if = "StringMap::is_empty")]
    pub labels: StringMap,
    /// Its annotations.
    #[serde(skip_serializing_if = "StringMap::is_empty")]
    pub annotations: StringMap,
    /// Its owners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    /// Its finalizers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}

/// An object that an event names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// The kind: `Pod`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its namespace; empty for what has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its unique id. Some who write events leave it out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Group and version: `apps/v1`, `v1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The version of the object that the event speaks of.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// The part of the object: `spec.containers{web}`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

/// Who told an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EventSource {
    /// The component: `kubelet`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub component: String,
    /// The node that it runs on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
}

/// A run of equal events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSeries {
    /// How often it was seen so far.
    #[serde(skip_serializing_if = "is_zero_i32")]
    pub count: i32,
    /// When it was last seen, in microseconds.
    #[serde(serialize_with = "super::time::serialize_micros")]
    pub last_observed_time: Option<Timestamp>,
}

/// An owner of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version: `apps/v1`.
    pub api_version: String,
    /// The kind: `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub uid: String,
    /// Whether it is the one that manages the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether it can't go before the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn is_zero_i32(number: &i32) -> bool {
    *number == 0
}

impl Event {
    /// How often it happened so far: `count`, else `series.count`, at least 1.
    ///
    /// Where both are there, the greater one counts: writers of the new API keep the old field as it first was.
    pub fn count(&self) -> u32 {
        let series = self.series.as_ref().map_or(0, |series| series.count);
        u32::try_from(self.count.max(series)).unwrap_or(0).max(1)
    }

    /// When it last happened: `lastTimestamp`, else `series.lastObservedTime`, else `eventTime`, else
    /// `firstTimestamp`, else `metadata.creationTimestamp`.
    pub fn timestamp(&self) -> Option<Timestamp> {
        let series = || self.series.as_ref().and_then(|series| series.last_observed_time);
        self.last_timestamp
            .or_else(series)
            .or(self.event_time)
            .or(self.first_timestamp)
            .or(self.metadata.creation_timestamp)
    }

    /// When it first happened: `firstTimestamp`, else `eventTime`. This is what kubernetes-event-exporter's
    /// `GetTimestampMs` and `GetTimestampISO8601` tell; where it has nothing (and tells a date of the year 1), the
    /// time is that of [`timestamp`](Self::timestamp).
    pub fn first_seen(&self) -> Option<Timestamp> {
        self.first_timestamp.or(self.event_time).or_else(|| self.timestamp())
    }
}
