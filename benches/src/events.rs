//! What the benchmarks of events share: events about pods, a cluster that knows these, and a sink that keeps nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube_events::event::EnhancedEvent;
use kube_events::route::{Route, Rule};
use kube_events::sink::{Delivery, DeliveryError, EncodeError, Record, Sink};
use tokio::sync::Notify;

/// The names of the receivers of [`three_routes`].
pub const RECEIVERS: [&str; 3] = ["everything", "warnings", "team"];

/// Event number so much, as a kubelet tells it, of one of so many pods in this version.
pub fn event(number: u64, pods: u64, pod_version: u64, time: &Time) -> Event {
    let pod = number % pods.max(1);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("web-5d4f8c7b9-{pod:05}.{number:016x}")),
            namespace: Some("shop".to_owned()),
            uid: Some(format!("968ca75e-681c-4f76-8ddd-{number:012x}")),
            resource_version: Some((number + 1_000).to_string()),
            creation_timestamp: Some(time.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            kind: Some("Pod".to_owned()),
            api_version: Some("v1".to_owned()),
            namespace: Some("shop".to_owned()),
            name: Some(format!("web-5d4f8c7b9-{pod:05}")),
            uid: Some(uid(pod)),
            resource_version: Some(pod_version.to_string()),
            field_path: Some("spec.containers{web}".to_owned()),
        },
        reason: Some("BackOff".to_owned()),
        message: Some(format!(
            "Back-off restarting failed container web in pod web-5d4f8c7b9-{pod:05}_shop({}): number {number}",
            uid(pod)
        )),
        type_: Some(if number.is_multiple_of(2) { "Warning" } else { "Normal" }.to_owned()),
        count: Some(1),
        first_timestamp: Some(time.clone()),
        last_timestamp: Some(time.clone()),
        source: Some(EventSource { component: Some("kubelet".to_owned()), host: Some(format!("node-{}", pod % 50)) }),
        reporting_component: Some("kubelet".to_owned()),
        reporting_instance: Some(format!("node-{}", pod % 50)),
        ..Event::default()
    }
}

/// The uid of a pod.
fn uid(pod: u64) -> String {
    format!("4c313ac2-5b4c-47a0-874c-{pod:012x}")
}

/// A client of a cluster that answers at once: that it has pods, and the metadata of each that it is asked for. The
/// counter tells for how many. To be called within a runtime.
pub fn cluster() -> (kube::Client, Arc<AtomicU64>) {
    const PODS: &str = r#"{"kind": "APIResourceList", "groupVersion": "v1", "resources": [
        {"name": "pods", "kind": "Pod", "namespaced": true, "singularName": "pod", "verbs": ["get"]}]}"#;
    let reads = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&reads);
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let name = request.uri().path().rsplit_once("/pods/").map(|(_, name)| name.to_owned());
        let text = match name {
            None => PODS.to_owned(),
            Some(name) => {
                counted.fetch_add(1, Ordering::Relaxed);
                let uid = uid(name.rsplit_once('-').and_then(|(_, pod)| pod.parse().ok()).unwrap_or_default());
                format!(
                    r#"{{"metadata": {{"name": "{name}", "namespace": "shop", "uid": "{uid}",
                    "labels": {{"app": "web", "pod-template-hash": "5d4f8c7b9", "team": "blue", "version": "1.2.3"}},
                    "annotations": {{"example.com/owner": "shop", "example.com/note": "of the load"}},
                    "ownerReferences": [{{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8c7b9",
                    "uid": "r", "controller": true}}]}}}}"#
                )
            }
        };
        let body = kube::client::Body::from(text.into_bytes());
        async move { Ok::<_, kube::Error>(http::Response::new(body)) }
    });
    (kube::Client::new(service, "default"), reads)
}

/// Three routes, each to one of [`RECEIVERS`]: all events, warnings, and those of a team's pods. Two of three events
/// hit each but the first.
pub fn three_routes() -> Route {
    let to = |receiver: &str| Rule { receiver: receiver.to_owned(), ..Rule::default() };
    let route = |match_: Rule| Route { match_: vec![match_], ..Route::default() };
    let quiet = Rule { namespace: "^(kube-system|kube-public)$".to_owned(), ..Rule::default() };
    let team = Rule {
        kind: "Pod|Deployment|ReplicaSet".to_owned(),
        labels: [("team".to_owned(), "^(blue|red)$".to_owned())].into(),
        ..to("team")
    };
    let routes = vec![
        route(to("everything")),
        Route { drop: vec![quiet], ..route(Rule { type_: "Warning".to_owned(), ..to("warnings") }) },
        route(team),
    ];
    Route { routes, ..Route::default() }
}

/// A sink that has all that it is sent at once, and counts it. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Null {
    /// Whether events are encoded as JSON; else there is nothing of them.
    pub encodes: bool,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    delivered: AtomicU64,
    bytes: AtomicU64,
    target: AtomicU64,
    reached: Notify,
}

impl Null {
    /// One that encodes events.
    pub fn encoding() -> Self {
        Self { encodes: true, ..Self::default() }
    }

    /// Events that it was sent.
    pub fn delivered(&self) -> u64 {
        self.inner.delivered.load(Ordering::Acquire)
    }

    /// Bytes that it was sent.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes.load(Ordering::Relaxed)
    }

    /// Waits until it was sent so many; one waits at a time.
    pub async fn reached(&self, target: u64) {
        self.inner.target.store(target, Ordering::Release);
        while self.delivered() < target {
            self.inner.reached.notified().await;
        }
    }
}

impl Sink for Null {
    fn kind(&self) -> &'static str {
        "null"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        Ok(Record::new(event, if self.encodes { event.to_json() } else { Vec::new() }))
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        let bytes: usize = batch.iter().map(|record| record.body.len()).sum();
        self.inner.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let delivered = self.inner.delivered.fetch_add(batch.len() as u64, Ordering::AcqRel) + batch.len() as u64;
        if delivered >= self.inner.target.load(Ordering::Acquire) {
            self.inner.reached.notify_one();
        }
        async { Ok(Delivery::default()) }.boxed()
    }
}
