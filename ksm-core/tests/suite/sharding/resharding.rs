//! Shards that become others.

use std::time::Duration;

use cluster_sim::{Fault, Verb};
use futures::future::join_all;
use ksm_core::{Handover, Ksm, ReshardError, Resharding, Shard};

use super::cluster::{Cluster, RESOURCES, lines, options, shard, sharding, soon, steady_lines, union, until};

/// Makes instance number `n` the shard `n` of `total`; those beyond the total stay what they were.
fn reshard(shards: &[Ksm], total: u32) -> Vec<Resharding> {
    let part = shards.iter().zip(0..total);
    part.map(|(ksm, ordinal)| ksm.reshard(shard(ordinal, total)).unwrap()).collect()
}

async fn acquired(reshardings: &[Resharding], look: impl FnMut()) {
    let all = soon("all is acquired", look, join_all(reshardings.iter().map(Resharding::acquired))).await;
    assert!(all.iter().all(|outcome| *outcome == Handover::Done), "{all:?}");
}

async fn release(reshardings: &[Resharding], look: impl FnMut()) {
    reshardings.iter().for_each(Resharding::release);
    let all = soon("all is released", look, join_all(reshardings.iter().map(Resharding::released))).await;
    assert!(all.iter().all(|outcome| *outcome == Handover::Done), "{all:?}");
}

// One thread: nothing happens between the scrapes of one look.
#[tokio::test]
async fn nothing_is_missing_at_any_time_while_shards_come_and_go() {
    let mut cluster = Cluster::start().await;
    let whole = cluster.instance(None);
    let mut shards = vec![cluster.instance(Some(sharding(Shard::ALL)))];
    until("all are synced", || whole.is_synced() && lines(&shards) == lines([&whole])).await;
    let steady = steady_lines([&whole]);
    assert!(steady.len() > 500, "{}", steady.len());
    let mut instances = 2;

    for total in [2, 3, 2] {
        // As many as there are, or are to be; a new one comes with its new number.
        while shards.len() < total as usize {
            let number = u32::try_from(shards.len()).unwrap();
            shards.push(cluster.instance(Some(sharding(shard(number, total)))));
            instances += 1;
        }
        let looks = std::cell::Cell::new(0);
        let sims = std::cell::RefCell::new(&mut cluster);
        let look = || {
            sims.borrow_mut().change(1);
            assert!(steady_lines(&shards).is_superset(&steady), "a gap on the way to {total}");
            looks.set(looks.get() + 1);
        };
        let reshardings = reshard(&shards, total);
        soon("new ones are synced", look, join_all(shards.iter().map(Ksm::synced))).await;
        acquired(&reshardings, look).await;
        assert!(looks.get() > 0);
        // No more changes: both on the way and at the end, nothing is missing, and at the end nothing is twice.
        until("the shards show all", || union(&shards).is_superset(&union([&whole]))).await;
        assert!(total == 3 || lines(&shards).len() > lines([&whole]).len(), "former objects are still here");
        release(&reshardings, || assert!(steady_lines(&shards).is_superset(&steady))).await;
        let after = &shards[..total as usize];
        until("the sum is the whole", || lines(after) == lines([&whole])).await;
        // The instances beyond the total end only now.
        shards.truncate(total as usize);
    }
    until("no watch was opened anew", || cluster.asked(Verb::Watch) == instances * RESOURCES.len() as u64).await;
    let lists: u64 = shards.iter().flat_map(Ksm::status).map(|status| status.lists).sum();
    assert_eq!(lists, shards.len() as u64 * RESOURCES.len() as u64, "what was missing came beside the watches");
}

#[tokio::test]
async fn a_shard_that_only_loses_lists_nothing() {
    let cluster = Cluster::start().await;
    let first = cluster.instance(Some(sharding(shard(0, 2))));
    first.synced().await;
    let lists = cluster.asked(Verb::List);
    let resharding = first.reshard(shard(0, 5)).unwrap();
    acquired(std::slice::from_ref(&resharding), || {}).await;
    release(&[resharding], || {}).await;
    // And back, while it has everything still: nor then.
    let resharding = first.reshard(shard(0, 6)).unwrap();
    acquired(std::slice::from_ref(&resharding), || {}).await;
    acquired(&[first.reshard(shard(0, 5)).unwrap()], || {}).await;
    assert_eq!(cluster.asked(Verb::List), lists);
    assert_eq!(resharding.released().await, Handover::Superseded);
}

#[tokio::test]
async fn becoming_what_it_is_changes_nothing() {
    let cluster = Cluster::start().await;
    let only = cluster.instance(Some(sharding(shard(1, 2))));
    only.synced().await;
    let (before, lists) = (lines([&only]), cluster.asked(Verb::List));
    let resharding = only.reshard(shard(1, 2)).unwrap();
    assert_eq!((resharding.acquired().await, resharding.released().await), (Handover::Done, Handover::Done));
    assert_eq!((lines([&only]), cluster.asked(Verb::List)), (before, lists));
    assert_eq!(only.shard(), Some(shard(1, 2)));
    let unsharded = cluster.instance(None);
    assert_eq!(unsharded.reshard(shard(0, 2)).unwrap_err(), ReshardError::NotSharded);
    only.shutdown().await;
    assert_eq!(only.reshard(shard(0, 2)).unwrap().acquired().await, Handover::Stopped);
}

