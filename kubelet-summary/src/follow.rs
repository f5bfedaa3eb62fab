//! Rates of all nodes, from the documents that the cache gets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures::stream::{Stream, StreamExt};
use parking_lot::RwLock;
use tokio::time::Instant;

use crate::cache::{Document, NodeAnswer, NodeOutcome, SummaryCache, SummaryChange};
use crate::rates::Rates;

/// Each node's rates. A node that leaves the cache leaves here.
#[derive(Debug, Default)]
pub(crate) struct AllRates(RwLock<HashMap<Arc<str>, Known, RandomState>>);

#[derive(Debug, Default)]
struct Known {
    rates: Arc<Rates>,
    /// When the last document was asked for.
    requested: Option<Instant>,
}

impl Known {
    fn is_older_than(&self, document: &Document) -> bool {
        self.requested.is_none_or(|requested| requested < document.requested)
    }
}

impl AllRates {
    /// A node's rates as they are now. Whoever reads them holds no lock: the next document goes into a copy meanwhile.
    pub(crate) fn of(&self, node: &str) -> Option<Arc<Rates>> {
        self.0.read().get(node).map(|known| known.rates.clone())
    }

    pub(crate) fn clear(&self) {
        self.0.write().clear();
    }

    /// A document that was fed before changes nothing, nor one that is older.
    fn feed(&self, answer: &NodeAnswer) {
        let NodeOutcome::Fresh(document) = &answer.outcome else { return };
        let mut all = self.0.write();
        let known = all.entry(answer.node.clone()).or_default();
        if known.is_older_than(document) {
            known.requested = Some(document.requested);
            Arc::make_mut(&mut known.rates).feed_at(&document.summary, document.requested);
        }
    }

    /// What has not been fed yet of these answers of the cache.
    pub(crate) fn feed_all(&self, answers: &[NodeAnswer], cache: &SummaryCache) {
        let is_news = |answer: &&NodeAnswer| match &answer.outcome {
            NodeOutcome::Fresh(document) => {
                self.0.read().get(&answer.node).is_none_or(|known| known.is_older_than(document))
            }
            _ => false,
        };
        for answer in answers.iter().filter(is_news) {
            self.feed(answer);
            // A node that leaves from here on is followed; of one that left before, nobody tells any more.
            if cache.peek(&answer.node).is_none() {
                self.remove(&answer.node);
            }
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

    use super::*;
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
