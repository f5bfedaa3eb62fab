//! What is left out is logged at the level that the configuration asks for.
//!
//! A program of its own, with one test: `tracing` asks only the thread that comes first to an event whether anybody
//! wants it, so that a test beside it, without a subscriber, could decide that nobody does.

#![allow(clippy::unwrap_used, reason = "a helper that can't go on fails its test")]

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use ksm_core::custom_resource::{CustomResourceConfig, Object};
use kube::core::GroupVersionKind;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, span};

/// Events of this crate: `LEVEL field=value …`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("ksm_core")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                write!(self.0, " {}={value:?}", field.name()).unwrap();
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn what_is_left_out_is_logged_at_the_level_that_is_asked_for() {
    let text =
        "spec: {resources: [{groupVersionKind: {group: myteam.io, version: v1, kind: Foo}, errorLogV: 5, metrics: [
           {name: quiet, each: {type: gauge, gauge: {path: [status, phase]}}},
           {name: loud, errorLogV: 1, each: {type: gauge, gauge: {path: [status, conditions]}}}]}]}";
    let config = CustomResourceConfig::from_yaml(text, "crs.yaml").unwrap();
    let object: Object = serde_json::from_value(json!({
        "metadata": {"name": "foo"}, "status": {"phase": "Running", "conditions": [{"type": "Ready"}, {"type": "Synced"}]},
    }))
    .unwrap();
    let log = Log::default();
    let metrics = config.for_kind(&GroupVersionKind::gvk("myteam.io", "v1", "Foo")).unwrap().named("renamed");
    tracing::subscriber::with_default(log.clone(), || metrics.sample_lines(&object));
    let lines = log.0.lock().unwrap().clone();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(
        lines[0].starts_with(Level::TRACE.as_str()) && lines[0].contains("kube_customresource_quiet"),
        "{lines:#?}"
    );
    assert!(lines[0].contains("name=\"foo\"") && lines[0].contains("\"Running\" is neither"), "{lines:#?}");
    assert!(lines[1].starts_with(Level::DEBUG.as_str()) && lines[1].contains("path[0]"), "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains("resource=\"renamed\"")), "{lines:#?}");
}
