//! Finding pods among 150,000, and answering a question about them.
#![allow(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use benches::sized;
use criterion::{Criterion, criterion_group, criterion_main};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream;
use kube::runtime::watcher::{Error, Event};
use kubelet_summary::fetch::{FetchError, Fetcher, NodeTarget};
use kubelet_summary::inventory::{NodeRecord, PodRecord};
use kubelet_summary::{KubeletSummary, Scope, Summary};
use serde_json::{from_value, json};
use tokio::runtime::Runtime;

const PODS: u32 = 150_000;
const NODES: usize = 1_500;

fn uid(number: usize) -> String {
    format!("{number:08x}-1234-4abc-8def-0123456789ab")
}

fn node_of(number: usize) -> String {
    format!("node-{}", number % NODES)
}

/// Most of ReplicaSets of ten; a tenth has labels of its own each.
fn pod(number: usize) -> PodRecord {
    let owner = format!("service-{}-7d4b9c6f5d", number / 10);
    let mut labels = json!({
        "app": format!("service-{}", number / 10), "tier": if number % 30 < 10 { "web" } else { "db" },
        "version": format!("v1.{}.0", number / 1000), "team": format!("team-{}", number / 5000),
        "pod-template-hash": "7d4b9c6f5d",
    });
    if number.is_multiple_of(10) {
        labels["statefulset.kubernetes.io/pod-name"] = json!(format!("pod-{number}"));
    }
    let pod = json!({
        "metadata": {
            "name": format!("{owner}-{number:05x}"), "namespace": format!("namespace-{}", number / 1000), "labels": labels,
            "uid": uid(number), "ownerReferences": [{"controller": true, "kind": "ReplicaSet", "name": owner}],
        },
        "spec": {"nodeName": node_of(number), "containers": [{"name": "app"}, {"name": "proxy"}]},
        "status": {"phase": "Running"},
    });
    from_value(pod).expect("a pod")
}

/// Each node's document, made once.
struct Kubelets(HashMap<String, Arc<Summary>>);

impl Fetcher for Kubelets {
    fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
        let summary = self.0.get(&*node.name).map(|summary| Summary::clone(summary));
        async move { summary.ok_or_else(|| FetchError::Other("no such node".into())) }.boxed()
    }
}

fn kubelets(pods: usize) -> Kubelets {
    let document = |node: usize| {
        let pods = (node..pods).step_by(NODES).map(|number| {
            json!({
                "podRef": {"name": format!("pod-{number}"), "namespace": "n", "uid": uid(number)},
                "memory": {"time": "2026-01-01T00:00:00Z", "workingSetBytes": number},
                "containers": [{"name": "app", "memory": {"workingSetBytes": number}}, {"name": "proxy"}],
            })
        });
        let document = json!({"node": {"nodeName": node_of(node)}, "pods": pods.collect::<Vec<_>>()}).to_string();
        Arc::new(Summary::from_slice(document.as_bytes()).expect("a summary").summary)
    };
    Kubelets((0..NODES).map(|node| (node_of(node), document(node))).collect())
}

fn told<K: Send + 'static>(
    objects: impl Iterator<Item = K> + Send + 'static,
) -> impl futures::Stream<Item = Result<Event<K>, Error>> + Send {
    let events = [Event::Init].into_iter().chain(objects.map(Event::InitApply)).chain([Event::InitDone]);
    futures::StreamExt::chain(stream::iter(events.map(Ok)), stream::pending())
}

fn questions(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let pods = sized(PODS) as usize;
    let summary = runtime.block_on(async {
        let nodes = (0..NODES)
            .map(|node| from_value::<NodeRecord>(json!({"metadata": {"name": node_of(node)}})).expect("a node"));
        let builder = KubeletSummary::from_streams(told((0..pods).map(pod)), told(nodes));
        // Documents stay fresh: the benchmark is of questions.
        let summary = builder.fetcher(kubelets(pods)).ttl(Duration::from_hours(1)).spawn().expect("a way to kubelets");
        summary.ready().await.expect("lists");
        summary.usage(&Scope::all()).await.expect("all documents");
        summary
    });
    let select = |text: &str| Scope::all().selector(text.parse().expect("a selector"));
    let scopes = [
        ("one_service", select("app=service-77")),
        ("a_third", select("tier in (web),!canary")),
        ("all", Scope::all()),
        ("none", select("app=nothing")),
        ("namespace", Scope::all().namespace("namespace-4")),
        ("deployment", Scope::all().namespace("namespace-4").owner("Deployment", "service-424")),
        ("node", Scope::all().node("node-7")),
    ];
    let mut group = c.benchmark_group("kubelet_query/select");
    for (name, scope) in &scopes {
        group.bench_function(*name, |b| {
            b.iter(|| black_box(summary.inventory().select(black_box(scope)).expect("pods").len()));
        });
    }
    group.finish();
    let mut group = c.benchmark_group("kubelet_query/usage");
    group.sample_size(20);
    for (name, scope) in &scopes {
        group.bench_function(*name, |b| {
            b.iter(|| {
                runtime.block_on(async { summary.usage(black_box(scope)).await.expect("an answer").values.len() })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, questions);
criterion_main!(benches);
