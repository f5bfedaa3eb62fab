//! From JSON of either API.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::lenient::{Structure, read};
use super::{Event, EventMeta, EventSeries, EventSource, Marks, ObjectReference, OwnerReference, StringMap};

/// A text that is no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No JSON object. Fields of wrong types are no error: they are as if they weren't there.
    #[error("an event is no JSON object of the API server's: {0}")]
    Json(#[from] serde_json::Error),
}

/// How long the texts of an event may be. What is longer is cut at a character's border, and [`Marks`] say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the message, without the mark at its end.
    pub message_bytes: usize,
    /// Bytes of the value of a label or an annotation.
    pub value_bytes: usize,
}

impl Limits {
    /// Nothing is cut.
    pub const NONE: Self = Self { message_bytes: usize::MAX, value_bytes: usize::MAX };
}

impl Default for Limits {
    /// 32 KiB of a message (the API server lets writers of the new API have 1 KiB, those of the old one any length),
    /// 256 KiB of a value (which is as much as the API server takes of all annotations together).
    fn default() -> Self {
        Self { message_bytes: 32 << 10, value_bytes: 256 << 10 }
    }
}

impl Event {
    /// Reads an event of core/v1 or of events.k8s.io/v1, as the API server sends it.
    ///
    /// Fields of wrong types are as if they weren't there, and numbers are taken for texts and texts for numbers where
    /// that can be done. Bytes that are no UTF-8 become U+FFFD.
    pub fn from_json(json: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut event = match std::str::from_utf8(json) {
            Ok(text) => serde_json::from_str(text)?,
            Err(_) => {
                let mut event: Self = serde_json::from_str(&String::from_utf8_lossy(json))?;
                event.marks.invalid_utf8 = true;
                event
            }
        };
        event.bound(limits);
        Ok(event)
    }

    /// Cuts what is longer than the limits, and marks it. A cut message ends with `… [N bytes cut]`.
    pub fn bound(&mut self, limits: &Limits) {
        let cut = cut(&mut self.message, limits.message_bytes);
        if cut > 0 {
            self.marks.message_cut += cut;
            // A String takes any text.
            let _ = write!(self.message, "… [{cut} bytes cut]");
        }
        for value in self.metadata.labels.values_mut().chain(self.metadata.annotations.values_mut()) {
            self.marks.values_cut += usize::from(self::cut(value, limits.value_bytes) > 0);
        }
    }
}

/// Shortens a text to so many bytes or a few less. Tells how many it lost.
fn cut(text: &mut String, bytes: usize) -> usize {
    if text.len() <= bytes {
        return 0;
    }
    let keep = text.floor_char_boundary(bytes);
    let lost = text.len() - keep;
    text.truncate(keep);
    text.shrink_to_fit();
    lost
}

fn structure<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
where
    T: Structure + Deserialize<'de>,
{
    let structure: Option<T> = read(deserializer)?;
    Ok(structure.unwrap_or_default())
}

