//! Each kubelet asked once per interval, whoever wants to know.
//!
//! # Which document is served
//!
//! | the node's last document | a caller gets |
//! |---|---|
//! | younger than the TTL | it, at once: [`NodeOutcome::Fresh`] |
//! | younger than twice the TTL | a new one; if that fails, or no attempt may be made, the old one: [`NodeOutcome::Stale`] |
//! | older | a new one, or [`NodeOutcome::Missing`] with the reason |
//! | there is none | a new one, or [`NodeOutcome::Missing`] with the reason |
//!
//! Ages count from before the request was sent, and by a clock that never jumps ([`crate::clock`]).
//!
//! # How often a node is asked
//!
//! Once per TTL at most, whether that succeeds or fails; the first time at once. All callers share an attempt; it goes
//! on when they leave. A node that recovers is there again within one TTL.
//!
//! # What happens when
//!
//! | | the cache |
//! |---|---|
//! | a node is slow, or hangs | holds up nobody else; [`SummaryCache::get_many`] answers at its deadline with what there is |
//! | many nodes are dead | asks them in places of their own, so that the living wait for none of them, and those that recover not for long |
//! | a node is removed | ends its attempt, forgets it; its callers get [`MissingReason::Removed`] |
//! | a node's address changes | asks there the next time; what it said before stays good |
//! | nobody asks for a node that the host never named | forgets it after ten minutes |
//! | the TTL is zero | asks at every call, each for itself, and keeps nothing |
//! | it is shut down, or its last handle is dropped | ends all attempts, and is empty for good |

mod builder;
mod entry;
mod flight;
mod outcome;
mod pace;
mod refresh;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{Stream, StreamExt};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::builder::{DEFAULT_CONCURRENCY, DEFAULT_TTL, SummaryCacheBuilder};
use self::entry::Waiter;
#[cfg(test)]
pub(crate) use self::outcome::uids;
pub use self::outcome::{Document, MissingReason, NodeAnswer, NodeOutcome, SummaryChange};
pub(crate) use self::table::Mark;
use self::table::{Step, Table};
use crate::clock::WallClock;
use crate::fetch::{Fetcher, NodeTarget};
use crate::telemetry;

/// Why a cache can't be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The background has no pace.
    #[error(
        "a cache that asks in the background needs a TTL above zero, which is its pace; use `build` to ask at every call"
    )]
    NoTtl,
}

/// What handles and tasks share.
struct Shared {
    fetcher: Arc<dyn Fetcher>,
    /// Held for look-ups only, never across an await.
    table: Mutex<Table>,
    permits: Semaphore,
    /// For nodes whose last attempt failed, apart from the others.
    suspects: Semaphore,
    fetch_timeout: Duration,
    shutdown_timeout: Duration,
    clock: WallClock,
    /// Nodes came in that the background has not heard of.
    news: Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shared {
    /// Does something to the table, and wakes the background if that brought nodes that it doesn't know.
    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.lock();
        let done = change(&mut table);
        if table.has_news() {
            self.news.notify_one();
        }
        done
    }
}

/// The summaries of all nodes, each kubelet asked once per TTL. Clones are handles of the same cache; it stops with the
/// last of them.
///
/// ```no_run
/// use std::time::Duration;
///
/// use kubelet_summary::SummaryCache;
/// use kubelet_summary::fetch::{NodeProxy, NodeTarget};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let cache = SummaryCache::builder(NodeProxy::new(kube::Client::try_default().await?)).build();
/// let nodes = [NodeTarget::new("node-1"), NodeTarget::new("node-2")];
/// for answer in cache.get_many(&nodes, Duration::from_secs(5)).await {
///     match answer.outcome.document() {
///         Some(document) => println!("{}: {} pods, {:?} old", answer.node, document.summary.pods.len(), document.age),
///         None => println!("{}: {:?}", answer.node, answer.outcome.reason()),
///     }
/// }
/// cache.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SummaryCache {
    shared: Arc<Shared>,
    _drop: Arc<DropGuard>,
}

impl fmt::Debug for SummaryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SummaryCache").field("nodes", &self.len()).finish_non_exhaustive()
    }
}

/// What a caller has of a node so far.
enum Got {
    Now(NodeOutcome),
    Soon(Waiter),
}

impl SummaryCache {
    /// A cache of what the fetcher gets.
    pub fn builder(fetcher: impl Fetcher) -> SummaryCacheBuilder {
        SummaryCacheBuilder::new(Arc::new(fetcher))
    }

    /// A node's document. It waits for the attempt, which may wait for its turn among the other nodes'; where that is too
    /// long, use [`get_within`](Self::get_within).
    pub async fn get(&self, node: &NodeTarget) -> NodeOutcome {
        let outcome = match self.start(node) {
            Got::Now(outcome) => outcome,
            Got::Soon(waiter) => flight::wait(&self.shared, waiter).await,
        };
        telemetry::answered(&outcome);
        outcome
    }

    /// A node's document, or what there is of it when `deadline` has passed.
    pub async fn get_within(&self, node: &NodeTarget, deadline: Duration) -> NodeOutcome {
        let at = Instant::now().checked_add(deadline);
        let got = self.start(node);
        self.end(&node.name, got, at).await
    }

