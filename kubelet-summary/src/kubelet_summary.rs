//! The front door: a question goes from the inventory to the nodes' documents and back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::Stream;
use kube::Client;
use kube::runtime::watcher;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::backoff::Backoff;
use crate::builder::{BuildError, KubeletSummaryBuilder};
use crate::cache::{NodeAnswer, NodeOutcome, SummaryCache, SummaryChange};
use crate::fetch::NodeTarget;
use crate::follow::AllRates;
use crate::inventory::{Inventory, NodeRecord, NotReady, PodRecord};
use crate::query::{PodUsage, Usage, UsageError, plan};
use crate::rates::{Counter, Rate, Rates};
use crate::selector::Scope;

/// Changes of nodes within this time are told to the cache together.
const TOGETHER: Duration = Duration::from_millis(100);
/// How long a shutdown waits for tasks of its own.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What pods use, by the word of their kubelets. Clones are handles of the same one; it stops with the last of them.
///
/// ```no_run
/// use kubelet_summary::{KubeletSummary, Scope};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let summary = KubeletSummary::from_config(kube::Config::infer().await?)?.spawn()?;
/// summary.ready().await?;
/// let usage = summary.usage(&Scope::all().namespace("shop").owner("Deployment", "web")).await?;
/// for pod in &usage.values {
///     let (used, limit) = (pod.figures().memory_working_set_bytes, pod.limits().memory);
///     println!("{}: {used:?} of {limit:?} bytes, {:?} ago", pod.pod().name(), pod.age());
/// }
/// for missing in &usage.missing {
///     eprintln!("{}: {}", missing.node, missing.reason);
/// }
/// summary.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct KubeletSummary {
    inventory: Inventory,
    cache: SummaryCache,
    rates: Option<Arc<AllRates>>,
    backoff: Option<Arc<Backoff>>,
    deadline: Duration,
    stop: CancellationToken,
    tasks: TaskTracker,
    _drop: Arc<DropGuard>,
}

