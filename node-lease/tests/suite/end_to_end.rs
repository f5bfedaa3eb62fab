//! A cluster whose nodes each have a metadata service → writers → Leases → one reader → what it enriches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster_sim::Sim;
use cluster_sim::population::PopulationSpec;
use futures::StreamExt;
use node_lease::source::aws::Imds;
use node_lease::{
    Attribute, Contract, Enriched, Enricher, LeaseCache, LeaseWriter, NodeChange, StopOutcome, WriterHandle,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const NAMESPACE: &str = "amazon-cloudwatch";
const PATIENCE: Duration = Duration::from_mins(1);

async fn cluster(nodes: u32) -> Sim {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    Sim::builder().population(&PopulationSpec::new(nodes, nodes * 20)).objects([namespace]).start().await.unwrap()
}

fn nodes(sim: &Sim) -> Vec<Value> {
    sim.list("v1", "nodes").unwrap()
}

fn name(node: &Value) -> &str {
    node["metadata"]["name"].as_str().unwrap()
}

async fn start(sim: &Sim, node: &str) -> WriterHandle {
    let imds = Imds::at(&sim.metadata_of(node).await.unwrap().url()).unwrap();
    let writer = LeaseWriter::builder(sim.client(), imds, node, NAMESPACE, format!("writer-{node}"))
        .start_jitter(Duration::ZERO)
        .build()
        .unwrap();
    let handle = writer.spawn().unwrap();
    timeout(PATIENCE, handle.held()).await.unwrap();
    handle
}

#[tokio::test]
async fn thirteen_nodes_are_known_to_one_reader_as_their_clouds_know_them() {
    let sim = cluster(13).await;
    let mut writers = Vec::new();
    for node in nodes(&sim) {
        writers.push(start(&sim, name(&node)).await);
    }
    let cache = LeaseCache::builder(sim.client(), NAMESPACE).spawn();
    timeout(PATIENCE, cache.synced()).await.unwrap();
    assert_eq!(cache.status().nodes, 13);

    let mut types = BTreeSet::new();
    let contract = Contract::cloudwatch();
    for node in nodes(&sim) {
        let machine = sim.metadata_of(name(&node)).await.unwrap().machine();
        let label = |key: &str| node["metadata"]["labels"][key].as_str().unwrap();
        let metadata = cache.get(name(&node)).unwrap();
        let known: Vec<&str> = metadata.iter().map(|(_, value)| value).collect();
        let want = [
            node["spec"]["providerID"].as_str().unwrap().rsplit('/').next().unwrap(),
            &machine.host_name,
            label("node.kubernetes.io/instance-type"),
            &machine.image,
            label("topology.kubernetes.io/zone"),
            "aws",
            label("topology.kubernetes.io/region"),
            &machine.account,
        ];
        assert_eq!(known, want, "{}", name(&node));
        types.insert(label("node.kubernetes.io/instance-type").to_owned());

        // What the CloudWatch agent's reader asks for: all five, a time and a duration.
        let reference =
            cluster_sim::ObjectRef::new("coordination.k8s.io/v1", "Lease", contract.lease_name(name(&node)).unwrap());
        let lease = sim.get(&reference.within(NAMESPACE)).unwrap().unwrap();
        for attribute in Attribute::CLOUDWATCH {
            let value = &lease["metadata"]["annotations"][contract.annotation(attribute)];
            assert!(value.as_str().is_some_and(|value| !value.is_empty()), "{attribute}");
        }
        assert!(lease["spec"]["renewTime"].is_string() && lease["spec"]["leaseDurationSeconds"] == 7200);
    }
    assert!(types.len() >= 3, "several machine types: {types:?}");

    let enricher = Enricher::new(cache.clone());
    for node in nodes(&sim) {
        let mut series = BTreeMap::from([("k8s.node.name".to_owned(), name(&node).to_owned())]);
        assert_eq!(enricher.enrich(&mut series), Enriched::Hit);
        assert_eq!(series["host.type"], node["metadata"]["labels"]["node.kubernetes.io/instance-type"]);
    }
    let mut other = BTreeMap::from([("k8s.namespace.name".to_owned(), "default".to_owned())]);
    let before = other.clone();
    assert_eq!(enricher.enrich(&mut other), Enriched::NoNode);
    assert_eq!(other, before);

    // All end: the reader forgets them.
    let mut changes = cache.changes();
    for writer in &writers {
        assert_eq!(writer.shutdown().await, StopOutcome::Deleted);
    }
    for _ in 0..13 {
        let change = timeout(PATIENCE, changes.next()).await.unwrap().unwrap();
        assert!(matches!(change, NodeChange::Removed { .. }), "{change:?}");
    }
    assert!(cache.nodes().is_empty());
    sim.shutdown().await;
}
