//! Leases → what is known of nodes, and what becomes of it.

use std::time::Duration;

use cluster_sim::{Fault, Sim, Verb};
use futures::StreamExt;
use jiff::SignedDuration;
use node_lease::{
    Attribute, CacheState, Contract, ExpiryPolicy, LeaseCache, LeaseCacheBuilder, NodeChange, RemovalReason,
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::support::*;

fn builder(sim: &Sim) -> LeaseCacheBuilder {
    LeaseCache::builder(sim.client_in_memory(), NAMESPACE).clock(clock(SignedDuration::ZERO))
}

/// A cache that has seen everything.
async fn synced(builder: LeaseCacheBuilder) -> LeaseCache {
    let cache = builder.spawn();
    timeout(HOUR, cache.synced()).await.unwrap();
    cache
}

fn kind(cache: &LeaseCache, node: &str) -> Option<String> {
    Some(cache.get(node)?.get(Attribute::HostType)?.to_owned())
}

/// Renews a Lease, as its writer would.
fn renew(sim: &Sim, node: &str, ago: SignedDuration, passed: Duration) {
    let now = wall() + SignedDuration::try_from(passed).unwrap() - ago;
    let mut renewed = lease(sim, node).unwrap();
    renewed["spec"]["renewTime"] = format!("{now:.6}").into();
    sim.update(renewed).unwrap();
}

#[tokio::test(start_paused = true)]
async fn leases_of_the_cloudwatch_agent_are_read_whole_and_in_part() {
    let sim = cluster(&[]).await;
    sim.create(cloudwatch_lease("a", "m6i.large", wall())).unwrap();
    let mut partial = cloudwatch_lease("b", "c6i.large", wall());
    partial["metadata"]["annotations"]["cwagent.amazonaws.com/host.name"] = "".into();
    partial["metadata"]["annotations"]["cwagent.amazonaws.com/host.serial"] = "s".into();
    sim.create(partial).unwrap();
    let leader = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "leader", "namespace": NAMESPACE}, "spec": {"holderIdentity": "x"}});
    sim.create(leader).unwrap();
    let cache = synced(builder(&sim)).await;
    let a = cache.get("a").unwrap();
    let values: Vec<_> = Attribute::CLOUDWATCH.into_iter().map(|attribute| a.get(attribute).unwrap()).collect();
    assert_eq!(values, ["i-0123", "a.ec2.internal", "m6i.large", "ami-0123", "us-east-1a"]);
    let b = cache.get("b").unwrap();
    assert_eq!(b.get(Attribute::HostName), None);
    assert_eq!(b.get(Attribute::HostType), Some("c6i.large"));
    assert_eq!(b.other().collect::<Vec<_>>(), [("host.serial", "s")]);
    assert!(cache.get("c").is_none());
    assert_eq!(cache.status().nodes, 2);
    assert_eq!(cache.status().state, CacheState::Synced);
}

