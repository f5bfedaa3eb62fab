//! Ranges of the hash, selected by the server where it can.

use cluster_sim::{Fault, Verb};
use ksm_core::{Assignment, Handover, Ksm, ListStrategy, ShardKey, Sharding, WatchOptions};
use serde_json::json;

use super::cluster::{Cluster, RESOURCES, lines, options, shard, sharding, soon, steady_lines, until};

fn ranges(ordinal: u32, total: u32) -> Sharding {
    sharding(shard(ordinal, total)).assignment(Assignment::HashRange)
}

fn foreign(shards: &[Ksm]) -> u64 {
    shards.iter().flat_map(Ksm::status).map(|status| status.not_owned).sum()
}

/// How many of the watches were opened with a selector.
fn selected_watches(cluster: &Cluster) -> usize {
    let requests = cluster.sim.requests().newest();
    requests.iter().filter(|one| one.verb == Verb::Watch && one.query.contains("shardSelector=")).count()
}

#[tokio::test]
async fn a_server_that_selects_sends_each_shard_its_part_only() {
    for key in [ShardKey::Uid, ShardKey::Namespace] {
        let mut cluster = Cluster::start().await;
        cluster.sim.set_sharded_lists(true);
        let whole = cluster.instance(None);
        let shards = [0, 1, 2].map(|ordinal| cluster.instance(Some(ranges(ordinal, 3).key(key.clone()))));
        until("the sum is the whole", || whole.is_synced() && lines(&shards) == lines([&whole])).await;
        cluster.change(300);
        until("the sum is the whole", || lines(&shards) == lines([&whole])).await;
        assert_eq!(foreign(&shards), 0, "{key:?}");
        until("all are selected", || selected_watches(&cluster) == shards.len() * RESOURCES.len()).await;
        let events = |ksms: &[Ksm]| ksms.iter().flat_map(Ksm::status).map(|status| status.events).sum::<u64>();
        let whole = [whole];
        until("three shards are told as much as one alone", || events(&shards) == events(&whole)).await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_select_is_told_apart_by_its_list() {
    let mut cluster = Cluster::start().await;
    let whole = cluster.instance(None);
    let shards = [0, 1].map(|ordinal| cluster.instance(Some(ranges(ordinal, 2))));
    until("the sum is the whole", || whole.is_synced() && lines(&shards) == lines([&whole])).await;
    assert!(foreign(&shards) > 100);
    assert_eq!(selected_watches(&cluster), 0, "such a server is not asked to select watches");

    // It learns to; the next list says so.
    cluster.sim.set_sharded_lists(true);
    cluster.sim.restart();
    cluster.change(100);
    // No watch has seen this version: each of them is too old now.
    let unwatched = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}});
    cluster.sim.upsert(unwatched).unwrap();
    cluster.sim.compact_now();
    until("all are listed anew", || shards.iter().flat_map(Ksm::status).all(|status| status.lists > 1)).await;
    until("the sum is the whole", || lines(&shards) == lines([&whole])).await;
    until("all are selected", || selected_watches(&cluster) >= shards.len() * RESOURCES.len()).await;

    // And forgets it again: what it sends too much is passed by.
    cluster.sim.set_sharded_lists(false);
    let before = foreign(&shards);
    cluster.sim.restart();
    cluster.change(100);
    until("the sum is the whole", || foreign(&shards) > before && lines(&shards) == lines([&whole])).await;
}

#[tokio::test]
async fn resharding_reopens_watches_where_they_were_and_lists_what_is_missing() {
    let mut cluster = Cluster::start().await;
    cluster.sim.set_sharded_lists(true);
    let whole = cluster.instance(None);
    let shards = [0, 1].map(|ordinal| cluster.instance(Some(ranges(ordinal, 2))));
    until("the sum is the whole", || whole.is_synced() && lines(&shards) == lines([&whole])).await;
    let steady = steady_lines([&whole]);
    let reshardings = [shards[0].reshard(shard(1, 2)).unwrap(), shards[1].reshard(shard(0, 2)).unwrap()];
    let sim = std::cell::RefCell::new(&mut cluster);
    let look = || {
        sim.borrow_mut().change(1);
        assert!(steady_lines(&shards).is_superset(&steady));
    };
    for resharding in &reshardings {
        assert_eq!(soon("acquired", look, resharding.acquired()).await, Handover::Done);
    }
    for resharding in &reshardings {
        resharding.release();
        assert_eq!(soon("released", look, resharding.released()).await, Handover::Done);
    }
    until("the sum is the whole", || lines(&shards) == lines([&whole])).await;
    assert_eq!(foreign(&shards), 0);
    assert!(shards.iter().flat_map(Ksm::status).all(|status| status.lists == 1 && status.errors == 0));
    let opened = 3 * shards.len() * RESOURCES.len();
    until("own part, both parts, new part", || selected_watches(&cluster) == opened).await;
}

#[tokio::test]
async fn from_one_to_two_the_server_is_asked_whether_it_selects() {
    let cluster = Cluster::start().await;
    cluster.sim.set_sharded_lists(true);
    let options = WatchOptions { watch_seconds: 1, ..options() };
    let builder = Ksm::builder().client(cluster.client()).watch_options(options).sharding(ranges(0, 1));
    let ksm = builder.resources(["pods"]).unwrap().spawn().unwrap();
    ksm.synced().await;
    let all = lines([&ksm]).len();
    let resharding = ksm.reshard(shard(0, 2)).unwrap();
    resharding.release();
    assert_eq!(soon("released", || {}, resharding.released()).await, Handover::Done);
    assert!(lines([&ksm]).len() < all * 3 / 4);
    until("the next watch is selected", || selected_watches(&cluster) > 0).await;
    assert_eq!(ksm.status()[0].lists, 1);
}

#[tokio::test]
async fn a_server_that_refuses_selectors_is_asked_without() {
    let cluster = Cluster::start().await;
    let whole = cluster.instance(None);
    until("the whole is synced", || whole.is_synced()).await;
    let refusing = cluster.sim.faults().add(Fault::on(Verb::List).resource("pods").status(400).count(2));
    let strategy = ListStrategy::Streaming;
    let shards = [0, 1].map(|ordinal| {
        let builder = Ksm::builder().client(cluster.client()).watch_options(WatchOptions { strategy, ..options() });
        builder.sharding(ranges(ordinal, 2)).resources(RESOURCES).unwrap().spawn().unwrap()
    });
    until("the sum is the whole", || lines(&shards) == lines([&whole])).await;
    assert_eq!(cluster.sim.faults().spoiled(refusing), 2);
    assert!(shards.iter().flat_map(Ksm::status).all(|status| status.errors == 0), "a refusal is no error");
}
