//! The two JSON forms.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::model::is_zero_i32;
use super::{
    Deletion, EnhancedEvent, EventMeta, EventSeries, EventSource, ObjectReference, Occurrence, OwnerReference,
    StringMap, time,
};

/// An event in a form that says more than kubernetes-event-exporter's: the same keys, and
///
/// - `involvedObject.deletionState`: `no`, `terminating`, `yes` or `unknown`;
/// - `involvedObject.ownerChain`, `involvedObject.topController`, where they are known;
/// - `namespaceLabels`, where they are known;
/// - `occurrence`: `delta`, `count`, `kind` (`new`, `again`, `reset`, `changed`), where somebody counts;
/// - `timestamp`: when it last happened, in RFC 3339, where there is any time;
/// - `fingerprint`: what it tells, as 16 hexadecimal digits;
/// - `marks`: `messageCut`, `valuesCut`, `invalidUtf8`, where anything was changed.
#[derive(Debug, Clone, Copy)]
pub struct Rich<'a>(&'a EnhancedEvent);

impl EnhancedEvent {
    /// The JSON as kubernetes-event-exporter emits it, without an end of line.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(2048);
        self.write_json(&mut json);
        json
    }

    /// Appends [`to_json`](Self::to_json).
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let before = out.len();
        // Texts under text keys into memory: there is nothing to fail.
        if serde_json::to_writer(&mut *out, self).is_err() {
            out.truncate(before);
        }
    }

    /// The form that says more, for serializers.
    pub fn rich(&self) -> Rich<'_> {
        Rich(self)
    }
}

impl Serialize for EnhancedEvent {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        Wire::of(self, None).serialize(out)
    }
}

impl Serialize for Rich<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let marks = event.event.marks;
        let more = More {
            namespace_labels: event.namespace_labels.as_deref(),
            occurrence: event.occurrence,
            timestamp: event.timestamp_rfc3339(),
            fingerprint: format!("{:016x}", event.fingerprint()),
            marks: marks.any().then_some(MarksWire {
                message_cut: marks.message_cut,
                values_cut: marks.values_cut,
                invalid_utf8: marks.invalid_utf8,
            }),
        };
        Wire::of(event, Some(more)).serialize(out)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    metadata: &'a EventMeta,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    source: &'a EventSource,
    #[serde(serialize_with = "time::serialize_seconds")]
    first_timestamp: Option<Timestamp>,
    #[serde(serialize_with = "time::serialize_seconds")]
    last_timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_zero_i32")]
    count: i32,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    type_: &'a str,
    #[serde(serialize_with = "time::serialize_micros")]
    event_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<&'a EventSeries>,
    #[serde(skip_serializing_if = "str::is_empty")]
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<&'a ObjectReference>,
    reporting_component: &'a str,
    reporting_instance: &'a str,
    cluster_name: &'a str,
    involved_object: ObjectWire<'a>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    more: Option<More<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectWire<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    field_path: &'a str,
    #[serde(skip_serializing_if = "StringMap::is_empty")]
    labels: &'a StringMap,
    #[serde(skip_serializing_if = "StringMap::is_empty")]
    annotations: &'a StringMap,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    owner_references: &'a [OwnerReference],
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_state: Option<Deletion>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    owner_chain: &'a [OwnerReference],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_controller: Option<&'a OwnerReference>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct More<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_labels: Option<&'a StringMap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrence: Option<Occurrence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    marks: Option<MarksWire>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MarksWire {
    message_cut: usize,
    values_cut: usize,
    invalid_utf8: bool,
}

impl<'a> Wire<'a> {
    fn of(enhanced: &'a EnhancedEvent, more: Option<More<'a>>) -> Self {
        let event = &*enhanced.event;
        let rich = more.is_some();
        Self {
            metadata: &event.metadata,
            reason: &event.reason,
            message: &event.message,
            source: &event.source,
            first_timestamp: event.first_timestamp,
            last_timestamp: event.last_timestamp,
            count: event.count,
            type_: &event.type_,
            event_time: event.event_time,
            series: event.series.as_ref(),
            action: &event.action,
            related: event.related.as_ref(),
            reporting_component: &event.reporting_component,
            reporting_instance: &event.reporting_instance,
            cluster_name: &enhanced.cluster_name,
            involved_object: ObjectWire::of(enhanced, rich),
            more,
        }
    }
}

impl<'a> ObjectWire<'a> {
    fn of(enhanced: &'a EnhancedEvent, rich: bool) -> Self {
        let reference = &enhanced.event.involved_object;
        let object = &*enhanced.object;
        Self {
            kind: &reference.kind,
            namespace: &reference.namespace,
            name: &reference.name,
            uid: &reference.uid,
            api_version: &reference.api_version,
            resource_version: &reference.resource_version,
            field_path: &reference.field_path,
            labels: &object.labels,
            annotations: &object.annotations,
            owner_references: &object.owner_references,
            deleted: object.deletion.to_bool(),
            deletion_state: rich.then_some(object.deletion),
            owner_chain: if rich { &enhanced.owner_chain } else { &[] },
            top_controller: if rich { enhanced.top_controller() } else { None },
        }
    }
}
