//! Custom resources by configuration: what kube-state-metrics v2.20 does, our extensions, and faults.

mod conformance;
mod extensions;
mod faults;
mod labels;
mod properties;
mod telling;

use ksm_core::custom_resource::{CustomResourceConfig, Object};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

/// The lines that an object of `myteam.io/v1` `Foo` yields, without the labels that all samples have.
fn lines(metrics: &str, object: Value) -> Vec<String> {
    lines_of(&with_metrics(metrics), object)
}

/// A configuration of `metrics` for `Foo`.
fn with_metrics(metrics: &str) -> String {
    format!(
        "spec: {{resources: [{{groupVersionKind: {{group: myteam.io, version: v1, kind: Foo}}, metricNamePrefix: '', metrics: {metrics}}}]}}"
    )
}

fn lines_of(text: &str, object: Value) -> Vec<String> {
    let metrics = config(text).for_kind(&foo()).expect("the kind is configured");
    let reserved = r#"customresource_group="myteam.io",customresource_kind="Foo",customresource_version="v1""#;
    let lines = metrics.sample_lines(&object_of(object));
    lines.iter().map(|line| line.replace(&format!("{reserved},"), "").replace(reserved, "")).collect()
}

fn config(text: &str) -> CustomResourceConfig {
    CustomResourceConfig::from_yaml(text, "crs.yaml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(config: &str) -> Vec<String> {
    let errors = CustomResourceConfig::from_yaml(config, "crs.yaml").map(drop).unwrap_err();
    errors.0.iter().map(ToString::to_string).collect()
}

fn foo() -> GroupVersionKind {
    GroupVersionKind::gvk("myteam.io", "v1", "Foo")
}

fn object_of(value: Value) -> Object {
    serde_json::from_value(value).expect("an object")
}

/// An object of many shapes.
fn example() -> Value {
    json!({
        "metadata": {"name": "foo", "labels": {"app": "web", "a.b/c": "d"}},
        "spec": {"replicas": 2, "ports": [80, 443], "limits": {"cpu": "250m", "memory": "5Gi"}},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2022-06-28T00:00:00Z"},
                {"type": "Synced", "status": "False", "lastTransitionTime": null},
            ],
        },
    })
}
