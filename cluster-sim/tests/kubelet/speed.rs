//! How fast documents are, on one core.
//!
//! `cargo test --release -p cluster-sim --test kubelet -- --ignored --nocapture speed`

use std::time::{Duration, Instant};

use cluster_sim::Sim;
use cluster_sim::population::PopulationSpec;

use crate::support::{get, proxied};

/// Far less than an unhurried core does, so that only a change of order fails.
const PER_SECOND: f64 = if cfg!(debug_assertions) { 10.0 } else { 500.0 };

#[tokio::test]
#[ignore = "it measures, which takes a quiet machine"]
async fn thousands_of_nodes_are_served_on_one_core() {
    const NODES: u32 = 1000;
    let sim = Sim::builder().population(&PopulationSpec::new(NODES, NODES * 30)).start().await.unwrap();
    let nodes: Vec<String> = sim
        .list("v1", "nodes")
        .unwrap()
        .iter()
        .map(|node| node["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    let client = sim.client_as("system:admin");
    let report = |what: &str, bytes: usize, took: Duration| {
        let rate = f64::from(NODES) / took.as_secs_f64();
        println!("{what}: {rate:.0} documents/s, {} KB each", bytes / nodes.len() / 1000);
        assert!(rate > PER_SECOND, "{rate} documents/s");
    };
    // The index of pods by node is built once.
    sim.kubelets().summary(&nodes[0]).unwrap();

    let began = Instant::now();
    let bytes = nodes.iter().map(|node| sim.kubelets().summary(node).unwrap().len()).sum();
    report("made", bytes, began.elapsed());

    let (began, mut bytes) = (Instant::now(), 0);
    for node in &nodes {
        bytes += get(&client, &proxied(node)).await.body.len();
    }
    report("served through the proxy, client included", bytes, began.elapsed());
}
