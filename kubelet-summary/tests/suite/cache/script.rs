//! Kubelets that do as they are told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kubelet_summary::fetch::{FetchError, Fetcher, NodeTarget};
use kubelet_summary::{NodeOutcome, Summary, SummaryCache, SummaryCacheBuilder};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

pub(crate) const TTL: Duration = Duration::from_secs(55);
pub(crate) const NANO: Duration = Duration::from_nanos(1);

#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Act {
    #[default]
    Answer,
    Fail,
    Slow(Duration),
    Hang,
    Panic,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) node: NodeTarget,
    pub(crate) at: Instant,
}

/// All kubelets at once. Each answer's process count is the number of the call.
#[derive(Clone, Default)]
pub(crate) struct Kubelets {
    acts: Arc<Mutex<HashMap<String, Act>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Kubelets {
    pub(crate) fn act(&self, node: &str, act: Act) {
        self.acts.lock().insert(node.to_owned(), act);
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.lock().len()
    }

    pub(crate) fn calls_of(&self, node: &str) -> Vec<Call> {
        self.calls.lock().iter().filter(|call| &*call.node.name == node).cloned().collect()
    }

    /// Requests that are under way.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The most that there were at once.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    pub(crate) fn cache(&self) -> SummaryCacheBuilder {
        SummaryCache::builder(self.clone())
    }
}

impl Fetcher for Kubelets {
    fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
        async move {
            let number = {
                let mut calls = self.calls.lock();
                calls.push(Call { node: node.clone(), at: Instant::now() });
                calls.len()
            };
            self.most.fetch_max(self.open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let _open = Open(self.open.clone());
            let act = self.acts.lock().get(&*node.name).copied().unwrap_or_default();
            match act {
                Act::Answer => {}
                Act::Fail => return Err(FetchError::Other(format!("call {number} failed").into())),
                Act::Slow(time) => sleep(time).await,
                Act::Hang => std::future::pending().await,
                Act::Panic => panic!("call {number} panicked"),
            }
            let document = serde_json::json!({
                "node": {"nodeName": &*node.name, "rlimit": {"curproc": number}}, "pods": [],
            });
            Ok(Summary::from_slice(document.to_string().as_bytes()).unwrap().summary)
        }
        .boxed()
    }
}

pub(crate) fn node(name: &str) -> NodeTarget {
    NodeTarget::new(name)
}

pub(crate) fn nodes(number: usize) -> Vec<NodeTarget> {
    (0..number).map(|node| NodeTarget::new(format!("node-{node}"))).collect()
}

/// The number of the call that brought the document.
pub(crate) fn call(outcome: &NodeOutcome) -> Option<u64> {
    outcome.summary().and_then(|summary| summary.node.processes.get())
}

/// Outcome and age.
pub(crate) fn seen(outcome: &NodeOutcome) -> (&'static str, Option<Duration>) {
    (outcome.as_str(), outcome.age())
}

/// Lets time pass, exactly.
pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(time).await;
    // Whoever was woken by that runs now.
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}
