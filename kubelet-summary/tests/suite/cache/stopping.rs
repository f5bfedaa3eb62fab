//! The end of a cache.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kubelet_summary::fetch::{FetchError, Fetcher, NodeTarget};
use kubelet_summary::{MissingReason, Summary, SummaryCache};
use tokio::time::{Instant, sleep};

use super::script::{Act, Kubelets, TTL, node, nodes, pass};

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_kubelets_that_hang() {
    let (kubelets, all) = (Kubelets::default(), nodes(100));
    let cache = kubelets.cache().spawn().unwrap();
    for node in &all {
        kubelets.act(&node.name, Act::Hang);
    }
    let waiting = tokio::spawn({
        let (cache, all) = (cache.clone(), all.clone());
        async move { cache.get_many(&all, Duration::from_secs(20)).await }
    });
    pass(Duration::from_secs(1)).await;
    assert_eq!(kubelets.open(), 64);
    let start = Instant::now();
    cache.shutdown().await;
    assert_eq!((start.elapsed(), kubelets.open(), cache.len()), (Duration::ZERO, 0, 0));
    for answer in waiting.await.unwrap() {
        assert!(matches!(answer.outcome.reason(), Some(MissingReason::Stopped)), "{answer:?}");
    }
    // Again, and for good.
    cache.shutdown().await;
    cache.put(&all[0]);
    let outcome = cache.get(&all[0]).await;
    assert_eq!(outcome.reason().unwrap().to_string(), "the cache was shut down");
    assert_eq!((kubelets.calls(), cache.is_empty()), (64, true));
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_stops_it_too() {
    let (kubelets, n) = (Kubelets::default(), node("n"));
    let cache = kubelets.cache().fetch_timeout(Duration::from_hours(1)).spawn().unwrap();
    kubelets.act("n", Act::Hang);
    cache.put(&n);
    let other = cache.clone();
    sleep(TTL).await;
    drop(cache);
    pass(Duration::from_secs(1)).await;
    assert_eq!(kubelets.open(), 1);
    drop(other);
    pass(Duration::from_secs(1)).await;
    assert_eq!(kubelets.open(), 0);
    let before = kubelets.calls();
    pass(3 * TTL).await;
    assert_eq!(kubelets.calls(), before);
}

/// Does not give way when it is cancelled. Says when it has begun.
struct Stubborn(tokio::sync::mpsc::UnboundedSender<()>);

impl Fetcher for Stubborn {
    fn fetch<'a>(&'a self, _: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
        async {
            self.0.send(()).unwrap();
            std::thread::sleep(Duration::from_secs(3));
            Ok(Summary::default())
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_is_bounded_in_time_whatever_the_fetcher_does() {
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let cache = SummaryCache::builder(Stubborn(begun)).shutdown_timeout(Duration::from_millis(20)).build();
    let waiting = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get(&node("n")).await }
    });
    begins.recv().await.unwrap();
    let start = std::time::Instant::now();
    cache.shutdown().await;
    // Before the fetcher is through, whose thread nobody can take from it.
    assert!(start.elapsed() < Duration::from_millis(2_500), "{:?}", start.elapsed());
    assert!(waiting.await.unwrap().is_missing());
}
