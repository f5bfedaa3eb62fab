//! Which nodes and pods there are: from watches that the host shares, or from its own.
//!
//! Of a pod only what a question needs is kept (see [`PodRecord`]), and what pods have alike (labels, owner, what their
//! containers ask for) once. Pods are told apart by uid: one that is made anew under the same name is another one.
//!
//! # What happens when
//!
//! | | the inventory |
//! |---|---|
//! | no list is complete yet | answers [`NotReady`]: no list is not an empty one |
//! | a watch breaks, or its version is gone (410) | keeps what it knows; a new list takes its place when it is complete |
//! | a list breaks off | keeps what it knows, with what the list told so far |
//! | the API server can't be asked | keeps what it knows, and says for how long in [`InventoryStatus::behind`] |
//! | a stream of the host's ends, or panics | the same, for good |
//! | it is shut down, or its last handle dropped | forgets everything |
//!
//! A watch that goes on after a failure says so with its next event only; until then it counts as failing, for six minutes
//! at most: one that fails on says so again before.

mod builder;
mod decode;
mod feed;
mod known;
mod nodes;
mod pods;
mod record;
mod status;
mod uid;
mod watched;
mod words;

use std::sync::Arc;

use futures::stream::Stream;
use kube::Client;
use kube::runtime::watcher;
use metrics::gauge;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::builder::InventoryBuilder;
pub use self::known::KnownPod;
pub use self::nodes::KnownNode;
use self::nodes::NodeTable;
use self::pods::{PodTable, Put};
pub use self::record::{NodeRecord, Owner, PodPhase, PodRecord};
use self::status::Sources;
pub use self::status::{Failing, InventoryStatus, Kind, NotReady, SourceStatus};
pub use self::uid::PodUid;
pub(crate) use self::watched::Reach;
use self::watched::Watched;
use crate::selector::Scope;
use crate::telemetry;

/// How long a shutdown waits for the watches' tasks.
const SHUTDOWN: std::time::Duration = std::time::Duration::from_secs(5);

/// What the feeds write and questions read. Locks are held for one event, or one question's look at the pods.
#[derive(Debug)]
struct Inner {
    pods: RwLock<PodTable>,
    nodes: RwLock<NodeTable>,
    sources: watch::Sender<Sources>,
    /// Goes up with each change of the pods.
    pods_version: watch::Sender<u64>,
    /// Goes up with each change of the nodes.
    nodes_version: watch::Sender<u64>,
    watched: Watched,
    /// Whether all pods that are watched are known: no stream of the host's leaves some out.
    whole: bool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let (pods, nodes) = (self.pods.get_mut().len(), self.nodes.get_mut().len());
        gauge!(telemetry::INVENTORY_PODS).decrement(pods as f64);
        gauge!(telemetry::INVENTORY_NODES).decrement(nodes as f64);
    }
}

impl Inner {
    fn new(sources: Sources, watched: Watched, whole: bool) -> Self {
        Self {
            pods: RwLock::default(),
            nodes: RwLock::default(),
            sources: watch::Sender::new(sources),
            pods_version: watch::Sender::new(0),
            nodes_version: watch::Sender::new(0),
            watched,
            whole,
        }
    }

    fn put_pod(&self, record: &PodRecord, feed: u16, list: u32) -> Option<()> {
        let mut pods = self.pods.write();
        let put = pods.put(record, feed, list);
        if put == Put::Changed {
            pods.tidy();
        }
        drop(pods);
        if put == Put::New {
            gauge!(telemetry::INVENTORY_PODS).increment(1.0);
        }
        if matches!(put, Put::New | Put::Changed) {
            changed(&self.pods_version);
        }
        (put != Put::Unusable).then_some(())
    }

    fn delete_pod(&self, uid: &PodUid) {
        let mut pods = self.pods.write();
        let known = pods.delete(uid);
        pods.tidy();
        drop(pods);
        if known {
            gauge!(telemetry::INVENTORY_PODS).decrement(1.0);
            changed(&self.pods_version);
        }
    }

    fn end_pods(&self, feed: u16, list: u32) -> usize {
        let mut pods = self.pods.write();
        let gone = pods.end_list(feed, list);
        pods.tidy();
        drop(pods);
        if gone > 0 {
            gauge!(telemetry::INVENTORY_PODS).decrement(gone as f64);
            changed(&self.pods_version);
        }
        gone
    }

    fn put_node(&self, record: NodeRecord, feed: u16, list: u32) -> Option<()> {
        let mut nodes = self.nodes.write();
        let before = nodes.len();
        let news = nodes.put(record, feed, list)?;
        let new = nodes.len() - before;
        drop(nodes);
        gauge!(telemetry::INVENTORY_NODES).increment(new as f64);
        if news {
            changed(&self.nodes_version);
        }
        Some(())
    }