impl fmt::Debug for KubeletSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeletSummary")
            .field("inventory", &self.inventory.status())
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl KubeletSummary {
    /// One that watches pods and nodes, and asks kubelets through the API server's node proxy unless it is given another
    /// way. By a client of its own that does not retry by itself (`kube::Config::default_retry`): what it watches tries
    /// again anyhow, and says at once that it fails. With the feature `lean-client`, kubelets are asked by
    /// `fetch::lean_client`, which takes 20 MB less where there are thousands of them.
    pub fn from_config(mut config: kube::Config) -> Result<KubeletSummaryBuilder, BuildError> {
        let failed = |source| BuildError::Client { source };
        config.default_retry = false;
        #[cfg(feature = "lean-client")]
        let proxy = crate::fetch::lean_client(&config).map_err(failed)?;
        let client = Client::try_from(config).map_err(failed)?;
        #[cfg(not(feature = "lean-client"))]
        let proxy = client.clone();
        Ok(KubeletSummaryBuilder::new(Some(proxy), Inventory::builder(client)))
    }

    /// The same by a client of the host's. One that retries by itself hides for minutes that a watch fails
    /// ([`Usage::behind`]); kubelets are asked once in any case.
    pub fn builder(client: Client) -> KubeletSummaryBuilder {
        KubeletSummaryBuilder::new(Some(client.clone()), Inventory::builder(client))
    }

    /// One that asks no API server: pods and nodes come from watches that the host has (see
    /// [`InventoryBuilder::pods`](crate::inventory::InventoryBuilder::pods)), documents by the
    /// [fetcher](KubeletSummaryBuilder::fetcher) that it must be given.
    pub fn from_streams<P, N>(
        pods: impl Stream<Item = Result<watcher::Event<P>, watcher::Error>> + Send + 'static,
        nodes: impl Stream<Item = Result<watcher::Event<N>, watcher::Error>> + Send + 'static,
    ) -> KubeletSummaryBuilder
    where
        P: Into<PodRecord> + Send + 'static,
        N: Into<NodeRecord> + Send + 'static,
    {
        KubeletSummaryBuilder::new(None, Inventory::from_streams(pods, nodes))
    }

    pub(crate) fn new(
        inventory: Inventory,
        cache: SummaryCache,
        rates: Option<Arc<AllRates>>,
        backoff: Option<Backoff>,
        deadline: Duration,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let drop = Arc::new(stop.clone().drop_guard());
        Self { inventory, cache, rates, backoff: backoff.map(Arc::new), deadline, stop, tasks, _drop: drop }
    }

    /// What the pods in scope use, within the [deadline](KubeletSummaryBuilder::deadline). A part of it is an answer too,
    /// and says what is missing; an error is that nobody knows which pods there are, or that none of them has figures.
    pub async fn usage(&self, scope: &Scope) -> Result<Usage, UsageError> {
        self.usage_within(scope, self.deadline).await
    }

    /// The same within another time.
    pub async fn usage_within(&self, scope: &Scope, deadline: Duration) -> Result<Usage, UsageError> {
        let Some(backoff) = &self.backoff else { return self.ask(scope, deadline).await };
        let workload = scope.to_string();
        if let Err(left) = backoff.check(&workload) {
            return Err(UsageError::BackingOff { scope: workload, left });
        }
        let began = Instant::now();
        let answer = self.ask(scope, deadline).await;
        match &answer {
            Ok(_) => backoff.succeeded(&workload),
            Err(error) if error.is_failure() => backoff.failed(&workload, began),
            Err(_) => {}
        }
        answer
    }

    async fn ask(&self, scope: &Scope, deadline: Duration) -> Result<Usage, UsageError> {
        let plan = plan(&self.inventory, scope)?;
        let answers = self.cache.get_many(&plan.nodes(), deadline).await;
        if let Some(rates) = &self.rates {
            // Documents that have just come in may not have been followed yet.
            rates.feed_all(&answers, &self.cache);
        }
        let usage = plan.join(answers, &self.inventory, scope);
        if usage.is_without_data() {
            return Err(UsageError::NoData { scope: scope.to_string(), usage: Box::new(usage) });
        }
        Ok(usage)
    }

    /// A node's document, within the deadline; none where there is no such node.
    pub async fn node(&self, name: &str) -> Result<Option<NodeOutcome>, NotReady> {
        let Some(node) = self.inventory.node(name)? else { return Ok(None) };
        Ok(Some(self.cache.get_within(&node.target, self.deadline).await))
    }

    /// The documents of all nodes, within the deadline. Where the inventory watches the pods of some nodes only, by the
    /// field `spec.nodeName`, of those.
    pub async fn nodes(&self) -> Result<Vec<NodeAnswer>, NotReady> {
        let nodes = self.inventory.nodes()?;
        let watched = nodes.iter().filter(|node| self.inventory.watches_node(&node.target.name));
        let watched: Vec<NodeTarget> = watched.map(|node| node.target.clone()).collect();
        Ok(self.cache.get_many(&watched, self.deadline).await)
    }

    /// What a node's counters gained per second, if they are [kept](KubeletSummaryBuilder::rates) and the node has had a
    /// document. `read` may take its time, and ask for more: nobody waits for it.
    pub fn rates<T>(&self, node: &str, read: impl FnOnce(&Rates) -> T) -> Option<T> {
        self.rates.as_ref()?.of(node).map(|rates| read(&rates))
    }

    /// The rate of one of a pod's counters, in the same way. It is of the answer's document, or of a newer one.
    pub fn pod_rate(&self, pod: &PodUsage, counter: Counter) -> Option<Rate> {
        self.rates(pod.node(), |rates| rates.pod(pod.stats().pod_ref.uid())?.get(counter))?
    }

    /// Each end of an attempt to ask a node, from now on, until it is shut down. See [`SummaryCache::changes`].
    pub fn subscribe(&self) -> impl Stream<Item = SummaryChange> + Send + Unpin + use<> {
        self.cache.changes()
    }

    /// Waits until pods and nodes were listed once. See [`Inventory::ready`].
    pub async fn ready(&self) -> Result<(), NotReady> {
        self.inventory.ready().await
    }

    /// Which pods and nodes there are.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The nodes' documents.
    pub fn cache(&self) -> &SummaryCache {
        &self.cache
    }

    /// Stops the watches and what is being asked, and forgets everything; from then on questions are answered
    /// [`NotReady::Stopped`]. It takes 5 s at most; calling it again does no harm.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let ending = async {
            if timeout(SHUTDOWN, self.tasks.wait()).await.is_err() {
                tracing::warn!("tasks are still ending after {} s", SHUTDOWN.as_secs());
            }
        };
        tokio::join!(ending, self.inventory.shutdown(), self.cache.shutdown());
        if let Some(rates) = &self.rates {
            rates.clear();
        }
    }
}

/// Tells the cache which nodes there are, for ever.
pub(crate) async fn keep_nodes(inventory: Inventory, cache: SummaryCache) {
    let mut changes = inventory.node_changes();
    if inventory.ready().await.is_err() {
        return;
    }
    loop {
        changes.mark_unchanged();
        // Before the look at the nodes: one that is new, and asked for, in between is not to be forgotten.
        let mark = cache.mark();
        let Ok(nodes) = inventory.nodes() else { return };
        let nodes: Vec<NodeTarget> = nodes.iter().map(|node| node.target.clone()).collect();
        // One whose pods are not watched is asked for its callers alone.
        cache.retain_as_of(mark, &nodes, |node| inventory.watches_node(&node.name));
        if changes.changed().await.is_err() {
            return;
        }
        sleep(TOGETHER).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::NodeProxy;

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_is_bounded_in_time_whatever_a_task_does() {
        let (pods, nodes) = (futures::stream::pending(), futures::stream::pending());
        let client = Client::try_from(kube::Config::new(http::Uri::from_static("http://localhost"))).unwrap();
        let builder = KubeletSummary::from_streams::<PodRecord, NodeRecord>(pods, nodes);
        let summary = builder.fetcher(NodeProxy::new(client)).spawn().unwrap();
        summary.tasks.spawn(std::future::pending::<()>());
        let began = Instant::now();
        timeout(Duration::from_mins(1), summary.shutdown()).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), SHUTDOWN.as_secs());
    }
}
