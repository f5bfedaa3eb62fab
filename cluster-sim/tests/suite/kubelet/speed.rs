//! How fast documents are, on one core.
//!
//! `cargo test --release -p cluster-sim --test suite kubelet::speed -- --ignored --nocapture`

use std::time::{Duration, Instant};

use cluster_sim::Sim;
use cluster_sim::population::PopulationSpec;

use super::support::{get, proxied};

/// The time that this thread has had a core, where the system tells it; others may have it meanwhile.
fn busy(since: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

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

    let clock = Instant::now();
    let began = busy(clock);
    let bytes = nodes.iter().map(|node| sim.kubelets().summary(node).unwrap().len()).sum();
    report("made", bytes, busy(clock).saturating_sub(began));

    let (began, mut bytes) = (busy(clock), 0);
    for node in &nodes {
        bytes += get(&client, &proxied(node)).await.body.len();
    }
    report("served through the proxy, client included", bytes, busy(clock).saturating_sub(began));
}