#[tokio::test]
async fn while_lists_fail_the_old_part_stays() {
    let mut cluster = Cluster::start().await;
    let whole = cluster.instance(None);
    let shards = [cluster.instance(Some(sharding(shard(0, 2)))), cluster.instance(Some(sharding(shard(1, 2))))];
    until("all are synced", || whole.is_synced() && lines(&shards) == lines([&whole])).await;
    let steady = steady_lines([&whole]);
    let watches = (shards.len() + 1) * RESOURCES.len();
    let failing = cluster.sim.faults().add(Fault::on(Verb::List).status(503));
    // They change places.
    let reshardings = [shards[0].reshard(shard(1, 2)).unwrap(), shards[1].reshard(shard(0, 2)).unwrap()];
    until("every list has failed again and again", || cluster.sim.faults().spoiled(failing) > 60).await;
    cluster.change(50);
    assert!(steady_lines(&shards).is_superset(&steady));
    cluster.sim.faults().clear();
    // Pages break off in the middle, and their tokens expire.
    cluster.sim.faults().add(Fault::on(Verb::List).share(0.5).reset_mid_body().count(30));
    let compacting = cluster.sim.clone();
    acquired(&reshardings, || {
        compacting.compact_now();
        assert!(steady_lines(&shards).is_superset(&steady));
    })
    .await;
    release(&reshardings, || assert!(steady_lines(&shards).is_superset(&steady))).await;
    until("the sum is the whole", || lines(&shards) == lines([&whole])).await;
    until("the watches went on", || cluster.asked(Verb::Watch) == watches as u64).await;
}

#[tokio::test]
async fn a_release_before_its_time_waits_for_what_is_missing() {
    let cluster = Cluster::start().await;
    let only = cluster.instance(Some(sharding(shard(0, 2))));
    only.synced().await;
    let before = steady_lines([&only]);
    let failing = cluster.sim.faults().add(Fault::on(Verb::List).status(503));
    let resharding = only.reshard(shard(1, 2)).unwrap();
    resharding.release();
    until("every list has failed again and again", || cluster.sim.faults().spoiled(failing) > 30).await;
    assert_eq!(steady_lines([&only]), before);
    cluster.sim.faults().clear();
    assert_eq!(soon("released", || {}, resharding.released()).await, Handover::Done);
    assert!(!steady_lines([&only]).is_empty() && steady_lines([&only]).is_disjoint(&before));
}

#[tokio::test]
async fn one_resharding_after_the_other_and_in_the_middle_of_the_first_list() {
    let mut cluster = Cluster::start().await;
    let whole = cluster.instance(None);
    let slow = cluster.sim.faults().add(Fault::on(Verb::List).latency(Duration::from_millis(30)));
    let shards = [0, 1, 2].map(|ordinal| cluster.instance(Some(sharding(shard(ordinal, 3)))));
    let lists = cluster.asked(Verb::List);
    until("the first pages are here", || cluster.asked(Verb::List) > lists + 20).await;
    assert!(!shards[0].is_synced());
    let first = reshard(&shards, 3);
    let mut last = Vec::new();
    for round in [[1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2]] {
        last = shards.iter().zip(round).map(|(ksm, ordinal)| ksm.reshard(shard(ordinal, 3)).unwrap()).collect();
        cluster.change(20);
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    cluster.sim.faults().remove(slow);
    assert_eq!(first[0].acquired().await, Handover::Superseded);
    acquired(&last, || cluster.change(1)).await;
    release(&last, || {}).await;
    until("the sum is the whole", || lines(&shards) == lines([&whole])).await;
}

#[tokio::test]
async fn a_namespace_that_is_added_meanwhile_takes_part() {
    let cluster = Cluster::start().await;
    let settings = |names: &[&str]| ksm_core::Settings {
        namespaces: names.iter().map(|name| (*name).to_owned()).collect(),
        ..ksm_core::Settings::default()
    };
    let instance = |sharding: Option<ksm_core::Sharding>| {
        let builder =
            Ksm::builder().client(cluster.client()).watch_options(options()).settings(settings(&["steady-1"]));
        let builder = sharding.into_iter().fold(builder, ksm_core::KsmBuilder::sharding);
        builder.resources(["pods"]).unwrap().spawn().unwrap()
    };
    let whole = instance(None);
    let shards = [instance(Some(sharding(shard(0, 2)))), instance(Some(sharding(shard(1, 2))))];
    until("all are synced", || !lines([&whole]).is_empty() && lines(&shards) == lines([&whole])).await;
    let reshardings = [shards[0].reshard(shard(1, 2)).unwrap(), shards[1].reshard(shard(0, 2)).unwrap()];
    for ksm in shards.iter().chain([&whole]) {
        ksm.reconfigure(&settings(&["steady-1", "steady-2"]));
    }
    acquired(&reshardings, || {}).await;
    release(&reshardings, || {}).await;
    until("the sum is the whole", || {
        whole.is_synced() && lines([&whole]).iter().any(|l| l.contains("steady-2")) && lines(&shards) == lines([&whole])
    })
    .await;
}
