//! The services of a simulated cluster's nodes.

use cluster_sim::metadata::{Machine, MetadataServer};
use cluster_sim::population::PopulationSpec;
use cluster_sim::{ObjectRef, Sim, SimError};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::support::{get, get_by_token, until};

async fn sim() -> Sim {
    Sim::builder().population(&PopulationSpec::new(3, 60)).start().await.unwrap()
}

fn node(name: &str, uid: &str, provider_id: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": uid}, "spec": {"providerID": provider_id},
    })
}

async fn is_refused(service: &MetadataServer) -> bool {
    TcpStream::connect(service.url().strip_prefix("http://").unwrap()).await.is_err()
}

#[tokio::test]
async fn each_node_is_told_its_own_machine() {
    let sim = sim().await;
    let mut ids = Vec::new();
    for node in sim.list("v1", "nodes").unwrap() {
        let name = node["metadata"]["name"].as_str().unwrap();
        let service = sim.metadata_of(name).await.unwrap();
        assert_eq!(service.machine(), Machine::of_node(&node).unwrap());
        let document = get_by_token(&service, "/latest/dynamic/instance-identity/document").await.json();
        let labels = &node["metadata"]["labels"];
        assert_eq!(document["instanceType"], labels["node.kubernetes.io/instance-type"]);
        assert_eq!(document["availabilityZone"], labels["topology.kubernetes.io/zone"]);
        assert_eq!(document["region"], labels["topology.kubernetes.io/region"]);
        assert_eq!(document["privateIp"], node["status"]["addresses"][0]["address"]);
        assert_eq!(document["pendingTime"], node["metadata"]["creationTimestamp"]);
        assert_eq!(get_by_token(&service, "/latest/meta-data/hostname").await.told(), (200, name));
        let id = document["instanceId"].as_str().unwrap().to_owned();
        let provider_id = format!("aws:///{}/{id}", document["availabilityZone"].as_str().unwrap());
        assert_eq!(node["spec"]["providerID"], provider_id);
        ids.push(id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_node_keeps_its_service_as_long_as_it_is_the_same() {
    let sim = Sim::builder().objects([node("n", "1", "aws:///us-east-1a/i-1")]).start().await.unwrap();
    let first = sim.metadata_of("n").await.unwrap();
    sim.upsert(node("n", "1", "aws:///us-east-1a/i-1")).unwrap();
    assert_eq!(sim.metadata_of("n").await.unwrap().url(), first.url());

    sim.delete(&ObjectRef::new("v1", "Node", "n")).unwrap();
    assert!(matches!(sim.metadata_of("n").await, Err(SimError::UnknownNode(name)) if name == "n"));
    sim.upsert(node("n", "2", "gce://acme/us-central1-a/n")).unwrap();
    let second = sim.metadata_of("n").await.unwrap();
    assert_ne!(second.url(), first.url());
    let name = get(&second, "/computeMetadata/v1/instance/name", &[("Metadata-Flavor", "Google")]).await;
    assert_eq!(name.told(), (200, "n"));

    second.shutdown().await;
    let third = sim.metadata_of("n").await.unwrap();
    assert!(!is_refused(&third).await);
}

#[tokio::test]
async fn services_of_nodes_that_are_gone_are_not_kept() {
    let sim = Sim::builder().objects([node("a", "1", "aws:///us-east-1a/i-1")]).start().await.unwrap();
    let url = sim.metadata_of("a").await.unwrap().url();
    sim.delete(&ObjectRef::new("v1", "Node", "a")).unwrap();
    sim.upsert(node("b", "2", "aws:///us-east-1a/i-2")).unwrap();
    sim.metadata_of("b").await.unwrap();
    until(async || TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err()).await;
}

#[tokio::test]
async fn a_node_of_no_cloud_has_no_service() {
    let sim = Sim::builder().objects([node("n", "1", "kind://docker/kind/n")]).start().await.unwrap();
    let error = sim.metadata_of("n").await.unwrap_err();
    assert!(matches!(error, SimError::NoMachine { .. }), "{error}");
    assert!(error.to_string().contains("is \"kind://docker/kind/n\", not aws:///"), "{error}");
}

#[tokio::test]
async fn services_stop_with_the_simulator() {
    let sim = sim().await;
    let node = sim.list("v1", "nodes").unwrap().swap_remove(0);
    let name = node["metadata"]["name"].as_str().unwrap();
    let service = sim.metadata_of(name).await.unwrap();
    sim.shutdown().await;
    assert!(is_refused(&service).await);

    let sim = self::sim().await;
    let service = sim.metadata_of(name).await.unwrap();
    drop(sim);
    until(async || is_refused(&service).await).await;
}
