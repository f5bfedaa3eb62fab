//! Label joins: what they add to an object that changes, and what a change of a node costs that gives labels to its pods.
#![allow(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use benches::pods;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use k8s_openapi::api::core::v1::{Node, Pod};
use ksm_core::joins::LabelJoins;
use ksm_core::{Ksm, ResourceBuilder};
use kube::runtime::watcher::Event;
use serde_json::json;
use tokio::runtime::Runtime;

const PODS: u32 = 1000;

type Events<K> = UnboundedSender<Result<Event<K>, String>>;

/// An agent whose watches are fed by hand.
struct Agent {
    runtime: Runtime,
    pods: Events<Pod>,
    nodes: Events<Node>,
    ksm: Ksm,
    /// Events that were sent.
    sent: u64,
}

impl Agent {
    fn new(joins: &LabelJoins) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let ((pods, pod_events), (nodes, node_events)) = (unbounded(), unbounded());
        let resources = Ksm::builder()
            .resource(ResourceBuilder::<Pod>::builtin().stream(pod_events))
            .resource(ResourceBuilder::<Node>::builtin().stream(node_events));
        let _guard = runtime.enter();
        let ksm = resources.label_joins(joins.clone()).spawn().expect("the joins are right");
        Self { runtime, pods, nodes, ksm, sent: 0 }
    }

    fn apply<K>(&mut self, events: &Events<K>, objects: Vec<K>) {
        self.sent += objects.len() as u64;
        for object in objects {
            events.unbounded_send(Ok(Event::Apply(object))).expect("the agent listens");
        }
        let (ksm, sent) = (&self.ksm, self.sent);
        self.runtime.block_on(async {
            while ksm.status().iter().map(|status| status.events).sum::<u64>() < sent {
                tokio::task::yield_now().await;
            }
        });
    }
}

fn joins() -> LabelJoins {
    let rules = json!({
        "kube_node_labels": {"labels_to_match": ["node"], "labels_to_get": ["label_zone"]},
        "kube_pod_labels": {"labels_to_match": ["namespace", "pod"], "get_all_labels": true},
    });
    serde_json::from_value(rules).expect("the rules are joins")
}

/// Versions count up, so that each event is a change.
fn changed(pods: &[Pod], round: &mut u64) -> Vec<Pod> {
    *round += 1;
    let version = Some(round.to_string());
    let renewed = |pod: &Pod| {
        let mut pod = pod.clone();
        pod.metadata.resource_version.clone_from(&version);
        pod
    };
    pods.iter().map(renewed).collect()
}

fn node(name: &str, zone: u64) -> Node {
    let object = json!({"metadata": {"name": name, "uid": name, "labels": {"zone": zone.to_string()}}});
    serde_json::from_value(object).expect("it is a node")
}

fn join(c: &mut Criterion) {
    let pods = pods(PODS);
    let name = pods.first().and_then(|pod| pod.spec.as_ref()?.node_name.clone()).unwrap_or_default();
    let mut round = 0;
    let mut group = c.benchmark_group("joins");
    group.throughput(Throughput::Elements(u64::from(PODS)));
    for (label, joins) in [("change_1000_pods_without", LabelJoins::new()), ("change_1000_pods_with_two", joins())] {
        let mut agent = Agent::new(&joins);
        let events = agent.pods.clone();
        group.bench_function(label, |b| {
            b.iter_batched(|| changed(&pods, &mut round), |pods| agent.apply(&events, pods), BatchSize::LargeInput);
        });
    }
    group.throughput(Throughput::Elements(100));
    let mut agent = Agent::new(&joins());
    let (pod_events, node_events) = (agent.pods.clone(), agent.nodes.clone());
    agent.apply(&pod_events, changed(&pods, &mut round));
    group.bench_function("change_a_node_of_100_pods", |b| {
        b.iter(|| {
            round += 1;
            agent.apply(&node_events, vec![node(&name, round)]);
        });
    });
    group.finish();
}

criterion_group!(benches, join);
criterion_main!(benches);
