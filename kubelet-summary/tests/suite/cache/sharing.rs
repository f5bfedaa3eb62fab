//! Many callers, one attempt.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::script::{Act, Kubelets, NANO, TTL, call, node, nodes, pass};

#[tokio::test(start_paused = true)]
async fn two_callers_at_once_share_an_attempt() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    kubelets.act("n", Act::Slow(Duration::from_secs(2)));
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cache.get(&n).await
    };
    let (first, second) = tokio::join!(cache.get(&n), late);
    assert_eq!((call(&first), call(&second), kubelets.calls()), (Some(1), Some(1), 1));
    kubelets.act("n", Act::Fail);
    pass(TTL).await;
    let (first, second) = tokio::join!(cache.get(&n), cache.get(&n));
    assert!(first.is_stale() && second.is_stale() && kubelets.calls() == 2);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_consumers_cause_one_fetch_per_node_and_ttl() {
    let (kubelets, all) = (Kubelets::default(), nodes(20));
    let cache = kubelets.cache().build();
    for node in &all {
        kubelets.act(&node.name, Act::Slow(Duration::from_millis(300)));
    }
    let start = Instant::now();
    // For ten TTLs, each at its own pace.
    let consumers = (1..=100).map(|pace| {
        let (cache, all) = (cache.clone(), all.clone());
        tokio::spawn(async move {
            while start.elapsed() < 10 * TTL - NANO {
                let answers = cache.get_many(&all, Duration::from_secs(5)).await;
                assert!(answers.iter().all(|answer| answer.outcome.is_fresh()));
                tokio::time::sleep(Duration::from_millis(900 + 17 * pace)).await;
            }
        })
    });
    join_all(consumers).await.into_iter().for_each(Result::unwrap);
    for node in &all {
        let calls = kubelets.calls_of(&node.name);
        assert!((9..=11).contains(&calls.len()), "{} of {}", calls.len(), node.name);
        assert!(calls.windows(2).all(|pair| pair[1].at - pair[0].at >= TTL), "{}", node.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_takes_nothing_from_others() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    kubelets.act("n", Act::Slow(Duration::from_secs(2)));
    assert!(timeout(Duration::from_secs(1), cache.get(&n)).await.is_err());
    assert_eq!(call(&cache.get(&n).await), Some(1));
    // Also where nobody is left.
    pass(TTL).await;
    assert!(timeout(Duration::from_secs(1), cache.get(&n)).await.is_err());
    pass(Duration::from_secs(1)).await;
    assert_eq!((call(&cache.peek("n").unwrap()), kubelets.calls()), (Some(2), 2));
}

#[tokio::test(start_paused = true)]
async fn a_fetcher_that_panics_fails_and_no_more() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    kubelets.act("n", Act::Panic);
    let outcome = cache.get(&n).await;
    assert_eq!(outcome.reason().unwrap().to_string(), "the fetcher panicked");
    kubelets.act("n", Act::Answer);
    pass(TTL).await;
    assert!(cache.get(&n).await.is_fresh());
}
