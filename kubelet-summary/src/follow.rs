//! Rates of all nodes, from the documents that the cache gets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures::stream::{Stream, StreamExt};
use parking_lot::RwLock;

use crate::cache::{NodeAnswer, NodeOutcome, SummaryCache, SummaryChange};
use crate::rates::Rates;

/// Each node's rates. A node that leaves the cache leaves here.
#[derive(Debug, Default)]
pub(crate) struct AllRates(RwLock<HashMap<Arc<str>, Arc<Rates>, RandomState>>);

impl AllRates {
    /// A node's rates as they are now. Whoever reads them holds no lock: the next document goes into a copy meanwhile.
    pub(crate) fn of(&self, node: &str) -> Option<Arc<Rates>> {
        self.0.read().get(node).cloned()
    }

    pub(crate) fn clear(&self) {
        self.0.write().clear();
    }

    /// A document that was fed before changes nothing.
    fn feed(&self, answer: &NodeAnswer) {
        if let NodeOutcome::Fresh(document) = &answer.outcome {
            Arc::make_mut(self.0.write().entry(answer.node.clone()).or_default()).feed(&document.summary);
        }
    }

    fn remove(&self, node: &str) {
        self.0.write().remove(node);
    }

    /// What is known now, after changes were missed.
    fn catch_up(&self, known: &[NodeAnswer]) {
        let names: HashSet<&str, RandomState> = known.iter().map(|answer| &*answer.node).collect();
        self.0.write().retain(|node, _| names.contains(&**node));
        for answer in known {
            self.feed(answer);
        }
    }
}

/// Feeds what the cache gets, until it is shut down.
pub(crate) async fn follow(
    mut changes: impl Stream<Item = SummaryChange> + Unpin,
    cache: SummaryCache,
    rates: Arc<AllRates>,
) {
    while let Some(change) = changes.next().await {
        match change {
            SummaryChange::Attempted(answer) => rates.feed(&answer),
            SummaryChange::Removed { node } => rates.remove(&node),
            SummaryChange::Missed(_) => rates.catch_up(&cache.known()),
        }
    }
    rates.clear();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use jiff::Timestamp;
    use tokio::time::Instant;

    use super::*;
    use crate::cache::Document;
    use crate::rates::Counter;
    use crate::schema::Summary;

    /// A node's document of the given second, by which it has used so many nanoseconds.
    fn answer(node: &str, second: u32, nanos: u64) -> NodeAnswer {
        let cpu = format!(r#"{{"time": "2026-01-01T00:00:{second:02}Z", "usageCoreNanoSeconds": {nanos}}}"#);
        let text = format!(r#"{{"node": {{"nodeName": "{node}", "cpu": {cpu}}}, "pods": []}}"#);
        let summary = Arc::new(Summary::from_slice(text.as_bytes()).unwrap().summary);
        let (requested, requested_at) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let uids = crate::cache::uids(&summary, None);
        let document = Document { summary, age: Duration::ZERO, requested, requested_at, uids };
        NodeAnswer { node: node.into(), outcome: NodeOutcome::Fresh(document) }
    }

    fn per_second(rates: &Rates) -> Option<f64> {
        rates.node().get(Counter::CpuSeconds).map(|rate| rate.per_second)
    }

    #[test]
    fn a_reader_holds_up_no_document_and_sees_one_state() {
        let all = Arc::new(AllRates::default());
        all.feed(&answer("n", 0, 0));
        all.feed(&answer("n", 10, 5_000_000_000));
        let read = all.of("n").unwrap();
        let (tell, told) = mpsc::channel();
        let feeding = all.clone();
        std::thread::spawn(move || {
            feeding.feed(&answer("n", 20, 15_000_000_000));
            tell.send(())
        });
        told.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!((per_second(&read), per_second(&all.of("n").unwrap())), (Some(0.5), Some(1.0)));
    }

    #[test]
    fn after_missed_changes_the_rates_are_of_what_is_known() {
        let all = AllRates::default();
        for node in ["gone", "stays"] {
            all.feed(&answer(node, 0, 0));
        }
        all.catch_up(&[answer("stays", 10, 10_000_000_000), answer("new", 0, 0)]);
        assert!(all.of("gone").is_none() && all.of("new").is_some());
        assert_eq!(per_second(&all.of("stays").unwrap()), Some(1.0));
    }
}