    /// The documents of many nodes, in their order, within `deadline`. Nodes that did not answer until then have a stale
    /// document, or are missing by [`MissingReason::Deadline`]; their attempts go on.
    pub async fn get_many(&self, nodes: &[NodeTarget], deadline: Duration) -> Vec<NodeAnswer> {
        let at = Instant::now().checked_add(deadline);
        // All are started before the first is waited for.
        let started: Vec<Got> = nodes.iter().map(|node| self.start(node)).collect();
        let mut answers = Vec::with_capacity(nodes.len());
        for (node, got) in nodes.iter().zip(started) {
            let outcome = self.end(&node.name, got, at).await;
            answers.push(NodeAnswer { node: node.name.clone(), outcome });
        }
        answers
    }

    fn start(&self, node: &NodeTarget) -> Got {
        let step = self.shared.change(|table| table.ask(node, Instant::now()));
        match step {
            Step::Answer(outcome) => Got::Now(outcome),
            Step::Join(waiter) => Got::Soon(waiter),
            Step::Launch(job, waiter) => {
                self.shared.tasks.spawn(flight::fly(self.shared.clone(), job));
                Got::Soon(waiter)
            }
        }
    }

    async fn end(&self, name: &str, got: Got, at: Option<Instant>) -> NodeOutcome {
        let outcome = match (got, at) {
            (Got::Now(outcome), _) => outcome,
            (Got::Soon(waiter), None) => flight::wait(&self.shared, waiter).await,
            (Got::Soon(waiter), Some(at)) => match timeout_at(at, flight::wait(&self.shared, waiter)).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let outcome = self.shared.table.lock().at_deadline(name, Instant::now());
                    outcome.unwrap_or_else(|| NodeOutcome::missing(self.shared.why_gone()))
                }
            },
        };
        telemetry::answered(&outcome);
        outcome
    }

    /// What there is of a node, without asking it; nothing if it is not known.
    pub fn peek(&self, node: &str) -> Option<NodeOutcome> {
        self.shared.table.lock().peek(node, Instant::now())
    }

    /// What there is of all nodes that are known, in no order, without asking any.
    pub fn known(&self) -> Vec<NodeAnswer> {
        self.shared.table.lock().known(Instant::now())
    }

    /// How many nodes are known.
    pub fn len(&self) -> usize {
        self.shared.table.lock().len()
    }

    /// Whether no node is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names a node, or says where it is now. It is known until it is [removed](Self::remove).
    pub fn put(&self, node: &NodeTarget) {
        self.shared.change(|table| table.put(node, Instant::now()));
    }

    /// Forgets a node, and ends its attempt. Whether it was known.
    pub fn remove(&self, node: &str) -> bool {
        self.shared.table.lock().remove(node)
    }

    /// Names all nodes that there are. Others are forgotten.
    pub fn retain(&self, nodes: &[NodeTarget]) {
        self.shared.change(|table| table.retain(nodes, Mark::LAST, Instant::now(), |_| true));
    }

    /// A mark between the nodes that are known by now and those that come in later.
    pub(crate) fn mark(&self) -> Mark {
        self.shared.table.lock().mark()
    }

    /// Tells all nodes that there were at the mark: of those that were known by then, others are forgotten. What came in
    /// since then may be newer than the list. Those that are not named stay for as long as callers ask for them.
    pub(crate) fn retain_as_of(&self, mark: Mark, nodes: &[NodeTarget], is_named: impl Fn(&NodeTarget) -> bool) {
        self.shared.change(|table| table.retain(nodes, mark, Instant::now(), is_named));
    }

    /// The ends of all attempts from now on, until the cache is shut down. Take it before [`known`](Self::known), and none
    /// is missed between the two.
    ///
    /// A consumer that is slow gets a node's newest document only, each once. Without a TTL nothing is kept, and the
    /// stream tells which nodes were asked, but has no documents.
    pub fn changes(&self) -> impl Stream<Item = SummaryChange> + Send + Unpin + use<> {
        let events = self.shared.table.lock().subscribe();
        // Not the cache itself: a stream that nobody reads keeps nothing alive.
        let shared = Arc::downgrade(&self.shared);
        futures::stream::unfold((events, shared), async |(mut events, shared)| {
            loop {
                let change = match events.recv().await {
                    Ok(event) => shared.upgrade()?.table.lock().look_up(&event, Instant::now()),
                    Err(RecvError::Lagged(missed)) => {
                        telemetry::missed(missed);
                        Some(SummaryChange::Missed(missed))
                    }
                    Err(RecvError::Closed) => return None,
                };
                if let Some(change) = change {
                    return Some((change, (events, shared)));
                }
            }
        })
        .take_until(self.shared.stop.clone().cancelled_owned())
        .boxed()
    }

    /// Ends all attempts and the background, and forgets all nodes. It returns when they have ended, within the time that
    /// [`SummaryCacheBuilder::shutdown_timeout`] says; calling it again does no harm.
    pub async fn shutdown(&self) {
        self.shared.table.lock().stop();
        self.shared.tasks.close();
        if timeout(self.shared.shutdown_timeout, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("an attempt did not end in time; its fetcher does not give way");
        }
    }
}