    fn delete_node(&self, name: &str) {
        let known = self.nodes.write().delete(name);
        if known {
            gauge!(telemetry::INVENTORY_NODES).decrement(1.0);
            changed(&self.nodes_version);
        }
    }

    fn end_nodes(&self, feed: u16, list: u32) -> usize {
        let gone = self.nodes.write().end_list(feed, list);
        if gone > 0 {
            gauge!(telemetry::INVENTORY_NODES).decrement(gone as f64);
            changed(&self.nodes_version);
        }
        gone
    }

    fn check(&self, kind: Kind) -> Result<(), NotReady> {
        self.sources.borrow().check(kind)
    }

    fn forget(&self) {
        // Said first, so that nobody takes the emptiness for an answer.
        self.sources.send_modify(|sources| sources.stopped = true);
        let pods = {
            let mut pods = self.pods.write();
            let before = pods.len();
            pods.clear();
            before
        };
        let nodes = {
            let mut nodes = self.nodes.write();
            let before = nodes.len();
            nodes.clear();
            before
        };
        gauge!(telemetry::INVENTORY_PODS).decrement(pods as f64);
        gauge!(telemetry::INVENTORY_NODES).decrement(nodes as f64);
    }
}

fn changed(version: &watch::Sender<u64>) {
    version.send_modify(|version| *version = version.wrapping_add(1));
}

/// Which nodes and pods there are. Clones are handles of the same inventory; it stops with the last of them.
///
/// ```no_run
/// use kubelet_summary::Scope;
/// use kubelet_summary::inventory::Inventory;
///
/// # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let inventory = Inventory::builder(client).namespaces(["shop"]).spawn();
/// inventory.ready().await?;
/// for pod in inventory.select(&Scope::all().selector("app=web".parse()?))? {
///     println!("{}/{} on {:?}", pod.namespace(), pod.name(), pod.node());
/// }
/// inventory.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Inventory {
    inner: Arc<Inner>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _drop: Arc<DropGuard>,
}

impl Inventory {
    /// One that watches for itself what the host gives it no stream of: it needs `list` and `watch` on pods and nodes.
    pub fn builder(client: Client) -> InventoryBuilder {
        InventoryBuilder::new(Some(client))
    }

    /// One that asks no API server: from watches that the host has, of pods and of nodes. See
    /// [`InventoryBuilder::pods`].
    pub fn from_streams<P, N>(
        pods: impl Stream<Item = Result<watcher::Event<P>, watcher::Error>> + Send + 'static,
        nodes: impl Stream<Item = Result<watcher::Event<N>, watcher::Error>> + Send + 'static,
    ) -> InventoryBuilder
    where
        P: Into<PodRecord> + Send + 'static,
        N: Into<NodeRecord> + Send + 'static,
    {
        InventoryBuilder::new(None).pods(pods).nodes(nodes)
    }

    /// The pods in scope, in no order: an error until the pods were listed once, and an answer from what is known from
    /// then on. What is not [watched](Self::watched) is not in it.
    pub fn select(&self, scope: &Scope) -> Result<Vec<Arc<KnownPod>>, NotReady> {
        let pods = self.inner.pods.read();
        // Under the lock: whoever empties the table says so before.
        self.inner.check(Kind::Pods)?;
        let mut selected = Vec::new();
        // What no pod has is found without a look at them.
        if scope.label_selector().needed_words().all(|word| pods.has_word(word)) {
            pods.select(scope, |pod| selected.push(pod.clone()));
        }
        drop(pods);
        if scope.asks_for_owners() {
            selected.retain(known::with_owner(scope));
        }
        Ok(selected)
    }

    /// The pod of that uid: its own, or that by which its kubelet knows it.
    pub fn pod(&self, uid: &PodUid) -> Option<Arc<KnownPod>> {
        self.inner.pods.read().get(uid).cloned()
    }

