//! Ages and gates, to the nanosecond.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use kubelet_summary::fetch::{AddressType, FetchError};
use kubelet_summary::{MissingReason, NodeOutcome};

use super::script::{Act, Kubelets, NANO, TTL, call, node, nodes, pass, seen};

fn error(outcome: &NodeOutcome) -> String {
    outcome.reason().and_then(MissingReason::error).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_document_is_fresh_for_less_than_a_ttl() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    assert_eq!(seen(&cache.get(&n).await), ("fresh", Some(Duration::ZERO)));
    pass(TTL - NANO).await;
    let last = cache.get(&n).await;
    assert_eq!((seen(&last), call(&last)), (("fresh", Some(TTL - NANO)), Some(1)));
    pass(NANO).await;
    let next = cache.get(&n).await;
    assert_eq!((seen(&next), call(&next)), (("fresh", Some(Duration::ZERO)), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn a_stale_document_is_served_for_less_than_two_ttls() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    cache.get(&n).await;
    kubelets.act("n", Act::Fail);
    pass(TTL - NANO).await;
    assert_eq!((seen(&cache.get(&n).await), kubelets.calls()), (("fresh", Some(TTL - NANO)), 1));
    pass(NANO).await;
    let stale = cache.get(&n).await;
    assert_eq!((seen(&stale), call(&stale), kubelets.calls()), (("stale", Some(TTL)), Some(1), 2));
    assert!(matches!(stale.reason(), Some(MissingReason::Failed { .. })) && error(&stale) == "call 2 failed");
    pass(TTL - NANO).await;
    let stale = cache.get(&n).await;
    assert_eq!((seen(&stale), kubelets.calls()), (("stale", Some(2 * TTL - NANO)), 2));
    assert!(matches!(stale.reason(), Some(MissingReason::GateClosed { .. })) && error(&stale) == "call 2 failed");
    pass(NANO).await;
    let missing = cache.get(&n).await;
    assert_eq!((seen(&missing), kubelets.calls()), (("missing", None), 3));
    // It answered once, which tells it from a node that never did.
    let NodeOutcome::Missing { last, reason } = &missing else { panic!("{missing:?}") };
    assert_eq!((*last, reason.to_string().as_str()), (Some(2 * TTL), "call 3 failed"));
    pass(NANO).await;
    let NodeOutcome::Missing { last, reason: MissingReason::GateClosed { since, .. } } = cache.get(&n).await else {
        panic!("{missing:?}")
    };
    assert_eq!((last, kubelets.calls()), (Some(2 * TTL + NANO), 3));
    assert_eq!(since.elapsed(), TTL + NANO, "since the first failure");
}

#[tokio::test(start_paused = true)]
async fn at_two_ttls_a_document_is_left_out_also_where_the_gate_is_closed() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    cache.get(&n).await;
    kubelets.act("n", Act::Fail);
    pass(TTL + Duration::from_secs(1)).await;
    assert!(cache.get(&n).await.is_stale());
    pass(TTL - Duration::from_secs(1) - NANO).await;
    assert_eq!(seen(&cache.get(&n).await), ("stale", Some(2 * TTL - NANO)));
    pass(NANO).await;
    let missing = cache.get(&n).await;
    assert!(matches!(missing.reason(), Some(MissingReason::GateClosed { .. })), "{missing:?}");
    assert_eq!((missing.is_missing(), kubelets.calls()), (true, 2));
}

/// A node fails from its first success on for `time`, while a reader comes every second. How long it was stale, how long
/// missing, and the age of the document with which it was fresh again.
async fn outage(time: Duration) -> (u32, u32, usize) {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    cache.get(&n).await;
    kubelets.act("n", Act::Fail);
    let (mut stale, mut missing) = (0, 0);
    for second in 1..=200 {
        pass(Duration::from_secs(1)).await;
        if Duration::from_secs(second) >= time {
            kubelets.act("n", Act::Answer);
        }
        let outcome = cache.get(&n).await;
        stale += u32::from(outcome.is_stale());
        missing += u32::from(outcome.is_missing());
    }
    (stale, missing, kubelets.calls())
}

#[tokio::test(start_paused = true)]
async fn a_node_that_recovers_is_there_again_within_a_ttl() {
    // Nobody sees an outage that is over before the next attempt.
    assert_eq!(outage(Duration::from_secs(54)).await, (0, 0, 4));
    // The attempt at 55 s fails; that at 110 s succeeds.
    assert_eq!(outage(Duration::from_secs(56)).await, (55, 0, 4));
    // So does the one at 110 s; that at 165 s succeeds.
    assert_eq!(outage(Duration::from_secs(111)).await, (55, 55, 4));
}

#[tokio::test(start_paused = true)]
async fn failure_then_success_after_exactly_a_ttl() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    kubelets.act("n", Act::Fail);
    // The first attempt is free, and its error is the outcome.
    let failed = cache.get(&n).await;
    let NodeOutcome::Missing { reason: MissingReason::Failed { error: first, .. }, last: None } = &failed else {
        panic!("{failed:?}")
    };
    kubelets.act("n", Act::Answer);
    for time in [NANO, TTL - 2 * NANO] {
        pass(time).await;
        let waits = cache.get(&n).await;
        let NodeOutcome::Missing { reason: MissingReason::GateClosed { error, .. }, last: None } = &waits else {
            panic!("{waits:?}")
        };
        assert!(Arc::ptr_eq(error, first));
        assert!(waits.reason().unwrap().to_string().contains("too early for another: call 1 failed"));
    }
    assert_eq!(kubelets.calls(), 1);
    pass(NANO).await;
    assert_eq!((call(&cache.get(&n).await), kubelets.calls()), (Some(2), 2));
}

