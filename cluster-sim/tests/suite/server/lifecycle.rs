//! What the cluster does by itself.

use std::time::Duration;

use cluster_sim::{ObjectRef, Sim};
use serde_json::{Value, json};

use super::support::{CONFIG_MAPS, Client, config_map};

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": "x"}},
        "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "a:1"}]},
    })
}

/// A ConfigMap that is owned by `owner`.
fn owned(name: &str, owner: &Value) -> Value {
    let mut object = config_map(name);
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
    }]);
    object
}

#[tokio::test]
async fn a_pod_ends_after_its_grace() {
    let sim = Sim::builder().pod_termination(Some(Duration::from_millis(50))).start().await.unwrap();
    let client = Client::new(&sim);
    sim.create(pod("p")).unwrap();
    let deleted = client.delete(&format!("{PODS}/p"), Value::Null).await.json();
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 30);
    client.until(&format!("{PODS}/p"), |answer| answer.code == 404).await;
}

#[tokio::test]
async fn a_pod_that_nobody_ends_stays_until_the_test_does() {
    let sim = Sim::builder().pod_termination(None).start().await.unwrap();
    let client = Client::new(&sim);
    sim.create(pod("p")).unwrap();
    client.delete(&format!("{PODS}/p"), json!({"gracePeriodSeconds": 1})).await;
    let reference = ObjectRef::new("v1", "Pod", "p").within("default");
    assert!(sim.get(&reference).unwrap().unwrap()["metadata"]["deletionTimestamp"].is_string());
    assert!(sim.delete(&reference).unwrap().is_some());
    assert_eq!(client.get(&format!("{PODS}/p")).await.code, 404);
}

#[tokio::test]
async fn a_namespace_goes_with_its_content() {
    let sim = Sim::builder().pod_termination(Some(Duration::ZERO)).start().await.unwrap();
    let client = Client::new(&sim);
    client.post("/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await;
    let mut held = config_map("held");
    held["metadata"]["namespace"] = "n".into();
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    sim.create(held.clone()).unwrap();
    let mut running = pod("p");
    running["metadata"]["namespace"] = "n".into();
    sim.create(running).unwrap();

    let marked = client.delete("/api/v1/namespaces/n", Value::Null).await.json();
    assert_eq!(marked["status"]["phase"], "Terminating");
    let refused = client.post("/api/v1/namespaces/n/configmaps", json!({"metadata": {"name": "late"}})).await;
    assert_eq!(refused.failure(), (403, "Forbidden".to_owned()));
    client.until("/api/v1/namespaces/n/pods/p", |answer| answer.code == 404).await;
    assert_eq!(client.get("/api/v1/namespaces/n").await.code, 200);
    held["metadata"].as_object_mut().unwrap().remove("finalizers");
    sim.update(held).unwrap();
    client.until("/api/v1/namespaces/n", |answer| answer.code == 404).await;
    assert!(sim.list("v1", "configmaps").unwrap().is_empty());
}

#[tokio::test]
async fn dependents_follow_their_owner() {
    let sim = Sim::builder().start().await.unwrap();
    let client = Client::new(&sim);
    let owner = sim.create(config_map("owner")).unwrap();
    let other = sim.create(config_map("other")).unwrap();
    let child = sim.create(owned("child", &owner)).unwrap();
    sim.create(owned("grandchild", &child)).unwrap();
    let mut shared = owned("shared", &owner);
    let second = owned("", &other)["metadata"]["ownerReferences"][0].clone();
    shared["metadata"]["ownerReferences"].as_array_mut().unwrap().push(second);
    sim.create(shared).unwrap();

    client.delete(&format!("{CONFIG_MAPS}/owner"), Value::Null).await;
    client.until(&format!("{CONFIG_MAPS}/grandchild"), |answer| answer.code == 404).await;
    assert_eq!(client.get(CONFIG_MAPS).await.names(), ["other", "shared"]);
}

#[tokio::test]
async fn orphans_lose_their_owner_and_stay() {
    let sim = Sim::builder().start().await.unwrap();
    let client = Client::new(&sim);
    let owner = sim.create(config_map("owner")).unwrap();
    sim.create(owned("child", &owner)).unwrap();
    client.delete(&format!("{CONFIG_MAPS}/owner"), json!({"propagationPolicy": "Orphan"})).await;
    client.until(&format!("{CONFIG_MAPS}/owner"), |answer| answer.code == 404).await;
    let child = client.get(&format!("{CONFIG_MAPS}/child")).await.json();
    assert_eq!(child["metadata"].get("ownerReferences"), None);
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last() {
    let sim = Sim::builder().start().await.unwrap();
    let client = Client::new(&sim);
    let owner = sim.create(config_map("owner")).unwrap();
    let mut child = owned("child", &owner);
    child["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let child = sim.create(child).unwrap();
    client.delete(&format!("{CONFIG_MAPS}/owner"), json!({"propagationPolicy": "Foreground"})).await;
    let marked = |answer: &super::support::Answer| answer.json()["metadata"]["deletionTimestamp"].is_string();
    client.until(&format!("{CONFIG_MAPS}/child"), marked).await;
    assert_eq!(client.get(CONFIG_MAPS).await.names(), ["child", "owner"]);
    let mut released = sim.get(&ObjectRef::of(&child).unwrap()).unwrap().unwrap();
    let finalizers = released["metadata"]["finalizers"].as_array_mut().unwrap();
    finalizers.retain(|finalizer| finalizer != "example.com/hold");
    sim.update(released).unwrap();
    client.until(&format!("{CONFIG_MAPS}/owner"), |answer| answer.code == 404).await;
    assert!(client.get(CONFIG_MAPS).await.names().is_empty());
}

#[tokio::test]
async fn an_eviction_asks_the_budget() {
    let sim = Sim::builder().pod_termination(Some(Duration::ZERO)).start().await.unwrap();
    let client = Client::new(&sim);
    sim.create(pod("p")).unwrap();
    let budget = |allowed: u32| {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}},
            "status": {"disruptionsAllowed": allowed},
        })
    };
    sim.upsert(budget(0)).unwrap();
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    let refused = client.post(&format!("{PODS}/p/eviction"), eviction.clone()).await;
    assert_eq!(refused.failure(), (429, "TooManyRequests".to_owned()));
    sim.upsert(budget(1)).unwrap();
    assert_eq!(client.post(&format!("{PODS}/p/eviction"), eviction).await.code, 201);
    client.until(&format!("{PODS}/p"), |answer| answer.code == 404).await;
}
