//! From the types of `k8s-openapi`.

use k8s_openapi::api::{core::v1 as core, events::v1 as events};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::jiff::Timestamp;

use super::{Event, EventMeta, EventSeries, EventSource, Marks, ObjectReference, OwnerReference};

fn time(time: Option<meta::Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

fn micro_time(time: Option<meta::MicroTime>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

impl From<meta::OwnerReference> for OwnerReference {
    fn from(owner: meta::OwnerReference) -> Self {
        Self {
            api_version: owner.api_version,
            kind: owner.kind,
            name: owner.name,
            uid: owner.uid,
            controller: owner.controller,
            block_owner_deletion: owner.block_owner_deletion,
        }
    }
}

impl From<core::ObjectReference> for ObjectReference {
    fn from(object: core::ObjectReference) -> Self {
        Self {
            kind: object.kind.unwrap_or_default(),
            namespace: object.namespace.unwrap_or_default(),
            name: object.name.unwrap_or_default(),
            uid: object.uid.unwrap_or_default(),
            api_version: object.api_version.unwrap_or_default(),
            resource_version: object.resource_version.unwrap_or_default(),
            field_path: object.field_path.unwrap_or_default(),
        }
    }
}

impl From<core::EventSource> for EventSource {
    fn from(source: core::EventSource) -> Self {
        Self { component: source.component.unwrap_or_default(), host: source.host.unwrap_or_default() }
    }
}

impl From<meta::ObjectMeta> for EventMeta {
    fn from(meta: meta::ObjectMeta) -> Self {
        Self {
            name: meta.name.unwrap_or_default(),
            generate_name: meta.generate_name.unwrap_or_default(),
            namespace: meta.namespace.unwrap_or_default(),
            self_link: meta.self_link.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            resource_version: meta.resource_version.unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            creation_timestamp: time(meta.creation_timestamp),
            deletion_timestamp: time(meta.deletion_timestamp),
            deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
            labels: meta.labels.unwrap_or_default(),
            annotations: meta.annotations.unwrap_or_default(),
            owner_references: meta.owner_references.unwrap_or_default().into_iter().map(Into::into).collect(),
            finalizers: meta.finalizers.unwrap_or_default(),
        }
    }
}

impl From<core::Event> for Event {
    fn from(event: core::Event) -> Self {
        let series = |series: core::EventSeries| EventSeries {
            count: series.count.unwrap_or_default(),
            last_observed_time: micro_time(series.last_observed_time),
        };
        Self {
            metadata: event.metadata.into(),
            involved_object: event.involved_object.into(),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
            source: event.source.map(Into::into).unwrap_or_default(),
            first_timestamp: time(event.first_timestamp),
            last_timestamp: time(event.last_timestamp),
            count: event.count.unwrap_or_default(),
            type_: event.type_.unwrap_or_default(),
            event_time: micro_time(event.event_time),
            series: event.series.map(series),
            action: event.action.unwrap_or_default(),
            related: event.related.map(Into::into),
            reporting_component: event.reporting_component.unwrap_or_default(),
            reporting_instance: event.reporting_instance.unwrap_or_default(),
            marks: Marks::default(),
        }
    }
}

impl From<events::Event> for Event {
    fn from(event: events::Event) -> Self {
        let series = |series: events::EventSeries| EventSeries {
            count: series.count,
            last_observed_time: Some(series.last_observed_time.0),
        };
        Self {
            metadata: event.metadata.into(),
            involved_object: event.regarding.map(Into::into).unwrap_or_default(),
            reason: event.reason.unwrap_or_default(),
            message: event.note.unwrap_or_default(),
            source: event.deprecated_source.map(Into::into).unwrap_or_default(),
            first_timestamp: time(event.deprecated_first_timestamp),
            last_timestamp: time(event.deprecated_last_timestamp),
            count: event.deprecated_count.unwrap_or_default(),
            type_: event.type_.unwrap_or_default(),
            event_time: micro_time(event.event_time),
            series: event.series.map(series),
            action: event.action.unwrap_or_default(),
            related: event.related.map(Into::into),
            reporting_component: event.reporting_controller.unwrap_or_default(),
            reporting_instance: event.reporting_instance.unwrap_or_default(),
            marks: Marks::default(),
        }
    }
}