#[tokio::test(start_paused = true)]
async fn nodes_come_change_and_go_and_each_change_is_told_once() {
    let sim = cluster(&[]).await;
    sim.create(cloudwatch_lease("a", "old", wall())).unwrap();
    let cache = synced(builder(&sim)).await;
    let mut changes = cache.changes();
    let mut next = async || match timeout(HOUR, changes.next()).await.unwrap().unwrap() {
        NodeChange::Changed { node, metadata } => {
            format!("{node} is {}", metadata.get(Attribute::HostType).unwrap_or_default())
        }
        NodeChange::Removed { node, reason } => format!("{node} was {}", reason.as_str()),
        other => format!("{other:?}"),
    };
    sim.create(cloudwatch_lease("b", "new", wall())).unwrap();
    assert_eq!(next().await, "b is new");
    renew(&sim, "b", SignedDuration::ZERO, SECOND);
    let mut changed = lease(&sim, "a").unwrap();
    changed["metadata"]["annotations"]["cwagent.amazonaws.com/host.type"] = "newer".into();
    sim.update(changed).unwrap();
    assert_eq!(next().await, "a is newer", "a renewal alone is no change");
    assert_eq!(kind(&cache, "a").unwrap(), "newer");
    sim.delete(&reference("b")).unwrap();
    assert_eq!(next().await, "b was deleted");
    assert!(cache.get("b").is_none());
    // An update that makes the Lease useless.
    let mut useless = lease(&sim, "a").unwrap();
    useless["metadata"]["annotations"] = json!({"cwagent.amazonaws.com/host.id": ""});
    sim.update(useless).unwrap();
    assert_eq!(next().await, "a was rejected");
    assert!(cache.get("a").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_renewed_ends_and_is_evicted() {
    for (policy, hours) in [
        (ExpiryPolicy::default(), 2),
        (ExpiryPolicy::WriterClock { tolerance: HOUR }, 3),
        (ExpiryPolicy::WriterClock { tolerance: Duration::ZERO }, 2),
    ] {
        let sim = cluster(&[]).await;
        sim.create(cloudwatch_lease("a", "m", wall())).unwrap();
        let cache = synced(builder(&sim).expiry(policy)).await;
        sleep((HOUR * hours).checked_sub(10 * SECOND).unwrap()).await;
        let freshness = cache.freshness("a").unwrap();
        assert_eq!(freshness.skew, None, "nobody knows how old what is listed is");
        let left = freshness.remaining.unwrap();
        assert!(left > 8 * SECOND && left <= 10 * SECOND, "{left:?}");
        assert_eq!(cache.status().nodes, 1);
        sleep(10 * SECOND).await;
        assert!(cache.get("a").is_none() && cache.freshness("a").is_none() && cache.nodes().is_empty(), "{policy:?}");
        settle().await;
        assert_eq!(cache.status().nodes, 0, "it is out of memory too");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_renewed_stays() {
    for policy in [ExpiryPolicy::default(), ExpiryPolicy::WriterClock { tolerance: MINUTE }] {
        let sim = cluster(&[]).await;
        sim.create(cloudwatch_lease("a", "m", wall())).unwrap();
        let cache = synced(builder(&sim).expiry(policy)).await;
        let began = Instant::now();
        for _ in 0..10 {
            sleep(HOUR).await;
            renew(&sim, "a", SignedDuration::from_secs(2), began.elapsed());
            settle().await;
            let freshness = cache.freshness("a").unwrap();
            assert_eq!(freshness.skew, Some(SignedDuration::from_secs(2)));
            assert!(freshness.seen < SECOND, "{freshness:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_writers_clock_that_is_three_hours_off_hides_no_node_and_keeps_no_dead_one() {
    for hours in [-3, 3] {
        let sim = cluster(&[]).await;
        let off = SignedDuration::from_hours(hours);
        sim.create(cloudwatch_lease("a", "m", wall() + off)).unwrap();
        let cache = synced(builder(&sim)).await;
        let began = Instant::now();
        for _ in 0..5 {
            sleep(HOUR).await;
            assert!(cache.get("a").is_some(), "it lives, {hours} hours off");
            renew(&sim, "a", -off, began.elapsed());
            settle().await;
            assert_eq!(cache.freshness("a").unwrap().skew.unwrap().as_hours(), -hours);
        }
        sleep(2 * HOUR + SECOND).await;
        assert!(cache.get("a").is_none(), "it is dead, {hours} hours off");
    }
}

#[tokio::test(start_paused = true)]
async fn by_the_writers_clock_a_clock_that_is_off_shows() {
    let sim = cluster(&[]).await;
    sim.create(cloudwatch_lease("behind", "m", wall() - SignedDuration::from_hours(3))).unwrap();
    sim.create(cloudwatch_lease("ahead", "m", wall() + SignedDuration::from_hours(3))).unwrap();
    let cache = synced(builder(&sim).expiry(ExpiryPolicy::WriterClock { tolerance: MINUTE })).await;
    assert!(cache.get("behind").is_none());
    sleep(4 * HOUR).await;
    assert!(cache.get("ahead").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ended_is_not_revived_by_a_relist_but_by_a_renewal() {
    let sim = cluster(&[]).await;
    sim.create(cloudwatch_lease("dead", "m", wall())).unwrap();
    sim.create(cloudwatch_lease("history", "m", wall() - SignedDuration::from_hours(24 * 30))).unwrap();
    let cache = synced(builder(&sim)).await;
    assert!(cache.get("history").is_none(), "it ended a month ago");
    sleep(3 * HOUR).await;
    assert!(cache.get("dead").is_none());
    // While nobody watches, others come, and the history is forgotten: everything is listed again.
    let lists = sim.requests().count(Verb::List, "leases");
    let cut = sim.faults().add(Fault::on_any().resource("leases").reset_before());
    sim.restart();
    settle().await;
    for node in ["x", "y"] {
        sim.create(cloudwatch_lease(node, "m", wall())).unwrap();
    }
    sim.compact_now();
    sim.faults().remove(cut);
    sleep(MINUTE).await;
    assert_eq!(sim.requests().count(Verb::List, "leases"), lists + 1);
    assert!(cache.get("x").is_some());
    assert!(cache.get("dead").is_none() && cache.get("history").is_none());
    for node in ["dead", "history"] {
        renew(&sim, node, SignedDuration::ZERO, 3 * HOUR);
        settle().await;
        assert!(cache.get(node).is_some(), "{node}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_relist_is_a_swap_and_removes_what_is_gone() {
    let sim = cluster(&[]).await;
    for node in ["a", "b", "c"] {
        sim.create(cloudwatch_lease(node, "m", wall())).unwrap();
    }
    let cache = synced(builder(&sim)).await;
    let mut changes = cache.changes();
    // While nobody watches, one goes and one comes, and the history is forgotten.
    let cut = sim.faults().add(Fault::on_any().resource("leases").reset_before());
    sim.restart();
    settle().await;
    sim.delete(&reference("b")).unwrap();
    sim.create(cloudwatch_lease("d", "m", wall())).unwrap();
    sim.compact_now();
    assert_eq!(cache.nodes().len(), 3, "the old state");
    sim.faults().remove(cut);
    sleep(MINUTE).await;
    let mut nodes: Vec<String> = cache.nodes().iter().map(|(node, _)| node.to_string()).collect();
    nodes.sort();
    assert_eq!(nodes, ["a", "c", "d"]);
    let mut told = Vec::new();
    while let Ok(Some(change)) = timeout(SECOND, changes.next()).await {
        told.push(change);
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(matches!(&told[0], NodeChange::Changed { node, .. } if &**node == "d"));
    assert!(matches!(&told[1], NodeChange::Removed { node, reason: RemovalReason::Deleted } if &**node == "b"));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_several_pages_that_breaks_off_removes_nothing() {
    let sim = cluster(&[]).await;
    let count = 1200;
    for node in 0..count {
        sim.create(cloudwatch_lease(&format!("n{node}"), "m", wall())).unwrap();
    }
    let cache = synced(builder(&sim)).await;
    assert_eq!(sim.requests().count(Verb::List, "leases"), 3);
    assert_eq!(cache.nodes().len(), count);
    // While nobody watches, one comes, and the history is forgotten. Then some pages break off, or are too old.
    let spoil = || Fault::on(Verb::List).resource("leases").share(0.7);
    for (name, fault) in [("broken", spoil().truncate()), ("old", spoil().status(410))] {
        let cut = sim.faults().add(Fault::on_any().resource("leases").reset_before());
        sim.restart();
        settle().await;
        sim.create(cloudwatch_lease(name, "m", wall())).unwrap();
        sim.compact_now();
        let spoilt = sim.faults().add(fault);
        sim.faults().remove(cut);
        for _ in 0..10 {
            sleep(10 * SECOND).await;
            assert!(cache.nodes().len() >= count, "{}", cache.nodes().len());
        }
        assert!(sim.faults().spoiled(spoilt) > 1);
        sim.faults().clear();
        sleep(MINUTE).await;
        assert_eq!(cache.status().state, CacheState::Synced);
        assert!(cache.get(name).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn only_labelled_leases_are_asked_for_where_that_is_wanted() {
    let sim = cluster(&["ours"]).await;
    sim.create(cloudwatch_lease("theirs", "m", wall())).unwrap();
    let source = node_lease::source::Fixed(machine("m"));
    let handle = writer(&sim, source, "ours", "pod-a").build().unwrap().spawn().unwrap();
    held(&handle).await;
    let all = synced(builder(&sim)).await;
    let labelled = synced(builder(&sim).by_label(true)).await;
    assert!(all.get("ours").is_some() && all.get("theirs").is_some());
    assert!(labelled.get("ours").is_some() && labelled.get("theirs").is_none());
    let contract = Contract::cloudwatch().label("another", "label").unwrap();
    assert_eq!(synced(builder(&sim).by_label(true).contract(contract)).await.status().nodes, 0);
}

#[tokio::test(start_paused = true)]
async fn more_nodes_than_the_bound_push_out_those_that_would_end_first() {
    let sim = cluster(&[]).await;
    let cache = synced(builder(&sim).capacity(10)).await;
    for node in 0..10 {
        sim.create(cloudwatch_lease(&format!("n{node}"), "m", wall())).unwrap();
        sleep(MINUTE).await;
    }
    renew(&sim, "n0", SignedDuration::ZERO, 10 * MINUTE);
    sleep(SECOND).await;
    let mut changes = cache.changes();
    sim.create(cloudwatch_lease("more", "m", wall())).unwrap();
    sleep(SECOND).await;
    assert_eq!(cache.status().nodes, 10);
    assert!(cache.get("more").is_some() && cache.get("n0").is_some() && cache.get("n1").is_none());
    let change = changes.next().await.unwrap();
    assert!(
        matches!(&change, NodeChange::Removed { node, reason: RemovalReason::Full } if &**node == "n1"),
        "{change:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_told_how_much_it_missed() {
    let sim = cluster(&[]).await;
    let cache = synced(builder(&sim)).await;
    let mut changes = cache.changes();
    for node in 0..3000 {
        sim.create(cloudwatch_lease(&format!("n{node}"), "m", wall())).unwrap();
    }
    sleep(MINUTE).await;
    let NodeChange::Missed(missed) = changes.next().await.unwrap() else { panic!("nothing was missed") };
    assert_eq!(missed, 3000 - 1024);
    assert_eq!(cache.nodes().len(), 3000);
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_nothing_is_there_and_nothing_comes_back() {
    let sim = cluster(&[]).await;
    for node in 0..500 {
        sim.create(cloudwatch_lease(&format!("n{node}"), "m", wall())).unwrap();
    }
    let cache = builder(&sim).spawn();
    // In the middle of the list.
    while cache.status().nodes == 0 {
        tokio::task::yield_now().await;
    }
    cache.shutdown().await;
    cache.shutdown().await;
    sim.create(cloudwatch_lease("late", "m", wall())).unwrap();
    sleep(HOUR).await;
    assert_eq!(cache.status().state, CacheState::Stopped);
    assert_eq!(cache.status().nodes, 0);
    assert!(cache.get("n0").is_none() && cache.get("late").is_none() && cache.nodes().is_empty());
    let requests = sim.requests().total();
    sleep(HOUR).await;
    assert_eq!(sim.requests().total(), requests);
    // Changes end.
    assert_eq!(timeout(HOUR, cache.changes().next()).await, Ok(None));
    // The same where the handle is just dropped.
    let cache = synced(builder(&sim)).await;
    let requests = sim.requests().total();
    drop(cache);
    sleep(HOUR).await;
    assert_eq!(sim.requests().total(), requests);
}
