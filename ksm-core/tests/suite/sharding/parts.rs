//! Shards that stay what they are.

use cluster_sim::Sim;
use ksm_core::{Assignment, ShardKey};
use serde_json::json;

use super::cluster::{Cluster, lines, shard, sharding, union, until};

fn keys() -> [ShardKey; 4] {
    let by_label = ShardKey::custom(|meta| {
        let app = meta.annotations.iter().chain(&meta.labels).flatten().next();
        app.map(|(_, value)| value.as_str()).or(meta.uid.as_deref()).unwrap_or_default().into()
    });
    [ShardKey::Uid, ShardKey::Namespace, ShardKey::Owner, by_label]
}

#[tokio::test]
async fn the_sum_of_shards_is_the_whole_by_any_key() {
    let mut cluster = Cluster::start().await;
    let whole = cluster.instance(None);
    let mut sets = Vec::new();
    for key in keys() {
        for assignment in [Assignment::Jump, Assignment::HashRange] {
            let of = |ordinal| sharding(shard(ordinal, 3)).key(key.clone()).assignment(assignment);
            sets.push((format!("{key:?} {assignment:?}"), [0, 1, 2].map(|n| cluster.instance(Some(of(n))))));
        }
    }
    for events in [0, 300] {
        cluster.change(events);
        for (name, shards) in &sets {
            until(name, || shards.iter().all(ksm_core::Ksm::is_synced) && lines(shards) == lines([&whole])).await;
            for ksm in shards {
                let part = lines([ksm]).len();
                assert!(part > 0 && part < lines([&whole]).len(), "{name}: {part} lines on one shard");
                let status = ksm.status();
                assert!(status.iter().map(|one| one.not_owned).sum::<u64>() > 0);
                assert!(status.iter().all(|one| one.errors + one.skipped == 0), "{status:#?}");
            }
        }
    }
}

#[tokio::test]
async fn the_only_shard_shows_everything_and_counts_nothing_as_foreign() {
    let cluster = Cluster::start().await;
    let (whole, only) = (cluster.instance(None), cluster.instance(Some(sharding(shard(0, 1)))));
    until("both are synced", || whole.is_synced() && lines([&only]) == lines([&whole])).await;
    assert!(only.status().iter().all(|status| status.not_owned == 0));
}

#[tokio::test]
async fn an_object_that_gets_an_owner_moves() {
    let sim = Sim::builder().start().await.unwrap();
    let orphan = |owner: Option<&str>| {
        let owner =
            owner.map(|uid| json!({"apiVersion": "v1", "kind": "R", "name": "r", "uid": uid, "controller": true}));
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default", "uid": "abc-1",
                         "ownerReferences": owner.into_iter().collect::<Vec<_>>()},
            "spec": {"containers": []},
        })
    };
    sim.upsert(orphan(None)).unwrap();
    let instance = |ordinal| {
        let sharding = sharding(shard(ordinal, 2)).key(ShardKey::Owner);
        let builder = ksm_core::Ksm::builder().client(sim.client()).sharding(sharding);
        builder.resources(["pods"]).unwrap().spawn().unwrap()
    };
    let shards = [instance(0), instance(1)];
    let on = |number: usize| union([&shards[number]]).iter().any(|line| line.contains("pod=\"p\""));
    // By the table of hashes, abc-1 is on shard 0, and abc-3 on shard 1.
    until("it is where its uid says", || on(0) && !on(1)).await;
    sim.upsert(orphan(Some("abc-3"))).unwrap();
    until("it is where its owner's uid says", || !on(0) && on(1)).await;
    sim.delete(&cluster_sim::ObjectRef::new("v1", "Pod", "p").within("default")).unwrap();
    until("it is gone", || !on(0) && !on(1)).await;
}
