//! Events to send.

use std::sync::Arc;

use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
use kube_events::sink::{Record, Sink};

pub(crate) fn event(reason: &str) -> EnhancedEvent {
    let json = serde_json::json!({
        "metadata": {"name": "web-0.1", "namespace": "shop", "uid": format!("uid-{reason}"), "resourceVersion": "7",
            "creationTimestamp": "2024-05-01T10:00:00Z"},
        "reason": reason, "message": "say \"so\"\nagain", "type": "Warning", "count": 3,
        "source": {"component": "kubelet", "host": "node-1"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-0", "uid": "p-1", "apiVersion": "v1"},
        "firstTimestamp": "2024-04-30T23:00:00Z", "lastTimestamp": "2024-05-01T10:00:00Z",
    });
    let event = Event::from_json(&serde_json::to_vec(&json).unwrap(), &kube_events::event::Limits::default()).unwrap();
    let object =
        ObjectMetadata { labels: [("app.kind/x".to_owned(), "web".to_owned())].into(), ..ObjectMetadata::gone() };
    EnhancedEvent::new(event, Arc::new(object)).with_cluster_name("prod".into())
}

pub(crate) fn records(sink: &impl Sink, reasons: &[&str]) -> Vec<Record> {
    reasons.iter().map(|reason| sink.encode(&event(reason)).unwrap()).collect()
}

/// The reason in each line.
pub(crate) fn reasons(lines: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(lines).unwrap().lines();
    lines
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["reason"].as_str().unwrap().to_owned())
        .collect()
}
