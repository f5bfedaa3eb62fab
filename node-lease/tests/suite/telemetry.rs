//! What happens → what the crate counts of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster_sim::{Fault, Sim, Verb};
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use node_lease::source::Fixed;
use node_lease::{Attribute, Enricher, LeaseCache, LeaseWriter, NodeMetadata, telemetry};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{sleep, timeout};

const NAMESPACE: &str = "amazon-cloudwatch";

/// Values by `name label=value`.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<BTreeMap<String, Arc<Value>>>>);

#[derive(Default)]
struct Value(AtomicU64);

impl CounterFn for Value {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl GaugeFn for Value {
    fn increment(&self, value: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "gauges of this crate are counts")]
        self.0.store(self.0.load(Ordering::Relaxed).strict_add_signed(value as i64), Ordering::Relaxed);
    }

    fn decrement(&self, value: f64) {
        GaugeFn::increment(self, -value);
    }

    fn set(&self, _: f64) {
        panic!("several writers and caches share a gauge");
    }
}

impl Recorded {
    fn place(&self, key: &Key) -> Arc<Value> {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = [key.name().to_owned(), labels.join(",")].join(" ").trim_end().to_owned();
        self.0.lock().entry(name).or_default().clone()
    }

    fn get(&self, name: &str) -> u64 {
        self.0.lock().get(name).map_or(0, |value| value.0.load(Ordering::Relaxed))
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.place(&Key::from_name(name));
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.place(&Key::from_name(name));
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.place(&Key::from_name(name));
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.place(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.place(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn lease(name: &str, annotations: &serde_json::Value, spec: &serde_json::Value) -> serde_json::Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations}, "spec": spec,
    })
}

#[tokio::test(start_paused = true)]
async fn everything_that_happens_is_counted_with_its_reason() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    let sim = Sim::builder().objects([namespace, node]).start().await.unwrap();
    let (good, now) = (json!({"cwagent.amazonaws.com/host.id": "i-1"}), jiff::Timestamp::now());
    let spec = json!({"leaseDurationSeconds": 7200, "renewTime": format!("{now:.6}")});
    let prefix = "cwagent-node-metadata-";
    for (name, annotations, spec) in [
        ("good", good.clone(), spec.clone()),
        (
            "empty",
            json!({"cwagent.amazonaws.com/host.id": "", "cwagent.amazonaws.com/host.name": "a\u{7}"}),
            spec.clone(),
        ),
        ("timeless", good.clone(), json!({"leaseDurationSeconds": 7200})),
        ("endless", good.clone(), json!({"renewTime": spec["renewTime"]})),
        ("history", good, json!({"leaseDurationSeconds": 7200, "renewTime": "2020-01-01T00:00:00.000000Z"})),
    ] {
        sim.create(lease(&format!("{prefix}{name}"), &annotations, &spec)).unwrap();
    }
    sim.faults().add(Fault::on(Verb::List).resource("leases").status(503).count(2));
    let cache = LeaseCache::builder(sim.client_in_memory(), NAMESPACE).spawn();
    timeout(Duration::from_mins(1), cache.synced()).await.unwrap();
    for (name, value) in [
        ("node_lease_cache_nodes", 1),
        ("node_lease_cache_connected", 1),
        ("node_lease_cache_failures_total reason=503", 2),
        ("node_lease_cache_events_total kind=listed", 5),
        ("node_lease_cache_rejected_total reason=no_metadata", 1),
        ("node_lease_cache_rejected_total reason=no_renew_time", 1),
        ("node_lease_cache_rejected_total reason=bad_duration", 1),
        ("node_lease_cache_rejected_total reason=expired", 1),
        ("node_lease_cache_bad_annotations_total reason=empty", 1),
        ("node_lease_cache_bad_annotations_total reason=malformed", 1),
    ] {
        assert_eq!(recorded.get(name), value, "{name}");
    }

    let source = Fixed(NodeMetadata::new().with(Attribute::HostId, "i-2"));
    let writer = LeaseWriter::builder(sim.client_in_memory(), source, "n", NAMESPACE, "pod").build().unwrap();
    let handle = writer.spawn().unwrap();
    timeout(Duration::from_mins(1), handle.held()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let enricher = Enricher::new(cache.clone());
    assert!(enricher.lookup("n").is_some() && enricher.lookup("good").is_some() && enricher.lookup("?").is_none());
    assert_eq!(recorded.get("node_lease_held"), 1);
    handle.shutdown().await;
    sleep(Duration::from_secs(1)).await;
    sim.delete(
        &cluster_sim::ObjectRef::new("coordination.k8s.io/v1", "Lease", format!("{prefix}good")).within(NAMESPACE),
    )
    .unwrap();
    sleep(Duration::from_secs(1)).await;
    for (name, value) in [
        ("node_lease_fetches_total result=success", 1),
        ("node_lease_writes_total result=success", 1),
        ("node_lease_held", 0),
        ("node_lease_cache_events_total kind=changed", 1),
        ("node_lease_cache_events_total kind=deleted", 2),
        ("node_lease_cache_removed_total reason=deleted", 2),
        ("node_lease_cache_nodes", 0),
        ("node_lease_enriched_total result=hit", 2),
        ("node_lease_enriched_total result=miss", 1),
    ] {
        assert_eq!(recorded.get(name), value, "{name}");
    }

    // Nothing is recorded under a name that the table lacks, and everything in it is described.
    let described = Recorded::default();
    metrics::with_local_recorder(&described, telemetry::describe);
    let described: Vec<String> = described.0.lock().keys().cloned().collect();
    let mut table: Vec<&str> = telemetry::METRICS.iter().map(|(name, ..)| *name).collect();
    table.sort_unstable();
    assert_eq!(described, table);
    for name in recorded.0.lock().keys() {
        assert!(table.contains(&name.split(' ').next().unwrap()), "{name}");
    }
}
