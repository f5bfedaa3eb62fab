//! The names that kube-state-metrics gives to metrics about itself, beside ksm-core's, so that its alerts go on working.
//!
//! `resource` is the plural (`pods`), where upstream has a Go type (`*v1.Pod`).

use std::sync::Arc;

use ksm_core::Ksm;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata, Recorder, SharedString,
    Unit,
};

/// A recorder that records some metrics under upstream's names too.
#[derive(Debug)]
pub(crate) struct UpstreamNames<R>(R);

impl<R> UpstreamNames<R> {
    pub(crate) fn new(recorder: R) -> Self {
        Self(recorder)
    }
}

/// Metrics that say once what they have to say.
pub(crate) fn state_build() {
    metrics::describe_gauge!("kube_state_metrics_build_info", "The version of the program: always 1.");
    metrics::gauge!("kube_state_metrics_build_info", "version" => env!("CARGO_PKG_VERSION"), "language" => "rust")
        .set(1);
    state_zeros();
}

/// Which shard this is, in words of its own: a series whose label changes can't be taken back from a recorder.
pub(crate) fn shard_ordinal(ksm: &Ksm) -> String {
    let ordinal = ksm.shard().map_or(0, ksm_core::Shard::ordinal);
    format!(
        "# HELP kube_state_metrics_shard_ordinal Which shard this is, from 0.\n\
         # TYPE kube_state_metrics_shard_ordinal gauge\n\
         kube_state_metrics_shard_ordinal{{shard_ordinal=\"{ordinal}\"}} {ordinal}\n"
    )
}

/// Counts nothing yet; upstream shows these from the start, whether there are custom resources or not.
fn state_zeros() {
    for (_, name) in COUNTERS {
        metrics::counter!(name).increment(0);
    }
    metrics::gauge!("kube_state_metrics_custom_resource_state_cache").set(0);
}

/// The most objects that a list takes in, for each resource; upstream has the metric only where there is a limit.
pub(crate) fn state_limit(limit: Option<u64>, resources: &[String]) {
    for (resource, limit) in resources.iter().filter_map(|resource| Some((resource, limit?))) {
        metrics::gauge!("kube_state_metrics_list_objects_limit", "resource" => resource.clone()).set(limit as f64);
    }
}

/// Counters that differ by their names alone.
const COUNTERS: [(&str, &str); 3] = [
    ("ksm_core_custom_resource_add_events_total", "kube_state_metrics_custom_resource_state_add_events_total"),
    ("ksm_core_custom_resource_update_events_total", "kube_state_metrics_custom_resource_state_update_events_total"),
    ("ksm_core_custom_resource_delete_events_total", "kube_state_metrics_custom_resource_state_delete_events_total"),
];

/// Gauges that differ by their names alone.
const GAUGES: [(&str, &str); 3] = [
    ("ksm_core_total_shards", "kube_state_metrics_total_shards"),
    ("ksm_core_list_objects", "kube_state_metrics_list_objects"),
    ("ksm_core_custom_resource_kinds", "kube_state_metrics_custom_resource_state_cache"),
];

fn renamed(key: &Key, names: &[(&str, &'static str)]) -> Option<Key> {
    let (_, alias) = names.iter().find(|(name, _)| *name == key.name())?;
    Some(Key::from_parts(*alias, key.labels().cloned().collect::<Vec<_>>()))
}

/// `ksm_core_requests_total{request="list"}` → `kube_state_metrics_list_total`
fn counter_alias(key: &Key) -> Option<Key> {
    if key.name() != "ksm_core_requests_total" {
        return renamed(key, &COUNTERS);
    }
    let label = |name: &str| key.labels().find(|label| label.key() == name).map(|label| label.value().to_owned());
    let name = match label("request")?.as_str() {
        "list" => "kube_state_metrics_list_total",
        "watch" => "kube_state_metrics_watch_total",
        _ => return None,
    };
    Some(Key::from_parts(
        name,
        vec![Label::new("result", label("result")?), Label::new("resource", label("resource")?)],
    ))
}

/// `ksm_core_scrape_duration_seconds` → `http_request_duration_seconds{handler="metrics"}`
fn histogram_alias(key: &Key) -> Option<Key> {
    (key.name() == "ksm_core_scrape_duration_seconds").then(|| {
        let labels = vec![Label::new("handler", "metrics"), Label::new("method", "get")];
        Key::from_parts("http_request_duration_seconds", labels)
    })
}

impl<R: Recorder> Recorder for UpstreamNames<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        let own = self.0.register_counter(key, metadata);
        match counter_alias(key) {
            Some(alias) => Counter::from_arc(Arc::new(Both(own, self.0.register_counter(&alias, metadata)))),
            None => own,
        }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        let own = self.0.register_gauge(key, metadata);
        match renamed(key, &GAUGES) {
            Some(alias) => Gauge::from_arc(Arc::new(Both(own, self.0.register_gauge(&alias, metadata)))),
            None => own,
        }
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let own = self.0.register_histogram(key, metadata);
        match histogram_alias(key) {
            Some(alias) => Histogram::from_arc(Arc::new(Both(own, self.0.register_histogram(&alias, metadata)))),
            None => own,
        }
    }
}

/// One metric under two names.
#[derive(Debug)]
struct Both<T>(T, T);

impl CounterFn for Both<Counter> {
    fn increment(&self, value: u64) {
        self.0.increment(value);
        self.1.increment(value);
    }

    fn absolute(&self, value: u64) {
        self.0.absolute(value);
        self.1.absolute(value);
    }
}

impl GaugeFn for Both<Gauge> {
    fn increment(&self, value: f64) {
        self.0.increment(value);
        self.1.increment(value);
    }

    fn decrement(&self, value: f64) {
        self.0.decrement(value);
        self.1.decrement(value);
    }

    fn set(&self, value: f64) {
        self.0.set(value);
        self.1.set(value);
    }
}

impl HistogramFn for Both<Histogram> {
    fn record(&self, value: f64) {
        self.0.record(value);
        self.1.record(value);
    }
}
