//! Slow nodes beside fast ones.

use std::time::Duration;

use kubelet_summary::{MissingReason, NodeOutcome};
use tokio::time::{Instant, sleep};

use super::script::{Act, Kubelets, TTL, call, node, nodes, pass, seen};

#[tokio::test(start_paused = true)]
async fn a_slow_node_holds_up_nobody_else() {
    let kubelets = Kubelets::default();
    let cache = kubelets.cache().build();
    kubelets.act("slow", Act::Slow(Duration::from_secs(9)));
    let (slow, fast) = (node("slow"), node("fast"));
    let start = Instant::now();
    let timed = async |node| (cache.get(node).await, start.elapsed());
    let (slow, fast) = tokio::join!(timed(&slow), timed(&fast));
    assert!(slow.0.is_fresh() && fast.0.is_fresh());
    assert_eq!((slow.1, fast.1), (Duration::from_secs(9), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn one_of_a_hundred_never_answers() {
    let (kubelets, all) = (Kubelets::default(), nodes(100));
    let cache = kubelets.cache().build();
    kubelets.act("node-42", Act::Hang);
    let start = Instant::now();
    let answers = cache.get_many(&all, Duration::from_secs(2)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    let missing: Vec<_> = answers.iter().filter(|answer| !answer.outcome.is_fresh()).collect();
    assert_eq!((answers.len(), missing.len(), &*missing[0].node), (100, 1, "node-42"));
    assert!(matches!(missing[0].outcome, NodeOutcome::Missing { reason: MissingReason::Deadline, last: None }));
    assert_eq!(kubelets.open(), 1, "the attempt goes on");
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_a_stale_document_is_better_than_none() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    cache.get(&n).await;
    pass(TTL).await;
    kubelets.act("n", Act::Slow(Duration::from_secs(3)));
    let outcome = cache.get_within(&n, Duration::from_secs(1)).await;
    assert_eq!((seen(&outcome), call(&outcome)), (("stale", Some(TTL + Duration::from_secs(1))), Some(1)));
    assert!(matches!(outcome.reason(), Some(MissingReason::Deadline)));
    // The attempt went on meanwhile.
    pass(Duration::from_secs(2)).await;
    assert_eq!((call(&cache.get(&n).await), kubelets.calls()), (Some(2), 2));
    pass(TTL).await;
    assert!(cache.get_within(&n, Duration::from_millis(3_001)).await.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_kubelets_are_asked_at_once() {
    let (kubelets, all) = (Kubelets::default(), nodes(1_000));
    let cache = kubelets.cache().build();
    for node in &all {
        kubelets.act(&node.name, Act::Slow(Duration::from_secs(1)));
    }
    let start = Instant::now();
    let answers = cache.get_many(&all, Duration::from_mins(1)).await;
    assert!(answers.iter().all(|answer| answer.outcome.is_fresh()));
    assert_eq!((kubelets.most(), start.elapsed().as_secs()), (64, 16));
    // Ages count from the turn, not from the call.
    assert!(answers.iter().all(|answer| answer.outcome.age() <= Some(Duration::from_secs(16))));
    assert!(answers.iter().any(|answer| answer.outcome.age() == Some(Duration::from_secs(1))));
}

#[tokio::test(start_paused = true)]
async fn dead_nodes_leave_room_for_the_living() {
    let (kubelets, dead, living) = (Kubelets::default(), nodes(500), node("living"));
    let cache = kubelets.cache().fetch_timeout(Duration::from_secs(10)).build();
    for node in &dead {
        kubelets.act(&node.name, Act::Fail);
    }
    cache.get_many(&dead, Duration::from_secs(1)).await;
    for node in &dead {
        kubelets.act(&node.name, Act::Hang);
    }
    pass(TTL).await;
    cache.get_many(&dead, Duration::from_secs(1)).await;
    assert_eq!(kubelets.open(), 256);
    let start = Instant::now();
    assert!(cache.get(&living).await.is_fresh() && start.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn nodes_that_recover_are_asked_in_time_although_hundreds_hang() {
    let (kubelets, all) = (Kubelets::default(), nodes(1_000));
    let cache = kubelets.cache().fetch_timeout(Duration::from_secs(10)).seed(1).spawn().unwrap();
    for node in &all {
        kubelets.act(&node.name, Act::Hang);
    }
    let living = node("living");
    cache.retain(&[&all[..], &[living]].concat());
    // All have failed once at least, and hang on.
    sleep(6 * TTL).await;
    assert!(all.iter().all(|node| !kubelets.calls_of(&node.name).is_empty()));
    let (recovered, at) = (&all[..50], Instant::now());
    for node in recovered {
        kubelets.act(&node.name, Act::Answer);
    }
    // A TTL, the tenth of one by which they part in the background, and what is left of the attempt that hangs.
    sleep(TTL + TTL / 10 + Duration::from_secs(10)).await;
    for node in recovered {
        let outcome = cache.peek(&node.name).unwrap();
        assert!(outcome.document().is_some_and(|it| it.requested >= at), "{}: {outcome:?}", node.name);
    }
    // Nobody is asked more often for it, and one that lives on is asked in each round.
    assert!(kubelets.most() <= 64 + 256, "{}", kubelets.most());
    let calls = kubelets.calls_of("living");
    assert!(calls.windows(2).all(|pair| (TTL..=TTL + TTL / 10).contains(&(pair[1].at - pair[0].at))), "{calls:?}");
    cache.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn how_many_that_failed_are_asked_at_once_is_a_choice() {
    let (kubelets, dead) = (Kubelets::default(), nodes(50));
    let cache = kubelets.cache().concurrency(8).suspects(3).build();
    for node in &dead {
        kubelets.act(&node.name, Act::Fail);
    }
    cache.get_many(&dead, Duration::from_secs(1)).await;
    for node in &dead {
        kubelets.act(&node.name, Act::Hang);
    }
    pass(TTL).await;
    cache.get_many(&dead, Duration::from_secs(1)).await;
    assert_eq!(kubelets.open(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_node_may_be_asked_for_twice_in_a_call() {
    let kubelets = Kubelets::default();
    let cache = kubelets.cache().build();
    let answers = cache.get_many(&[node("n"), node("n")], Duration::from_secs(1)).await;
    assert!(answers.iter().all(|answer| answer.outcome.is_fresh()) && kubelets.calls() == 1);
    assert!(cache.get_many(&[], Duration::from_secs(1)).await.is_empty());
}
