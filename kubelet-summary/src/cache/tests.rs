//! What callers can't see of a cache.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;
use crate::fetch::FetchError;
use crate::schema::Summary;

/// Kubelets that never answer.
struct Hung;

impl Fetcher for Hung {
    fn fetch<'a>(&'a self, _: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
        std::future::pending().boxed()
    }
}

fn nodes(names: &[&str]) -> Vec<NodeTarget> {
    names.iter().map(|name| NodeTarget::new(*name)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_takes_nothing_from_nodes_that_are_newer() {
    let cache = SummaryCache::builder(Hung).build();
    cache.retain(&nodes(&["gone", "stays"]));
    let mark = cache.mark();
    // Somebody asks for a node that the list doesn't have yet.
    let newcomer = NodeTarget::new("newcomer");
    let mut asking = Box::pin(cache.get(&newcomer));
    assert!(futures::poll!(&mut asking).is_pending());
    cache.retain_as_of(mark, &nodes(&["stays"]), |_| true);
    assert!(futures::poll!(&mut asking).is_pending(), "its attempt goes on");
    assert!(cache.peek("newcomer").is_some() && cache.peek("stays").is_some() && cache.peek("gone").is_none());
    // The next list is newer than it.
    cache.retain_as_of(cache.mark(), &nodes(&["stays"]), |_| true);
    assert!(matches!(asking.await.reason(), Some(MissingReason::Removed)));
}

#[tokio::test(start_paused = true)]
async fn callers_wake_the_background_for_nodes_that_it_does_not_know_only() {
    // With nobody who hears the news.
    let (cache, _) = SummaryCache::builder(Hung).start(true);
    let woken = || cache.shared.news.notified().now_or_never().is_some();
    let node = NodeTarget::new("n");
    let first = Box::pin(cache.get(&node)).now_or_never();
    assert!(first.is_none() && woken());
    assert_eq!(cache.shared.table.lock().news().len(), 1);
    // All that follows is of a node that it knows.
    for _ in 0..3 {
        assert!(cache.get(&node).now_or_never().is_none());
        cache.put(&node);
        cache.retain(&nodes(&["n"]));
    }
    assert!(!woken());
    cache.put(&NodeTarget::new("m"));
    assert!(woken());
    // Without a background there is nobody to wake.
    let cache = SummaryCache::builder(Hung).build();
    cache.put(&node);
    assert!(cache.shared.news.notified().now_or_never().is_none());
}

#[test]
fn uids_stay_where_they_are_while_they_are_the_same() {
    let uids = |uids: &[&str], before| {
        let pods = uids.iter().map(|uid| format!(r#"{{"podRef": {{"namespace": "a", "name": "b", "uid": "{uid}"}}}}"#));
        let pods: Vec<_> = pods.collect();
        let text = format!(r#"{{"node": {{"nodeName": "n"}}, "pods": [{}]}}"#, pods.join(","));
        outcome::uids(&Summary::from_slice(text.as_bytes()).unwrap().summary, before)
    };
    let first = uids(&["u-1", "u-2"], None);
    assert!(Arc::ptr_eq(&uids(&["u-1", "u-2"], Some(&first)), &first));
    for others in [&["u-1", "u-3"][..], &["u-1"], &["u-1", "u-2", "u-3"], &[]] {
        let told = uids(others, Some(&first));
        assert_eq!(told, uids(others, None));
        assert_ne!(told, first);
    }
}