#[tokio::test(start_paused = true)]
async fn all_nodes_fail() {
    let (kubelets, all) = (Kubelets::default(), nodes(50));
    let cache = kubelets.cache().build();
    for node in &all {
        kubelets.act(&node.name, Act::Fail);
    }
    for (round, calls) in [(0, 50), (1, 100), (2, 150)] {
        for _ in 0..3 {
            let answers = cache.get_many(&all, Duration::from_secs(1)).await;
            assert!(answers.iter().all(|answer| answer.outcome.is_missing()), "round {round}");
            assert!(answers.iter().zip(&all).all(|(answer, node)| answer.node == node.name));
        }
        assert_eq!(kubelets.calls(), calls);
        pass(TTL).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ages_count_from_before_the_request() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    let slow = Duration::from_secs(20);
    kubelets.act("n", Act::Slow(slow));
    assert_eq!(seen(&cache.get(&n).await), ("fresh", Some(slow)));
    pass(TTL - slow - NANO).await;
    assert_eq!((seen(&cache.get(&n).await), kubelets.calls()), (("fresh", Some(TTL - NANO)), 1));
    pass(NANO).await;
    assert_eq!((seen(&cache.get(&n).await), kubelets.calls()), (("fresh", Some(slow)), 2));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_longer_than_a_ttl_brings_a_stale_document() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().ttl(Duration::from_secs(2)).build();
    kubelets.act("n", Act::Slow(Duration::from_secs(3)));
    let outcome = cache.get(&n).await;
    assert_eq!(seen(&outcome), ("stale", Some(Duration::from_secs(3))));
    assert!(matches!(outcome.reason(), Some(MissingReason::Slow { .. })), "{outcome:?}");
    // After two of them it may be shown to nobody, and is not waited for.
    kubelets.act("n", Act::Slow(Duration::from_secs(5)));
    let start = tokio::time::Instant::now();
    let outcome = cache.get(&n).await;
    assert_eq!(start.elapsed(), Duration::from_secs(4));
    let error = outcome.reason().and_then(MissingReason::error).unwrap();
    assert!(matches!(**error, FetchError::Timeout { .. }) && outcome.is_missing(), "{error}");
    assert_eq!(kubelets.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_cache_bounds_attempts_of_a_fetcher_that_does_not() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().fetch_timeout(Duration::from_secs(7)).build();
    kubelets.act("n", Act::Hang);
    let start = tokio::time::Instant::now();
    let outcome = cache.get(&n).await;
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    let error = outcome.reason().and_then(MissingReason::error).unwrap();
    assert!(matches!(**error, FetchError::Timeout { .. }) && kubelets.open() == 0, "{error}");
    // The gate counts from the attempt's begin.
    kubelets.act("n", Act::Answer);
    pass(TTL - Duration::from_secs(7) - NANO).await;
    assert!(cache.get(&n).await.is_missing());
    pass(NANO).await;
    assert!(cache.get(&n).await.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn steps_of_the_wall_clock_change_no_age() {
    let offset = Arc::new(AtomicI64::new(0));
    let hours = offset.clone();
    let clock = move || Timestamp::from_second(1_700_000_000 + hours.load(Ordering::Relaxed) * 3600).unwrap();
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().clock(clock).build();
    let at = |outcome: &NodeOutcome| outcome.document().unwrap().requested_at.as_second();
    assert_eq!(at(&cache.get(&n).await), 1_700_000_000);
    for hour in [24, -24] {
        offset.store(hour, Ordering::Relaxed);
        let outcome = cache.get(&n).await;
        assert_eq!((seen(&outcome), at(&outcome)), (("fresh", Some(Duration::ZERO)), 1_700_000_000));
    }
    pass(TTL - NANO).await;
    assert_eq!((seen(&cache.get(&n).await), kubelets.calls()), (("fresh", Some(TTL - NANO)), 1));
    pass(NANO).await;
    let outcome = cache.get(&n).await;
    assert_eq!((at(&outcome), kubelets.calls()), (1_700_000_000 - 24 * 3600, 2));
}

#[tokio::test(start_paused = true)]
async fn without_a_ttl_every_call_asks_and_nothing_is_kept() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().ttl(Duration::ZERO).build();
    kubelets.act("n", Act::Fail);
    let NodeOutcome::Missing { reason: MissingReason::Failed { .. }, last: None } = cache.get(&n).await else {
        panic!("an error, since it never answered")
    };
    kubelets.act("n", Act::Slow(Duration::from_secs(1)));
    let (first, second) = tokio::join!(cache.get(&n), cache.get(&n));
    assert!(first.is_fresh() && second.is_fresh() && call(&first) != call(&second));
    assert_eq!(kubelets.calls(), 3);
    kubelets.act("n", Act::Fail);
    let NodeOutcome::Missing { reason: MissingReason::Failed { .. }, last: Some(_) } = cache.get(&n).await else {
        panic!("left out, since it answered once")
    };
    assert!(cache.peek("n").unwrap().is_missing());
    assert!(kubelets.cache().ttl(Duration::ZERO).spawn().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_new_address_counts_from_the_next_attempt() {
    let kubelets = Kubelets::default();
    let cache = kubelets.cache().build();
    let at = |address: &str| node("n").address(AddressType::InternalIp, address);
    cache.get(&at("10.0.0.1")).await;
    // What the node said before is still good, and its gate is closed.
    assert!(cache.get(&at("10.0.0.2")).await.is_fresh());
    pass(TTL).await;
    // Whoever knows the name only takes no address away.
    cache.get(&node("n")).await;
    let asked: Vec<_> = kubelets.calls_of("n").iter().map(|call| call.node.addresses[0].address.clone()).collect();
    assert_eq!(asked, ["10.0.0.1", "10.0.0.2"]);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_served_any_more_takes_no_memory() {
    let (kubelets, all) = (Kubelets::default(), nodes(2));
    let cache = kubelets.cache().build();
    cache.retain(&all);
    let NodeOutcome::Fresh(document) = cache.get(&all[0]).await else { panic!("it answers") };
    let old = Arc::downgrade(&document.summary);
    drop(document);
    pass(2 * TTL - NANO).await;
    cache.get(&all[1]).await;
    assert!(old.upgrade().is_some(), "it can be served still");
    pass(Duration::from_secs(1)).await;
    // Nobody asks for that one, and the host says that it is there.
    kubelets.act("node-1", Act::Fail);
    pass(TTL).await;
    cache.get(&all[1]).await;
    assert!(old.upgrade().is_none());
    let missing = cache.peek("node-0").unwrap();
    assert!(matches!(missing, NodeOutcome::Missing { last: Some(age), .. } if age >= 2 * TTL), "{missing:?}");
}
