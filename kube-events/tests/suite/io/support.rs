//! A simulated cluster, and what the crate counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cluster_sim::{ObjectRef, Sim};
use kube_events::event::ObjectReference;
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;
use serde_json::{Value, json};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const NAMESPACE: &str = "web";

/// A cluster with two namespaces.
pub(crate) async fn cluster() -> Sim {
    Sim::builder().objects([namespace(NAMESPACE), namespace("other")]).start().await.unwrap()
}

pub(crate) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}})
}

/// A pod with some labels; what it is given as uid it gets.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "labels": {"app": name}, "annotations": {"note": "n"},
            "uid": format!("uid-of-{name}"),
        },
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

pub(crate) fn pod_reference(name: &str) -> ObjectRef {
    ObjectRef::new("v1", "Pod", name).within(NAMESPACE)
}

/// How events name that pod.
pub(crate) fn involved(name: &str, version: &str) -> ObjectReference {
    ObjectReference {
        kind: "Pod".to_owned(),
        api_version: "v1".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        resource_version: version.to_owned(),
        ..ObjectReference::default()
    }
}

/// Lets all that is ready run, without any time passing.
pub(crate) async fn settle() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

/// Values by `name label=value`.
#[derive(Clone, Default)]
pub(crate) struct Recorded(pub(crate) Arc<Mutex<BTreeMap<String, Arc<Number>>>>);

#[derive(Default)]
pub(crate) struct Number(AtomicI64);

impl CounterFn for Number {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value.cast_signed(), Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value.cast_signed(), Ordering::Relaxed);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "gauges of this crate are counts")]
impl GaugeFn for Number {
    fn increment(&self, value: f64) {
        self.0.fetch_add(value as i64, Ordering::Relaxed);
    }

    fn decrement(&self, value: f64) {
        self.0.fetch_sub(value as i64, Ordering::Relaxed);
    }

    fn set(&self, value: f64) {
        self.0.store(value as i64, Ordering::Relaxed);
    }
}

impl Recorded {
    fn place(&self, key: &Key) -> Arc<Number> {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = [key.name().to_owned(), labels.join(",")].join(" ").trim_end().to_owned();
        self.0.lock().entry(name).or_default().clone()
    }

    pub(crate) fn get(&self, name: &str) -> i64 {
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

/// A clock that goes with the simulator's.
pub(crate) fn clock(sim: &Sim) -> impl kube_events::Clock + use<> {
    let (began, start) = (tokio::time::Instant::now(), sim.now());
    move || start + jiff::SignedDuration::try_from(began.elapsed()).unwrap()
}

/// An event, so many seconds old.
pub(crate) fn event(sim: &Sim, name: &str, age: i64) -> Value {
    let time = (sim.now() - jiff::SignedDuration::from_secs(age)).to_string();
    let time = format!("{}Z", &time[..19]);
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": NAMESPACE, "creationTimestamp": time},
        "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": NAMESPACE, "name": "web-0"},
        "reason": "Tested", "message": name, "type": "Normal", "count": 1,
        "firstTimestamp": time, "lastTimestamp": time, "source": {"component": "test"},
    })
}

pub(crate) fn happen(sim: &Sim, name: &str) {
    sim.upsert(event(sim, name, 0)).unwrap();
}
