//! The stream of what changes.

use std::time::Duration;

use futures::{Stream, StreamExt};
use kubelet_summary::SummaryChange;
use tokio::time::{sleep, timeout};

use super::script::{Act, Kubelets, TTL, call, node, nodes, pass};

fn told(change: &SummaryChange) -> String {
    match change {
        SummaryChange::Attempted(answer) => {
            format!("{} {} {}", answer.node, answer.outcome.as_str(), call(&answer.outcome).unwrap_or_default())
        }
        SummaryChange::Removed { node } => format!("{node} removed"),
        other => format!("{other:?}"),
    }
}

/// The next change. A stream that says nothing fails the test, and does not hold it up.
async fn next(changes: &mut (impl Stream<Item = SummaryChange> + Unpin)) -> Option<SummaryChange> {
    timeout(Duration::from_secs(1), changes.next()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_and_each_removal_is_told() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().build();
    let mut changes = cache.changes();
    let mut told = async || told(&next(&mut changes).await.unwrap());
    cache.get(&n).await;
    assert_eq!(told().await, "n fresh 1");
    kubelets.act("n", Act::Fail);
    pass(TTL).await;
    cache.get(&n).await;
    assert_eq!(told().await, "n stale 1");
    pass(TTL).await;
    cache.get(&n).await;
    assert_eq!(told().await, "n missing 0");
    cache.retain(&[]);
    assert_eq!(told().await, "n removed");
    cache.shutdown().await;
    assert!(next(&mut changes).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_gets_the_newest_and_holds_nothing_older() {
    let kubelets = Kubelets::default();
    let cache = kubelets.cache().spawn().unwrap();
    let mut changes = cache.changes();
    cache.retain(&nodes(3));
    sleep(10 * TTL).await;
    cache.remove("node-2");
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(next(&mut changes).await.unwrap());
    }
    let mut words: Vec<_> =
        got.iter().map(|change| told(change).split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    words.sort();
    assert_eq!(words, ["node-0 fresh", "node-1 fresh", "node-2 removed"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_consumer_misses_is_told() {
    let (kubelets, all) = (Kubelets::default(), nodes(10));
    let cache = kubelets.cache().backlog(4).build();
    let mut changes = cache.changes();
    cache.get_many(&all, Duration::from_secs(1)).await;
    assert_eq!(told(&next(&mut changes).await.unwrap()), "Missed(6)");
    for _ in 0..4 {
        assert!(told(&next(&mut changes).await.unwrap()).contains("fresh"));
    }
    // The stream alone keeps no cache alive, and ends with it.
    drop(cache);
    assert!(next(&mut changes).await.is_none());
}
