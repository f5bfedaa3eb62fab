//! A simulated cluster in paused time, and sources that do as they are told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cluster_sim::{ObjectRef, Sim};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use node_lease::{
    Attribute, Clock, Fetched, LeaseWriter, LeaseWriterBuilder, MetadataSource, NodeMetadata, SourceError,
    WriterHandle, WriterState,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

pub(crate) const NAMESPACE: &str = "amazon-cloudwatch";
pub(crate) const PREFIX: &str = "cwagent-node-metadata-";

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A cluster with the namespace and some nodes.
pub(crate) async fn cluster(nodes: &[&str]) -> Sim {
    let nodes = nodes.iter().map(|name| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    Sim::builder().objects([namespace].into_iter().chain(nodes)).start().await.unwrap()
}

/// A clock that moves with paused time, and is some time off.
pub(crate) fn clock(off: SignedDuration) -> impl Clock {
    let (began, start) = (Instant::now(), wall() + off);
    move || start + SignedDuration::try_from(began.elapsed()).unwrap()
}

/// The time of day when the tests begin.
pub(crate) fn wall() -> Timestamp {
    "2026-11-27T12:00:00Z".parse().unwrap()
}

/// All eight values, of which the type is `kind`.
pub(crate) fn machine(kind: &str) -> NodeMetadata {
    Attribute::ALL
        .into_iter()
        .fold(NodeMetadata::new(), |all, attribute| all.with(attribute, attribute.label()))
        .with(Attribute::HostType, kind)
}

/// What a scripted source answers.
pub(crate) enum Answer {
    Metadata(NodeMetadata),
    Partial(NodeMetadata),
    Failure,
    Hang,
}

/// A source that answers by a script, and by its last answer from then on.
#[derive(Clone)]
pub(crate) struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    /// When it was asked.
    pub(crate) asked: Arc<Mutex<Vec<Instant>>>,
}

impl Script {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), asked: Arc::default() }
    }
}

impl MetadataSource for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        self.asked.lock().push(Instant::now());
        let mut answers = self.answers.lock();
        let repeated = answers.len() == 1;
        let problem = || SourceError::Status { what: "script", code: 500 };
        let (answer, hangs) = match answers.front().unwrap() {
            Answer::Metadata(metadata) => (Ok(Fetched::complete(metadata.clone())), false),
            Answer::Partial(metadata) => (Ok(Fetched { metadata: metadata.clone(), problems: vec![problem()] }), false),
            Answer::Failure => (Err(problem()), false),
            Answer::Hang => (Err(problem()), true),
        };
        if !repeated {
            answers.pop_front();
        }
        async move { if hangs { std::future::pending().await } else { answer } }.boxed()
    }
}

/// A writer of a node, in memory, by a clock that moves with paused time.
pub(crate) fn writer(sim: &Sim, source: impl MetadataSource, node: &str, pod: &str) -> LeaseWriterBuilder {
    LeaseWriter::builder(sim.client_in_memory(), source, node, NAMESPACE, pod)
        .clock(clock(SignedDuration::ZERO))
        .seed(7)
}

pub(crate) fn reference(node: &str) -> ObjectRef {
    ObjectRef::new("coordination.k8s.io/v1", "Lease", format!("{PREFIX}{node}")).within(NAMESPACE)
}

/// A node's Lease as it is in the API server.
pub(crate) fn lease(sim: &Sim, node: &str) -> Option<Value> {
    sim.get(&reference(node)).unwrap()
}

/// A Lease as the CloudWatch agent writes it.
pub(crate) fn cloudwatch_lease(node: &str, kind: &str, renewed: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": format!("{PREFIX}{node}"), "namespace": NAMESPACE, "annotations": {
            "cwagent.amazonaws.com/host.id": "i-0123",
            "cwagent.amazonaws.com/host.name": format!("{node}.ec2.internal"),
            "cwagent.amazonaws.com/host.type": kind,
            "cwagent.amazonaws.com/host.image.id": "ami-0123",
            "cwagent.amazonaws.com/cloud.availability_zone": "us-east-1a",
        }},
        "spec": {
            "holderIdentity": format!("{PREFIX}{node}"), "leaseDurationSeconds": 7200,
            "renewTime": format!("{renewed:.6}"),
        },
    })
}

/// Lets all that is ready run, without any time passing.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Waits for a writer's Lease; a day at most.
pub(crate) async fn held(handle: &WriterHandle) {
    until(handle, |state| *state == WriterState::Held).await;
}

/// Waits for a writer's state; a day at most.
pub(crate) async fn until(handle: &WriterHandle, wanted: impl FnMut(&WriterState) -> bool) {
    let waited = timeout(24 * HOUR, handle.wait_for(wanted)).await;
    assert!(waited.is_ok(), "not within a day: {:?}", handle.status());
}

/// A client whose writes with some word in their bodies are forbidden by an admission plugin, in these words.
pub(crate) fn refusing(sim: &Sim, word: &'static str, message: &'static str) -> kube::Client {
    let client = sim.client_in_memory();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let client = client.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            if String::from_utf8_lossy(&body).contains(word) {
                let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "reason": "Forbidden", "code": 403, "message": message});
                let refused =
                    http::Response::builder().status(403).body(status.to_string().into_bytes().into()).unwrap();
                return Ok::<_, kube::Error>(refused);
            }
            client.send(http::Request::from_parts(head, body.to_vec().into())).await
        }
    });
    kube::Client::new(service, "default")
}
