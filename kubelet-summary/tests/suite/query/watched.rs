//! Questions about what nobody watches.

use std::time::Duration;

use cluster_sim::{ObjectRef, Sim};
use futures::StreamExt;
use kubelet_summary::inventory::InventoryBuilder;
use kubelet_summary::{KubeletSummary, Mode, Parts, PodSelector, Scope, UsageError};

use super::support::{node, pod, words};
use crate::faults::until;

type Narrow = fn(InventoryBuilder) -> InventoryBuilder;

/// Of a cluster with a pod in each of two namespaces, on two nodes.
async fn narrowed(change: impl FnOnce(InventoryBuilder) -> InventoryBuilder) -> (Sim, KubeletSummary) {
    let full = |mut value: serde_json::Value, kind: &str| {
        value["apiVersion"] = "v1".into();
        value["kind"] = kind.into();
        value
    };
    let pods = [pod("shop", "web", "1", "n1"), pod("db", "pg", "2", "n2")].map(|pod| full(pod, "Pod"));
    let nodes = ["n1", "n2"].map(|name| full(node(name), "Node"));
    let sim = Sim::builder().objects(nodes).objects(pods).start().await.unwrap();
    let summary = KubeletSummary::builder(sim.client_in_memory()).inventory(change).spawn().unwrap();
    summary.ready().await.unwrap();
    (sim, summary)
}

fn names(usage: &kubelet_summary::Usage) -> Vec<&str> {
    usage.values.iter().map(|value| value.pod().name()).collect()
}

#[tokio::test]
async fn a_question_about_what_nobody_watches_is_refused() {
    let labels = |text: &str| Scope::all().selector(text.parse::<PodSelector>().unwrap());
    let all: [(Narrow, Scope, &str); 3] = [
        (|it| it.namespaces(["shop"]), Scope::all().namespace("db"), "pods in namespace shop"),
        (|it| it.pod_fields("spec.nodeName=n1"), Scope::all().node("n2"), "pods with fields spec.nodeName=n1"),
        (|it| it.pod_labels("app=web".parse().unwrap()), labels("app=pg"), "pods with labels app=web"),
    ];
    for (narrow, outside, watched) in all {
        let (sim, summary) = narrowed(narrow).await;
        let error = summary.usage(&outside).await.unwrap_err();
        let told = error.to_string();
        assert!(matches!(&error, UsageError::NotWatched { watched: it, .. } if it == watched), "{told}");
        assert!(told.contains(&format!("nobody watches {outside}: the inventory has {watched};")), "{told}");
        // What is watched is answered, and so is a question that names nothing.
        let usage = summary.usage(&Scope::all()).await.unwrap();
        assert_eq!((names(&usage), usage.is_whole()), (vec!["web"], true), "{:?}", words(&usage));
        summary.shutdown().await;
        sim.shutdown().await;
    }
}

#[tokio::test]
async fn what_of_a_question_nobody_watches_is_named() {
    let (sim, summary) = narrowed(|it| it.namespaces(["shop"])).await;
    let usage = summary.usage(&Scope::all().namespace("db").namespace("shop")).await.unwrap();
    assert_eq!((names(&usage), usage.is_whole()), (vec!["web"], false));
    assert_eq!(usage.unwatched, ["namespace db"]);
    summary.shutdown().await;

    // A node whose pods nobody watches is not asked either.
    let summary = KubeletSummary::builder(sim.client_in_memory())
        .inventory(|it| it.pod_fields("spec.nodeName=n1"))
        .spawn()
        .unwrap();
    summary.ready().await.unwrap();
    let usage = summary.usage(&Scope::all().node("n1").node("n2")).await.unwrap();
    assert_eq!((names(&usage), usage.unwatched.join(", ")), (vec!["web"], "node n2".to_owned()));
    assert_eq!(sim.kubelets().requests().summaries("n2"), 0);
    summary.shutdown().await;
    sim.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_beside_those_watched_is_asked_once_though_nodes_go() {
    let (sim, summary) = narrowed(|it| it.pod_fields("spec.nodeName=n1")).await;
    let is_known = |name: &str| summary.cache().peek(name).is_some();
    until("the nodes are told", || is_known("n1")).await;
    assert!(summary.node("n2").await.unwrap().unwrap().is_fresh());
    sim.delete(&ObjectRef::new("v1", "Node", "n1")).unwrap();
    until("one is gone", || !is_known("n1")).await;
    assert!(summary.node("n2").await.unwrap().unwrap().is_fresh());
    assert_eq!(sim.kubelets().requests().summaries("n2"), 1);
    // It goes like any other.
    sim.delete(&ObjectRef::new("v1", "Node", "n2")).unwrap();
    until("the other is gone", || !is_known("n2")).await;
    summary.shutdown().await;
    sim.shutdown().await;
}

#[tokio::test]
async fn in_the_background_an_agent_of_one_node_asks_that_one() {
    let (sim, none) = narrowed(|it| it).await;
    none.shutdown().await;
    let builder = KubeletSummary::builder(sim.client_in_memory()).inventory(|it| it.pod_fields("spec.nodeName=n1"));
    let summary = builder.mode(Mode::Background).ttl(Duration::from_millis(200)).spawn().unwrap();
    let mut changes = summary.subscribe();
    for _ in 0..3 {
        changes.next().await.unwrap();
    }
    assert_eq!(summary.nodes().await.unwrap().len(), 1);
    assert!(sim.kubelets().requests().summaries("n1") >= 3);
    assert_eq!(sim.kubelets().requests().summaries("n2"), 0);
    summary.shutdown().await;
    sim.shutdown().await;
}

#[tokio::test]
async fn swap_is_known_where_it_is_kept() {
    for (parts, is_known) in [(Parts::USAGE, false), (Parts::USAGE | Parts::SWAP, true)] {
        let (sim, none) = narrowed(|it| it).await;
        none.shutdown().await;
        let summary = KubeletSummary::builder(sim.client_in_memory()).parts(parts).spawn().unwrap();
        summary.ready().await.unwrap();
        let usage = summary.usage(&Scope::all()).await.unwrap();
        assert_eq!(usage.total().swap_bytes.sum().is_some(), is_known);
        summary.shutdown().await;
        sim.shutdown().await;
    }
}
