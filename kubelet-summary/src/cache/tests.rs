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
    cache.retain_as_of(mark, &nodes(&["stays"]));
    assert!(futures::poll!(&mut asking).is_pending(), "its attempt goes on");
    assert!(cache.peek("newcomer").is_some() && cache.peek("stays").is_some() && cache.peek("gone").is_none());
    // The next list is newer than it.
    cache.retain_as_of(cache.mark(), &nodes(&["stays"]));
    assert!(matches!(asking.await.reason(), Some(MissingReason::Removed)));
}