    /// Those of the uids that no pod has.
    pub(crate) fn unknown<'a, T>(&self, uids: impl IntoIterator<Item = (&'a PodUid, T)>) -> Vec<T> {
        let pods = self.inner.pods.read();
        uids.into_iter().filter(|(uid, _)| pods.get(uid).is_none()).map(|(_, thing)| thing).collect()
    }

    /// The node of that name; an error until the nodes were listed once.
    pub fn node(&self, name: &str) -> Result<Option<Arc<KnownNode>>, NotReady> {
        let nodes = self.inner.nodes.read();
        self.inner.check(Kind::Nodes)?;
        Ok(nodes.get(name).cloned())
    }

    /// All nodes, in no order; an error until they were listed once.
    pub fn nodes(&self) -> Result<Vec<Arc<KnownNode>>, NotReady> {
        let nodes = self.inner.nodes.read();
        self.inner.check(Kind::Nodes)?;
        Ok(nodes.iter().cloned().collect())
    }

    /// Changes with the pods: one is new, gone, or bound, relabelled or resized.
    pub fn pod_changes(&self) -> watch::Receiver<u64> {
        self.inner.pods_version.subscribe()
    }

    /// Changes with the nodes: one is new, gone, or has other addresses.
    pub fn node_changes(&self) -> watch::Receiver<u64> {
        self.inner.nodes_version.subscribe()
    }

    /// Whether a pod of that namespace would be known here, if there were one.
    pub fn covers(&self, namespace: &str) -> bool {
        let watched = &self.inner.watched;
        self.inner.whole && watched.is_whole() && watched.has_namespace(namespace)
    }

    /// How much of what the scope names its own watches see.
    pub(crate) fn reach(&self, scope: &Scope) -> Reach {
        self.inner.watched.reach(scope)
    }

    /// Whether its own watches see pods on that node.
    pub(crate) fn watches_node(&self, node: &str) -> bool {
        self.inner.watched.has_node(node)
    }

    /// What its own watches see, in words: `pods in namespace shop`. Streams of the host's are taken for all pods.
    pub fn watched(&self) -> String {
        self.inner.watched.to_string()
    }

    /// How it is doing.
    pub fn status(&self) -> InventoryStatus {
        let sources = self.inner.sources.borrow().clone();
        InventoryStatus {
            pods: sources.status(Kind::Pods),
            nodes: sources.status(Kind::Nodes),
            known_pods: self.inner.pods.read().len(),
            known_nodes: self.inner.nodes.read().len(),
            stopped: sources.stopped,
        }
    }

    /// Waits until pods and nodes were listed once; an error if it was shut down before. While listing fails it waits on:
    /// put a timeout around it, and ask for [the reason](Self::check).
    pub async fn ready(&self) -> Result<(), NotReady> {
        let ready = |sources: &Sources| {
            sources.stopped || [Kind::Pods, Kind::Nodes].into_iter().all(|kind| sources.status(kind).listed)
        };
        // The sender is held by this handle.
        let _ = self.inner.sources.subscribe().wait_for(ready).await;
        self.check()
    }

    /// Waits until its status is as wanted.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&InventoryStatus) -> bool) {
        let mut sources = self.inner.sources.subscribe();
        let (mut pods, mut nodes) = (self.pod_changes(), self.node_changes());
        while !wanted(&self.status()) {
            // Their senders are held by this handle.
            let _ = tokio::select! {
                changed = sources.changed() => changed,
                changed = pods.changed() => changed,
                changed = nodes.changed() => changed,
            };
        }
    }

    /// Whether pods and nodes were listed once, and if not, why not.
    pub fn check(&self) -> Result<(), NotReady> {
        let sources = self.inner.sources.borrow();
        sources.check(Kind::Pods).and_then(|()| sources.check(Kind::Nodes))
    }

    /// Stops its watches and forgets what it knows; from then on it answers [`NotReady::Stopped`]. Calling it again does
    /// no harm.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        if tokio::time::timeout(SHUTDOWN, self.tasks.wait()).await.is_err() {
            tracing::warn!("watches are still ending after {} s", SHUTDOWN.as_secs());
        }
        self.inner.forget();
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use kube::runtime::watcher::Event;
    use parking_lot::Mutex;
    use serde_json::{from_value, json};

    use super::*;

    #[tokio::test]
    async fn a_host_is_asked_for_owners_once_each_and_without_a_lock() {
        let pod = |name: &str, job: &str| {
            let owners = json!([{"controller": true, "kind": "Job", "name": job}]);
            let metadata = json!({"namespace": "a", "name": name, "uid": name, "ownerReferences": owners});
            Ok(Event::InitApply(from_value::<PodRecord>(json!({"metadata": metadata})).unwrap()))
        };
        let pods = [("one", "nightly-1"), ("two", "other-1"), ("three", "nightly-1")].map(|(name, job)| pod(name, job));
        let pods = [Ok(Event::Init)].into_iter().chain(pods).chain([Ok(Event::InitDone)]);
        let pods = futures::stream::iter(pods).chain(futures::stream::pending());
        let inventory = Inventory::from_streams::<_, NodeRecord>(pods, futures::stream::pending()).spawn();
        inventory.wait_for(|status| status.pods.listed).await;

        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, inner) = (asked.clone(), inventory.inner.clone());
        let scope = Scope::all().owner_chain("CronJob", "nightly", move |_, _, job| {
            assert!(inner.pods.try_write().is_some(), "the watch can go on meanwhile");
            log.lock().push(job.to_owned());
            job.strip_suffix("-1").map(|name| ("CronJob".to_owned(), name.to_owned()))
        });
        let mut names: Vec<_> = inventory.select(&scope).unwrap().iter().map(|pod| pod.name().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(names, ["one", "three"]);
        let mut asked = std::mem::take(&mut *asked.lock());
        asked.sort_unstable();
        assert_eq!(asked, ["nightly-1", "other", "other-1"], "each owner once, and what is above it");
    }
}
