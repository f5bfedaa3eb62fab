//! The event as templates see it: nothing is copied but what they ask for.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

use super::dates;
use crate::event::{EnhancedEvent, EventMeta, ObjectReference, OwnerReference, StringMap, millis};

/// `event`, and parts of it that are structures.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    event: Arc<EnhancedEvent>,
    part: Part,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Event,
    Meta,
    Involved,
}

const EVENT: &[&str] = &[
    "metadata",
    "involvedObject",
    "clusterName",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "series",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
    "namespaceLabels",
    "occurrence",
    "timestamp",
    "timestampMs",
    "firstSeen",
    "firstSeenMs",
    "total",
    "fingerprint",
];

const META: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
];

const INVOLVED: &[&str] = &[
    "kind",
    "namespace",
    "name",
    "uid",
    "apiVersion",
    "resourceVersion",
    "fieldPath",
    "labels",
    "annotations",
    "ownerReferences",
    "deleted",
    "deletionState",
    "ownerChain",
    "topController",
];

impl Scope {
    pub(super) fn of(event: &EnhancedEvent) -> Value {
        Value::from_object(Self { event: Arc::new(event.clone()), part: Part::Event })
    }

    /// As JSON, in the words of the event's JSON.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::to_value(&*self.event).unwrap_or_default();
        match self.part {
            Part::Event => json,
            Part::Meta => json["metadata"].take(),
            Part::Involved => json["involvedObject"].take(),
        }
    }

    fn part(&self, part: Part) -> Value {
        Value::from_object(Self { event: self.event.clone(), part })
    }

    fn event(&self, key: &str) -> Option<Value> {
        let enhanced = &*self.event;
        let event = &*enhanced.event;
        Some(match key {
            "metadata" => self.part(Part::Meta),
            "involvedObject" => self.part(Part::Involved),
            "clusterName" => Value::from(&*enhanced.cluster_name),
            "reason" => Value::from(event.reason.as_str()),
            "message" => Value::from(event.message.as_str()),
            "source" => record([
                ("component", Value::from(event.source.component.as_str())),
                ("host", Value::from(event.source.host.as_str())),
            ]),
            "firstTimestamp" => time(event.first_timestamp),
            "lastTimestamp" => time(event.last_timestamp),
            "count" => Value::from(event.count),
            "type" => Value::from(event.type_.as_str()),
            "eventTime" => time(event.event_time),
            "series" => event.series.as_ref().map_or(Value::from(()), |series| {
                record([("count", Value::from(series.count)), ("lastObservedTime", time(series.last_observed_time))])
            }),
            "action" => Value::from(event.action.as_str()),
            "related" => event.related.as_ref().map_or(Value::from(()), reference),
            "reportingComponent" => Value::from(event.reporting_component.as_str()),
            "reportingInstance" => Value::from(event.reporting_instance.as_str()),
            "namespaceLabels" => map(enhanced.namespace_labels.as_deref()?),
            "occurrence" => {
                let occurrence = enhanced.occurrence?;
                record([
                    ("delta", Value::from(occurrence.delta)),
                    ("count", Value::from(occurrence.count)),
                    ("kind", Value::from(occurrence.kind.as_str())),
                ])
            }
            "timestamp" => Value::from(enhanced.timestamp_rfc3339()?),
            "timestampMs" => Value::from(enhanced.timestamp_ms()?),
            "firstSeen" => Value::from(event.first_seen().map(millis).unwrap_or_default()),
            "firstSeenMs" => Value::from(event.first_seen().map(Timestamp::as_millisecond).unwrap_or_default()),
            "total" => Value::from(event.count()),
            "fingerprint" => Value::from(format!("{:016x}", enhanced.fingerprint())),
            "deDot" => Self::of(&enhanced.de_dot()),
            "kind" | "apiVersion" => Value::from(""),
            _ => return None,
        })
    }

    fn meta(meta: &EventMeta, key: &str) -> Option<Value> {
        Some(match key {
            "name" => Value::from(meta.name.as_str()),
            "generateName" => Value::from(meta.generate_name.as_str()),
            "namespace" => Value::from(meta.namespace.as_str()),
            "selfLink" => Value::from(meta.self_link.as_str()),
            "uid" => Value::from(meta.uid.as_str()),
            "resourceVersion" => Value::from(meta.resource_version.as_str()),
            "generation" => Value::from(meta.generation),
            "creationTimestamp" => time(meta.creation_timestamp),
            "labels" => map(&meta.labels),
            "annotations" => map(&meta.annotations),
            "ownerReferences" => owners(&meta.owner_references),
            "finalizers" => Value::from(meta.finalizers.clone()),
            _ => return None,
        })
    }

    fn involved(&self, key: &str) -> Option<Value> {
        let enhanced = &*self.event;
        let object = &*enhanced.object;
        Some(match key {
            "labels" => map(&object.labels),
            "annotations" => map(&object.annotations),
            "ownerReferences" => owners(&object.owner_references),
            "deleted" => Value::from(object.deletion.to_bool()),
            "deletionState" => Value::from(object.deletion.as_str()),
            "ownerChain" => owners(&enhanced.owner_chain),
            "topController" => owner(enhanced.top_controller()?),
            _ => Value::from(reference_field(&enhanced.event.involved_object, key)?),
        })
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        match self.part {
            Part::Event => self.event(key),
            Part::Meta => Self::meta(&self.event.event.metadata, key),
            Part::Involved => self.involved(key),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(match self.part {
            Part::Event => EVENT,
            Part::Meta => META,
            Part::Involved => INVOLVED,
        })
    }
}