/// Both shapes in one: what one API names otherwise stands beside what the other names so.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    #[serde(deserialize_with = "structure")]
    metadata: MetaWire,
    #[serde(deserialize_with = "read")]
    involved_object: Option<ObjectWire>,
    #[serde(deserialize_with = "read")]
    regarding: Option<ObjectWire>,
    #[serde(deserialize_with = "read")]
    reason: String,
    #[serde(deserialize_with = "read")]
    message: String,
    #[serde(deserialize_with = "read")]
    note: String,
    #[serde(deserialize_with = "read")]
    source: Option<SourceWire>,
    #[serde(deserialize_with = "read")]
    deprecated_source: Option<SourceWire>,
    #[serde(deserialize_with = "read")]
    first_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "read")]
    deprecated_first_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "read")]
    last_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "read")]
    deprecated_last_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "read")]
    count: i32,
    #[serde(deserialize_with = "read")]
    deprecated_count: i32,
    #[serde(rename = "type", deserialize_with = "read")]
    type_: String,
    #[serde(deserialize_with = "read")]
    event_time: Option<Timestamp>,
    #[serde(deserialize_with = "read")]
    series: Option<SeriesWire>,
    #[serde(deserialize_with = "read")]
    action: String,
    #[serde(deserialize_with = "read")]
    related: Option<ObjectWire>,
    #[serde(deserialize_with = "read")]
    reporting_component: String,
    #[serde(deserialize_with = "read")]
    reporting_controller: String,
    #[serde(deserialize_with = "read")]
    reporting_instance: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetaWire {
    #[serde(deserialize_with = "read")]
    name: String,
    #[serde(deserialize_with = "read")]
    generate_name: String,
    #[serde(deserialize_with = "read")]
    namespace: String,
    #[serde(deserialize_with = "read")]
    self_link: String,
    #[serde(deserialize_with = "read")]
    uid: String,
    #[serde(deserialize_with = "read")]
    resource_version: String,
    #[serde(deserialize_with = "read")]
    generation: i64,
    #[serde(deserialize_with = "read")]
    creation_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "read")]
    deletion_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "read")]
    deletion_grace_period_seconds: Option<i64>,
    #[serde(deserialize_with = "read")]
    labels: StringMap,
    #[serde(deserialize_with = "read")]
    annotations: StringMap,
    #[serde(deserialize_with = "read")]
    owner_references: Vec<Option<OwnerWire>>,
    #[serde(deserialize_with = "read")]
    finalizers: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ObjectWire {
    #[serde(deserialize_with = "read")]
    kind: String,
    #[serde(deserialize_with = "read")]
    namespace: String,
    #[serde(deserialize_with = "read")]
    name: String,
    #[serde(deserialize_with = "read")]
    uid: String,
    #[serde(deserialize_with = "read")]
    api_version: String,
    #[serde(deserialize_with = "read")]
    resource_version: String,
    #[serde(deserialize_with = "read")]
    field_path: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SourceWire {
    #[serde(deserialize_with = "read")]
    component: String,
    #[serde(deserialize_with = "read")]
    host: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SeriesWire {
    #[serde(deserialize_with = "read")]
    count: i32,
    #[serde(deserialize_with = "read")]
    last_observed_time: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OwnerWire {
    #[serde(deserialize_with = "read")]
    api_version: String,
    #[serde(deserialize_with = "read")]
    kind: String,
    #[serde(deserialize_with = "read")]
    name: String,
    #[serde(deserialize_with = "read")]
    uid: String,
    #[serde(deserialize_with = "read")]
    controller: Option<bool>,
    #[serde(deserialize_with = "read")]
    block_owner_deletion: Option<bool>,
}

impl Structure for Wire {}
impl Structure for MetaWire {}
impl Structure for ObjectWire {}
impl Structure for SourceWire {}
impl Structure for SeriesWire {}
impl Structure for OwnerWire {}

impl<'de> Deserialize<'de> for Event {
    /// As [`Event::from_json`], without limits: follow it by [`Event::bound`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire: Option<Wire> = read(deserializer)?;
        wire.map(Into::into).ok_or_else(|| D::Error::custom("expected a map"))
    }
}

impl From<Wire> for Event {
    fn from(wire: Wire) -> Self {
        let either = |text: String, other: String| if text.is_empty() { other } else { text };
        Self {
            metadata: wire.metadata.into(),
            involved_object: wire.involved_object.or(wire.regarding).map(Into::into).unwrap_or_default(),
            reason: wire.reason,
            message: either(wire.message, wire.note),
            source: wire.source.or(wire.deprecated_source).map(Into::into).unwrap_or_default(),
            first_timestamp: wire.first_timestamp.or(wire.deprecated_first_timestamp),
            last_timestamp: wire.last_timestamp.or(wire.deprecated_last_timestamp),
            count: if wire.count == 0 { wire.deprecated_count } else { wire.count },
            type_: wire.type_,
            event_time: wire.event_time,
            series: wire.series.map(Into::into),
            action: wire.action,
            related: wire.related.map(Into::into),
            reporting_component: either(wire.reporting_component, wire.reporting_controller),
            reporting_instance: wire.reporting_instance,
            marks: Marks::default(),
        }
    }
}

impl From<MetaWire> for EventMeta {
    fn from(wire: MetaWire) -> Self {
        Self {
            name: wire.name,
            generate_name: wire.generate_name,
            namespace: wire.namespace,
            self_link: wire.self_link,
            uid: wire.uid,
            resource_version: wire.resource_version,
            generation: wire.generation,
            creation_timestamp: wire.creation_timestamp,
            deletion_timestamp: wire.deletion_timestamp,
            deletion_grace_period_seconds: wire.deletion_grace_period_seconds,
            labels: wire.labels,
            annotations: wire.annotations,
            owner_references: wire.owner_references.into_iter().flatten().map(Into::into).collect(),
            finalizers: wire.finalizers,
        }
    }
}

impl From<ObjectWire> for ObjectReference {
    fn from(wire: ObjectWire) -> Self {
        Self {
            kind: wire.kind,
            namespace: wire.namespace,
            name: wire.name,
            uid: wire.uid,
            api_version: wire.api_version,
            resource_version: wire.resource_version,
            field_path: wire.field_path,
        }
    }
}

impl From<SourceWire> for EventSource {
    fn from(wire: SourceWire) -> Self {
        Self { component: wire.component, host: wire.host }
    }
}

impl From<SeriesWire> for EventSeries {
    fn from(wire: SeriesWire) -> Self {
        Self { count: wire.count, last_observed_time: wire.last_observed_time }
    }
}

impl From<OwnerWire> for OwnerReference {
    fn from(wire: OwnerWire) -> Self {
        Self {
            api_version: wire.api_version,
            kind: wire.kind,
            name: wire.name,
            uid: wire.uid,
            controller: wire.controller,
            block_owner_deletion: wire.block_owner_deletion,
        }
    }
}
