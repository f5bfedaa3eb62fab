//! Rates of all nodes, from the documents that the cache gets.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{Stream, StreamExt};
use parking_lot::RwLock;

use crate::cache::{NodeAnswer, NodeOutcome, SummaryCache, SummaryChange};
use crate::rates::Rates;

/// Each node's rates. A node that leaves the cache leaves here.
pub(crate) type AllRates = RwLock<HashMap<Arc<str>, Rates, foldhash::fast::RandomState>>;

/// Feeds what the cache gets, until it is shut down.
pub(crate) async fn follow(
    mut changes: impl Stream<Item = SummaryChange> + Unpin,
    cache: SummaryCache,
    rates: Arc<AllRates>,
) {
    while let Some(change) = changes.next().await {
        match change {
            SummaryChange::Attempted(answer) => feed(&rates, &answer),
            SummaryChange::Removed { node } => drop(rates.write().remove(&node)),
            SummaryChange::Missed(_) => {
                let known = cache.known();
                rates.write().retain(|node, _| known.iter().any(|answer| answer.node == *node));
                for answer in &known {
                    feed(&rates, answer);
                }
            }
        }
    }
    rates.write().clear();
}

/// A document that was fed before changes nothing.
fn feed(rates: &AllRates, answer: &NodeAnswer) {
    if let NodeOutcome::Fresh(document) = &answer.outcome {
        rates.write().entry(answer.node.clone()).or_default().feed(&document.summary);
    }
}
