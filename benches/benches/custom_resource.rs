//! One custom resource: walking it by a configuration, metric by metric.
#![expect(clippy::expect_used, reason = "a benchmark that can't be set up has nothing to measure")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ksm_core::custom_resource::{CustomResourceConfig, Object, ResourceMetrics};
use ksm_core::{
    AllowLists, FamilyIndex, FamilySet, Label, MemoryStore, ObjectKey, Reuse, SampleSink, Samples, Store, StoredObject,
};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

/// Takes samples and does nothing.
struct Nothing;

impl SampleSink for Nothing {
    fn identity(&mut self, labels: &[Label<'_>]) {
        black_box(labels);
    }

    fn sample(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64, reuse: Reuse) {
        black_box((family, labels, value, reuse));
    }
}

/// What each kind of metric costs: `each` by name.
const METRICS: &[(&str, &str)] = &[
    ("gauge_by_lookup", r#"{type: Gauge, gauge: {path: [status, conditions, "[type=Ready]", status]}}"#),
    ("gauge_of_quantity", "{type: Gauge, gauge: {path: [spec, resources, limits, memory]}}"),
    ("gauge_of_time", "{type: Gauge, gauge: {path: [metadata, creationTimestamp]}}"),
    (
        "gauge_per_condition_of_4",
        "{type: Gauge, gauge: {path: [status, conditions], valueFrom: [status], labelsFromPath: {type: [type]}}}",
    ),
    (
        "stateset_of_4",
        "{type: StateSet, stateSet: {path: [status, phase], labelName: phase, list: [A, B, C, Running]}}",
    ),
    ("info", "{type: Info, info: {labelsFromPath: {version: [spec, version], owner: [spec, owner]}}}"),
    ("count_of_4", "{type: Gauge, gauge: {path: [status, conditions], aggregate: count}}"),
    (
        "cel_on_element",
        r#"{type: Gauge, gauge: {path: [status, conditions], aggregate: count, cel: 'self.status == "True"'}}"#,
    ),
    ("cel_on_object", r#"{type: Gauge, gauge: {cel: 'object.status.conditions.exists(c, c.status == "True")'}}"#),
];

fn metrics_of(each: &[(&str, &str)]) -> ResourceMetrics {
    let metrics: Vec<String> = each.iter().map(|(name, each)| format!("{{name: {name}, each: {each}}}")).collect();
    let yaml = format!(
        "spec: {{resources: [{{groupVersionKind: {{group: example.com, version: v1, kind: Foo}},
         labelsFromPath: {{name: [metadata, name], namespace: [metadata, namespace]}}, metrics: [{}]}}]}}",
        metrics.join(",")
    );
    let config = CustomResourceConfig::from_yaml(&yaml, "bench").expect("the configuration is good");
    let metrics = config.for_kind(&GroupVersionKind::gvk("example.com", "v1", "Foo"));
    metrics.expect("the kind is configured")
}

fn object() -> Value {
    let condition = |kind| json!({"type": kind, "status": "True", "reason": "AsExpected", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let conditions = ["Synced", "Healthy", "Valid", "Ready"].map(condition);
    json!({
        "apiVersion": "example.com/v1",
        "kind": "Foo",
        "metadata": {"name": "web", "namespace": "shop", "uid": "6a0bd3c4-8f4e-4d0c-9a39-31c2d1f1a001",
                     "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "web", "team": "shop"}},
        "spec": {"replicas": 3, "version": "v1.2.3", "owner": "shop", "resources": {"limits": {"cpu": "500m", "memory": "5Gi"}}},
        "status": {"phase": "Running", "conditions": conditions},
    })
}

fn walk(c: &mut Criterion) {
    let object: Object = serde_json::from_value(object()).expect("the object decodes");
    let allow = AllowLists::default();
    let mut group = c.benchmark_group("custom_resource");
    group.bench_function("labels_alone", |b| {
        let metrics = metrics_of(&[]);
        let families = FamilySet::default();
        b.iter(|| metrics.collect(black_box(&object), &mut Samples::new(&families, &allow, &mut Nothing)));
    });
    for metric in METRICS {
        let metrics = metrics_of(&[*metric]);
        let families = FamilySet::all(1);
        group.bench_function(metric.0, |b| {
            b.iter(|| metrics.collect(black_box(&object), &mut Samples::new(&families, &allow, &mut Nothing)));
        });
    }
    group.finish();
}

fn walk_and_store(c: &mut Criterion) {
    const ALIKE: usize = 20;

    let object: Object = serde_json::from_value(object()).expect("the object decodes");
    let names: Vec<String> = (0..ALIKE).map(|n| format!("ready_{n}")).collect();
    let each: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), METRICS[0].1)).collect();
    let metrics = metrics_of(&each);
    let (families, allow) = (FamilySet::all(ALIKE), AllowLists::default());
    let store = MemoryStore::new(metrics.families());
    let mut group = c.benchmark_group("custom_resource_of_20_metrics");
    group.throughput(Throughput::Elements(ALIKE as u64));
    group.bench_function("walk", |b| {
        b.iter(|| metrics.collect(black_box(&object), &mut Samples::new(&families, &allow, &mut Nothing)));
    });
    group.bench_function("walk_and_store", |b| {
        let Some(key) = ObjectKey::of(&object.metadata) else { return };
        let stored = StoredObject { key, version: None };
        b.iter(|| {
            store.apply(&stored, &mut |sink| metrics.collect(&object, &mut Samples::new(&families, &allow, sink)));
        });
    });
    group.bench_function("decode", |b| {
        let json = object.value.to_string();
        b.iter(|| serde_json::from_str::<Object>(black_box(&json)));
    });
    group.finish();
}

criterion_group!(benches, walk, walk_and_store);
criterion_main!(benches);
