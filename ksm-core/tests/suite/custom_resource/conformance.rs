//! Every case of `tests/data/crs.jsonl`.

use std::collections::{BTreeMap, BTreeSet};

use ksm_core::custom_resource::{CustomResourceConfig, Object, Path, to_number};
use ksm_core::value::write_value;
use kube::core::GroupVersionKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::telling::Counters;

const CASES: &str = include_str!("../../data/crs.jsonl");

#[derive(Deserialize)]
struct Case {
    id: String,
    level: String,
    #[serde(default)]
    config: Option<Value>,
    #[serde(default)]
    object: Option<Value>,
    #[serde(default)]
    objects: Vec<Value>,
    #[serde(default)]
    discovered_gvks: Vec<GroupVersionKind>,
    want_error: Option<bool>,
    want_samples: Option<Vec<String>>,
    want_samples_include: Option<Vec<String>>,
    #[serde(default)]
    want_logged_error: bool,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// A line with its labels in order.
fn canonical(line: &str) -> String {
    let (name, rest) = line.split_once('{').expect("a line has labels");
    let (labels, value) = rest.rsplit_once("} ").expect("labels end before the value");
    let mut labels: Vec<&str> = labels.split("\",").map(|label| label.trim_end_matches('"')).collect();
    labels.sort_unstable();
    format!("{name}{{{}}} {value}", labels.join(","))
}

fn config_of(case: &Case) -> Result<CustomResourceConfig, String> {
    let config = case.config.as_ref().expect("the case has a configuration");
    CustomResourceConfig::from_yaml(&config.to_string(), &case.id).map_err(|errors| errors.to_string())
}

fn kind_of(object: &Value) -> Option<GroupVersionKind> {
    let (group, version) = object["apiVersion"].as_str()?.split_once('/')?;
    Some(GroupVersionKind::gvk(group, version, object["kind"].as_str()?))
}

fn object_of(value: &Value) -> Object {
    serde_json::from_value(value.clone()).expect("the case's object decodes")
}

/// All samples of the case's objects.
fn samples(case: &Case) -> BTreeSet<String> {
    let config = config_of(case).unwrap_or_else(|error| panic!("{error}"));
    let exact = config.resources().first().and_then(|resource| resource.pattern().exact());
    let objects = case.object.iter().chain(&case.objects);
    let lines = objects.flat_map(|object| {
        let gvk = kind_of(object).or_else(|| exact.clone()).expect("the object's kind is known");
        assert!(case.discovered_gvks.is_empty() || case.discovered_gvks.contains(&gvk), "{}", case.id);
        config.for_kind(&gvk).expect("the kind is configured").sample_lines(&object_of(object))
    });
    lines.map(|line| canonical(&line)).collect()
}

/// Checks what a case says of samples; whether it says anything.
fn check_samples(case: &Case) -> bool {
    let all = |lines: &[String]| lines.iter().map(|line| canonical(line)).collect::<BTreeSet<_>>();
    if let Some(want) = &case.want_samples {
        let counters = Counters::default();
        let got = metrics::with_local_recorder(&counters, || samples(case));
        assert_eq!(got, all(want), "{}", case.id);
        assert_eq!(!counters.read().is_empty(), case.want_logged_error, "{}: {:?}", case.id, counters.read());
    }
    if let Some(want) = &case.want_samples_include {
        assert!(samples(case).is_superset(&all(want)), "{}", case.id);
    }
    case.want_samples.is_some() || case.want_samples_include.is_some()
}

/// Checks what a case says of a configuration: whether it compiles, and what its families are called.
fn check_config(case: &Case) {
    let config = config_of(case);
    assert_eq!(config.is_err(), case.want_error.expect("the case says whether it compiles"), "{}", case.id);
    let Ok(config) = config else { return };
    let metrics = config.resources()[0].for_kind(&config.resources()[0].pattern().exact().expect("one kind"));
    let names: Vec<String> = metrics.families().iter().map(|family| family.name.to_string()).collect();
    for (key, want) in &case.more {
        match key.as_str() {
            "want_names" => assert_eq!(json!(names), *want, "{}", case.id),
            "want_resource_name" => assert_eq!(json!(metrics.plural()), *want, "{}", case.id),
            "want_metric_names" => {
                let want = want["resources[0].metrics[0].name"].as_str().expect("a name");
                assert!(names[0].ends_with(&format!("_{want}")), "{}", case.id);
            }
            "want_compiled" => {
                assert_eq!(json!(metrics.plural()), want["resource_name"], "{}", case.id);
                assert_eq!(json!(names[0]), want["families"][0]["name"], "{}", case.id);
                // The labels of the family show on a sample.
                let object = object_of(&json!({"metadata": {"name": "a", "annotations": {"k": "v"}}}));
                let lines = metrics.sample_lines(&object);
                let labels = want["families"][0]["labels"].as_object().expect("labels");
                for (name, value) in labels.iter().map(|(name, value)| (name, value.as_str().expect("a text"))) {
                    assert!(lines[0].contains(&format!("{name}=\"{value}\"")), "{}: {lines:?}", case.id);
                }
                assert!(lines[0].contains("name=\"a\""), "{}: {lines:?}", case.id);
            }
            "want_labels_from_path" => {
                // The second family has the resource's labels alone.
                let object =
                    object_of(&json!({"metadata": {"name": "a", "labels": {"x": "y"}}, "status": {"other": 1}}));
                let lines = metrics.sample_lines(&object);
                let line = lines.iter().find(|line| line.contains("other_count")).expect("a sample");
                assert!(line.contains(r#"name="a""#) && !line.contains("x="), "{}: {line}", case.id);
            }
            // What is logged at which level is seen in `telling`.
            "want_error_log_v" | "want_compiled_not_equal" | "origin" => {}
            other => panic!("{}: unread key {other}", case.id),
        }
    }
}

#[test]
fn configurations_and_values_are_read_as_upstream_does() {
    let mut run: BTreeMap<String, usize> = BTreeMap::new();
    for line in CASES.lines() {
        let case: Case = serde_json::from_str(line).expect("a case per line");
        *run.entry(case.level.clone()).or_default() += 1;
        let (id, of) = (&case.id, |key: &str| case.more.get(key).cloned().unwrap_or_default());
        match case.level.as_str() {
            "gauge" | "info" | "stateset" | "labels" | "docs" | "wildcard" => {
                assert!(check_samples(&case), "{id} says nothing of samples");
            }
            "compile" | "config" => check_config(&case),
            "path" => {
                let path: Vec<String> = serde_json::from_value(of("path")).expect("a path");
                let found = Path::parse(&path)
                    .expect("the path compiles")
                    .get(case.object.as_ref().expect("an object"))
                    .cloned();
                assert_eq!(found.unwrap_or_default(), of("want_value"), "{id}");
            }
            "convert" => {
                let got = match (&of("input"), of("nil_is_zero") == true) {
                    (Value::Null, true) => Ok(0.0),
                    (input, _) => to_number(input),
                };
                assert_eq!(got.is_err(), case.want_error.unwrap_or(false), "{id}: {got:?}");
                if let Ok(value) = got {
                    let mut text = Vec::new();
                    write_value(&mut text, value);
                    assert_eq!(json!(String::from_utf8(text).expect("a number")), of("want_text"), "{id}");
                }
            }
            "name" => {
                let yaml = format!(
                    "spec: {{resources: [{{groupVersionKind: {}, metricNamePrefix: {}, metrics: [{{name: {}, each: {{type: gauge, gauge: {{}}}}}}]}}]}}",
                    of("group_version_kind"),
                    of("metric_name_prefix"),
                    of("name")
                );
                let config = CustomResourceConfig::from_yaml(&yaml, id).unwrap_or_else(|errors| panic!("{errors}"));
                let gvk = config.resources()[0].pattern().exact().expect("one kind");
                assert_eq!(
                    json!(config.for_kind(&gvk).expect("configured").families()[0].name),
                    of("want_name"),
                    "{id}"
                );
            }
            "sample" => {
                let yaml = format!(
                    "spec: {{resources: [{{groupVersionKind: {{group: g, version: v, kind: K}}, metrics: [{{name: a, commonLabels: {}, each: {{type: gauge, gauge: {{path: [value]}}}}}}]}}]}}",
                    of("labels")
                );
                let config = CustomResourceConfig::from_yaml(&yaml, id).unwrap_or_else(|errors| panic!("{errors}"));
                let metrics = config.for_kind(&GroupVersionKind::gvk("g", "v", "K")).expect("configured");
                let line = metrics.sample_lines(&object_of(&json!({"value": of("value")}))).remove(0);
                let want = of("want_sample_without_name").as_str().expect("a sample").replacen('{', "", 1);
                assert!(line.ends_with(&format!(",{want}")), "{id}: {line}");
            }
            other => panic!("{id}: unknown level {other}"),
        }
    }
    assert_eq!((run.len(), run.values().sum::<usize>()), (12, 77), "every case was run: {run:?}");
}
