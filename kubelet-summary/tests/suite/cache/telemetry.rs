//! What happens → what the crate counts of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kubelet_summary::telemetry;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use parking_lot::Mutex;

use super::script::{Act, Kubelets, TTL, nodes, pass};

/// Values by `name label=value`; of histograms the sum.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<BTreeMap<String, Arc<Value>>>>);

#[derive(Default)]
struct Value(Mutex<f64>);

impl CounterFn for Value {
    fn increment(&self, value: u64) {
        *self.0.lock() += value as f64;
    }

    fn absolute(&self, value: u64) {
        *self.0.lock() = value as f64;
    }
}

impl GaugeFn for Value {
    fn increment(&self, value: f64) {
        *self.0.lock() += value;
    }

    fn decrement(&self, value: f64) {
        *self.0.lock() -= value;
    }

    fn set(&self, value: f64) {
        *self.0.lock() = value;
    }
}

impl HistogramFn for Value {
    fn record(&self, value: f64) {
        *self.0.lock() += value;
    }
}

impl Recorded {
    fn place(&self, key: &Key) -> Arc<Value> {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = [key.name().to_owned(), labels.join(",")].join(" ").trim_end().to_owned();
        self.0.lock().entry(name).or_default().clone()
    }

    #[expect(clippy::cast_possible_truncation, reason = "the test's values are whole")]
    fn get(&self, name: &str) -> i64 {
        self.0.lock().get(name).map_or(0, |value| *value.0.lock() as i64)
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

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.place(key))
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_counted() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let (kubelets, all) = (Kubelets::default(), nodes(4));
    let cache = kubelets.cache().backlog(2).build();
    let _changes = cache.changes();
    kubelets.act("node-1", Act::Fail);
    kubelets.act("node-2", Act::Slow(Duration::from_secs(3)));
    cache.get_many(&all, Duration::from_secs(10)).await;
    cache.get_many(&all, Duration::from_secs(10)).await;
    for node in &all {
        kubelets.act(&node.name, Act::Hang);
    }
    pass(TTL).await;
    cache.get_many(&all, Duration::from_secs(1)).await;
    for (name, value) in [
        ("kubelet_summary_fetches_total result=success", 3),
        ("kubelet_summary_fetches_total result=other", 1),
        ("kubelet_summary_fetch_duration_seconds", 3),
        ("kubelet_summary_fetches_in_flight", 4),
        ("kubelet_summary_cache_answers_total outcome=fresh", 6),
        ("kubelet_summary_cache_answers_total outcome=stale", 3),
        ("kubelet_summary_cache_answers_total outcome=missing", 3),
        ("kubelet_summary_cache_nodes", 4),
        ("kubelet_summary_cache_oldest_age_seconds", 3),
    ] {
        assert_eq!(recorded.get(name), value, "{name}");
    }
    pass(Duration::from_secs(30)).await;
    assert_eq!(recorded.get("kubelet_summary_fetches_total result=timeout"), 4);
    assert_eq!(recorded.get("kubelet_summary_cache_oldest_age_seconds"), 55 + 3 + 31);
    cache.remove("node-0");
    cache.shutdown().await;
    drop(cache);
    for (name, value) in [
        ("kubelet_summary_fetches_in_flight", 0),
        ("kubelet_summary_cache_nodes", 0),
        ("kubelet_summary_cache_removed_total reason=gone", 1),
        ("kubelet_summary_cache_removed_total reason=stopped", 3),
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

#[tokio::test(start_paused = true)]
async fn a_node_that_nobody_asks_about_ages_only_in_the_background() {
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let (kubelets, all) = (Kubelets::default(), nodes(3));
    let cache = kubelets.cache().build();
    cache.retain(&all);
    pass(Duration::from_hours(1)).await;
    kubelets.act("node-1", Act::Slow(Duration::from_secs(2)));
    cache.get(&all[0]).await;
    cache.get(&all[1]).await;
    // That of the first, while the second was asked.
    assert_eq!(recorded.get("kubelet_summary_cache_oldest_age_seconds"), 2);
    cache.shutdown().await;

    kubelets.act("node-2", Act::Hang);
    let cache = kubelets.cache().spawn().unwrap();
    cache.retain(&all);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert!(recorded.get("kubelet_summary_cache_oldest_age_seconds") > 8 * 60);
    cache.shutdown().await;
}

#[test]
fn the_readme_lists_all_metrics() {
    let readme = include_str!("../../../README.md");
    let listed: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| `kubelet_summary_"))
        .filter(|line| line.ends_with(" |"))
        .collect();
    let wanted: Vec<String> = telemetry::METRICS
        .iter()
        .map(|(name, kind, labels, says)| {
            let labels = if labels.is_empty() { String::new() } else { format!(" `{labels}`") };
            format!("| `{name}` | {kind} |{labels} | {says} |")
        })
        .collect();
    assert_eq!(listed, wanted);
}
