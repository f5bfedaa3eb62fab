//! What happens → what the index counts of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};
use nri_plugin::index::{ContainerIndex, ContainerInfo, Event, PodInfo, telemetry};
use parking_lot::Mutex;

use crate::common::{Host, container, id, pod};

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
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, value: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "gauges of this crate are counts")]
        self.0.store(value as u64, Ordering::Relaxed);
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
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        assert!(!help.is_empty(), "{key:?}");
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        assert!(!help.is_empty(), "{key:?}");
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

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

#[test]
fn everything_in_the_table_is_counted() {
    let recorded = Recorded::default();
    with_local_recorder(&recorded, || {
        telemetry::describe();
        let host = Host::unified();
        let index = ContainerIndex::builder(host.cgroups())
            .grace(Duration::ZERO)
            .max_containers(2)
            .max_nested(1)
            .max_metadata_bytes(1)
            .build();
        let start = |container: ContainerInfo| index.apply(Event::ContainerStarted(container));
        let path = |number: usize| container(number, 2).cgroups_path;

        host.make(&format!("{}/a", path(1)));
        host.make(&format!("{}/b", path(1)));
        start(container(1, 2));
        assert_eq!(recorded.get("nri_index_nested_cgroups"), 1);
        assert_eq!(recorded.get("nri_index_dropped_total what=nested"), 1);

        host.make("/elsewhere");
        host.process(7, "/elsewhere");
        start(ContainerInfo { pid: Some(7), ..container(1, 2) });
        assert_eq!(recorded.get("nri_index_path_mismatches_total"), 1);
        host.make(&path(3));
        start(ContainerInfo { pid: Some(7), ..container(3, 2) });
        assert_eq!(recorded.get("nri_index_containers"), 2);
        assert_eq!(recorded.get("nri_index_reused_ids_total"), 1);

        start(container(4, 2));
        index.apply(Event::PodStarted(pod(2)));
        assert_eq!(recorded.get("nri_index_dropped_total what=container"), 2);
        assert_eq!(recorded.get("nri_index_dropped_total what=pod"), 1);
        assert_eq!(recorded.get("nri_index_dropped_total what=metadata"), 1, "the pod's label");
        start(ContainerInfo::default());
        index.apply(Event::PodStarted(PodInfo::default()));
        assert_eq!(recorded.get("nri_index_dropped_total what=invalid"), 2);

        index.apply(Event::ContainerStopped(id(1)));
        start(ContainerInfo { pid: Some(8), ..container(4, 2) });
        assert_eq!(recorded.get("nri_index_forgotten_total reason=full"), 1);
        assert_eq!(recorded.get("nri_index_unlocated_total reason=gone"), 1);
        index.apply(Event::ContainerRemoved(id(4)));
        assert_eq!(recorded.get("nri_index_forgotten_total reason=expired"), 1);
        assert_eq!(recorded.get("nri_index_containers"), 1);

        host.remove("/elsewhere");
        index.apply(Event::PodRemoved(pod(2).id));
        start(container(3, 2));
        host.remove(&path(3));
        index.check();
        assert_eq!(recorded.get("nri_index_untold_ends_total"), 1);

        index.find_cgroup_id(u64::MAX);
        assert_eq!(recorded.get("nri_index_walks_total"), 1);
    });
    let counted: Vec<String> = recorded.0.lock().keys().cloned().collect();
    for (name, ..) in telemetry::METRICS {
        assert!(counted.iter().any(|counted| counted.starts_with(name)), "{name} is never counted");
    }
}