fn reference_field<'a>(object: &'a ObjectReference, key: &str) -> Option<&'a str> {
    Some(match key {
        "kind" => &object.kind,
        "namespace" => &object.namespace,
        "name" => &object.name,
        "uid" => &object.uid,
        "apiVersion" => &object.api_version,
        "resourceVersion" => &object.resource_version,
        "fieldPath" => &object.field_path,
        _ => return None,
    })
}

fn reference(object: &ObjectReference) -> Value {
    let keys = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"];
    record(keys.map(|key| (key, Value::from(reference_field(object, key).unwrap_or_default()))))
}

fn owner(owner: &OwnerReference) -> Value {
    let maybe = |value: Option<bool>| value.map_or(Value::from(()), Value::from);
    record([
        ("apiVersion", Value::from(owner.api_version.as_str())),
        ("kind", Value::from(owner.kind.as_str())),
        ("name", Value::from(owner.name.as_str())),
        ("uid", Value::from(owner.uid.as_str())),
        ("controller", maybe(owner.controller)),
        ("blockOwnerDeletion", maybe(owner.block_owner_deletion)),
    ])
}

fn owners(owners: &[OwnerReference]) -> Value {
    owners.iter().map(owner).collect()
}

fn map(map: &StringMap) -> Value {
    Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

fn record<const N: usize>(fields: [(&'static str, Value); N]) -> Value {
    Value::from_pairs(fields)
}

/// A time, which prints as RFC 3339, or as Go does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Option<Timestamp>);

pub(super) fn time(time: Option<Timestamp>) -> Value {
    Value::from_object(Time(time))
}

impl Time {
    pub(super) fn go(self) -> String {
        match self.0 {
            Some(time) => dates::format("2006-01-02 15:04:05.999999999 -0700 MST", time),
            None => "0001-01-01 00:00:00 +0000 UTC".to_owned(),
        }
    }

    /// By a layout of Go's. The zero time is in the year 1.
    pub(super) fn format(self, layout: &str) -> String {
        let zero = || Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::UNIX_EPOCH);
        dates::format(layout, self.0.unwrap_or_else(zero))
    }
}

impl Object for Time {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let time = self.0.unwrap_or(Timestamp::UNIX_EPOCH);
        Some(match key.as_str()? {
            "unix" => Value::from(time.as_second()),
            "unixMilli" => Value::from(time.as_millisecond()),
            "unixNano" => Value::from(time.as_nanosecond()),
            "isZero" => Value::from(self.0.is_none()),
            _ => return None,
        })
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0.is_some()
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |time| write!(f, "{}", dates::format("2006-01-02T15:04:05.999999Z", time)))
    }
}
