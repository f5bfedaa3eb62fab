//! One event as a log record.

use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

use crate::event::EnhancedEvent;

/// Kinds that the semantic conventions name, or that follow their pattern.
const KINDS: &[(&str, &str)] = &[
    ("ConfigMap", "configmap"),
    ("CronJob", "cronjob"),
    ("DaemonSet", "daemonset"),
    ("Deployment", "deployment"),
    ("HorizontalPodAutoscaler", "hpa"),
    ("Ingress", "ingress"),
    ("Job", "job"),
    ("Namespace", "namespace"),
    ("Node", "node"),
    ("PersistentVolume", "persistentvolume"),
    ("PersistentVolumeClaim", "persistentvolumeclaim"),
    ("Pod", "pod"),
    ("ReplicaSet", "replicaset"),
    ("ReplicationController", "replicationcontroller"),
    ("ResourceQuota", "resourcequota"),
    ("Service", "service"),
    ("StatefulSet", "statefulset"),
];

/// The groups of the kinds above: a custom resource may have the same kind.
const GROUPS: &[&str] = &["", "apps", "autoscaling", "batch", "extensions", "networking.k8s.io"];

pub(super) fn attribute(key: impl Into<String>, value: &str) -> KeyValue {
    any(key, Value::StringValue(value.to_owned()))
}

fn any(key: impl Into<String>, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}

pub(super) fn log_record(event: &EnhancedEvent, body: String, now: Timestamp) -> LogRecord {
    let is_warning = event.event.type_ == "Warning";
    let severity = if is_warning { SeverityNumber::Warn } else { SeverityNumber::Info };
    LogRecord {
        time_unix_nano: event.timestamp().map_or(0, nanos),
        observed_time_unix_nano: nanos(now),
        severity_number: severity.into(),
        severity_text: event.event.type_.clone(),
        body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
        attributes: attributes(event),
        ..LogRecord::default()
    }
}

fn attributes(event: &EnhancedEvent) -> Vec<KeyValue> {
    let inner = &event.event;
    let object = &inner.involved_object;
    let mut out = Vec::new();
    let mut text = |key: &str, value: &str| {
        // Keys are unique in OTLP; the first one stays.
        if !value.is_empty() && !out.iter().any(|known: &KeyValue| known.key == key) {
            out.push(attribute(key, value));
        }
    };
    let group = object.api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let kind = KINDS.iter().find(|(kind, _)| *kind == object.kind && GROUPS.contains(&group)).map(|(_, word)| word);
    text("k8s.event.name", &inner.metadata.name);
    text("k8s.event.uid", &inner.metadata.uid);
    text("k8s.event.reason", &inner.reason);
    text("k8s.event.action", &inner.action);
    if let Some(time) = inner.first_seen() {
        text("k8s.event.start_time", &crate::event::micros(time));
    }
    let reporter = if inner.source.component.is_empty() { &inner.reporting_component } else { &inner.source.component };
    text("k8s.event.reporting_controller", reporter);
    text("k8s.object.kind", &object.kind);
    text("k8s.object.name", &object.name);
    text("k8s.object.uid", &object.uid);
    text("k8s.object.api_version", &object.api_version);
    text("k8s.object.resource_version", &object.resource_version);
    text("k8s.object.fieldpath", &object.field_path);
    text("k8s.object.deletion_state", event.object.deletion.as_str());
    if let Some(kind) = kind {
        text(&format!("k8s.{kind}.name"), &object.name);
        // Kubelets give a node's name for its uid.
        if object.uid != object.name {
            text(&format!("k8s.{kind}.uid"), &object.uid);
        }
        for (key, value) in &event.object.labels {
            text(&format!("k8s.{kind}.label.{key}"), value);
        }
    }
    if let Some((_, container)) = object.field_path.strip_suffix('}').and_then(|path| path.split_once('{')) {
        text("k8s.container.name", container);
    }
    text("k8s.namespace.name", &object.namespace);
    text("k8s.node.name", &inner.source.host);
    out.push(any("k8s.event.count", Value::IntValue(i64::from(event.count()))));
    out
}
