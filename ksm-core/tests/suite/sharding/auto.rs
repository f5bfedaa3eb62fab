//! A StatefulSet's replicas → shards.

use cluster_sim::{Deny, Fault, Sim, Verb};
use ksm_core::shard::auto::{AutoShard, AutoShardError};
use ksm_core::{Ksm, Sharding};
use serde_json::{Value, json};

use super::cluster::{shard, soon, until};

fn set(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "ksm", "namespace": "monitoring", "uid": "set"},
        "spec": {"replicas": replicas, "serviceName": "ksm", "selector": {}, "template": {}},
    })
}

fn pod(name: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "monitoring", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": kind, "name": "ksm", "uid": "set", "controller": true}]},
        "spec": {"containers": []},
    })
}

#[tokio::test]
async fn shards_follow_replicas_through_refusals_and_outages() {
    let sim = Sim::builder().objects([set(2), pod("ksm-1", "StatefulSet")]).start().await.unwrap();
    // Neither the server's failures nor a missing right are the end.
    let failing = sim.faults().add(Fault::on(Verb::Get).status(500).count(2));
    sim.deny(Deny::everything().verb(Verb::List).resource("statefulsets"));
    let client = sim.client();
    let found = tokio::spawn(async move { AutoShard::find(client, "monitoring", "ksm-1").await });
    until("it was refused", || sim.requests().count_status(Verb::List, "statefulsets", 403) > 0).await;
    assert_eq!(sim.faults().spoiled(failing), 2);
    sim.allow_all();
    let auto = soon("it is found", || {}, found).await.unwrap().unwrap();
    assert_eq!(auto.shard(), shard(1, 2));
    let asked = sim.requests().newest();
    let sets = asked.iter().filter(|request| request.resource == "statefulsets");
    assert!(sets.clone().count() > 0 && sets.clone().all(|request| request.query.contains("metadata.name%3Dksm")));

    let builder = Ksm::builder().client(sim.client()).sharding(Sharding::new(auto.shard()));
    let ksm = builder.follow_shards(auto.into_stream()).resources(["pods"]).unwrap().spawn().unwrap();
    assert_eq!(ksm.shard(), Some(shard(1, 2)));
    sim.upsert(set(3)).unwrap();
    until("it is scaled up", || ksm.shard() == Some(shard(1, 3))).await;
    // It is about to be removed, and stays what it is until then.
    sim.upsert(set(1)).unwrap();
    sim.restart();
    sim.upsert(set(4)).unwrap();
    until("it is scaled up again", || ksm.shard() == Some(shard(1, 4))).await;
    ksm.shutdown().await;
}

#[tokio::test]
async fn pods_that_are_no_shards_are_told_so() {
    let objects = [pod("ksm-x", "StatefulSet"), pod("other-1", "ReplicaSet")];
    let sim = Sim::builder().objects(objects).start().await.unwrap();
    let error = |name: &'static str| {
        let find = AutoShard::find(sim.client(), "monitoring", name);
        async { soon("an answer", || {}, find).await.unwrap_err() }
    };
    assert!(matches!(error("ksm-x").await, AutoShardError::NoOrdinal { .. }));
    assert!(matches!(error("other-1").await, AutoShardError::NoStatefulSet { .. }));
    let missing = error("nobody").await;
    assert!(missing.to_string().contains("downward API"), "{missing}");
}
