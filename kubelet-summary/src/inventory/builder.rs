//! What an inventory is to be like.

use std::fmt;
use std::sync::Arc;

use futures::stream::{Stream, StreamExt};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::feed::{self, Events};
use super::record::{NodeRecord, PodRecord};
use super::status::{Source, Sources};
use super::watched::Watched;
use super::{Inner, Inventory};
use crate::selector::PodSelector;

/// How many objects a page of a list has. A page is in memory as a whole, as JSON and as records: 1.5 MB of pods of 10 KB.
const PAGE: u32 = 150;

/// What an inventory is to be like. Pods and nodes come from streams of the host's, or from watches of its own for what
/// the host has no stream of.
#[must_use = "a builder does nothing until it is spawned"]
pub struct InventoryBuilder {
    client: Option<Client>,
    namespaces: Vec<String>,
    pod_labels: PodSelector,
    pod_fields: Vec<String>,
    node_labels: PodSelector,
    pods: Vec<Events<PodRecord>>,
    nodes: Vec<Events<NodeRecord>>,
    partial: bool,
}

impl fmt::Debug for InventoryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InventoryBuilder")
            .field("client", &self.client.is_some())
            .field("namespaces", &self.namespaces)
            .field("pod_labels", &self.pod_labels)
            .field("pod_fields", &self.pod_fields)
            .field("node_labels", &self.node_labels)
            .field("streams_of_pods", &self.pods.len())
            .field("streams_of_nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl InventoryBuilder {
    pub(super) fn new(client: Option<Client>) -> Self {
        Self {
            client,
            namespaces: Vec::new(),
            pod_labels: PodSelector::all(),
            pod_fields: Vec::new(),
            node_labels: PodSelector::all(),
            pods: Vec::new(),
            nodes: Vec::new(),
            partial: false,
        }
    }

    /// Pods from a watch that the host has, instead of one of its own; called again, from several. Items are
    /// [`PodRecord`]s or whole `Pod`s. The stream must go on after its errors, as one with a back-off does: after an error
    /// it counts as failing until its next event, or until six minutes have passed without another error. One that ends or
    /// panics counts as failing for good.
    pub fn pods<K>(
        mut self,
        stream: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
    ) -> Self
    where
        K: Into<PodRecord> + Send + 'static,
    {
        self.pods.push(records(stream));
        self
    }

    /// Nodes, in the same way: [`NodeRecord`]s or whole `Node`s.
    pub fn nodes<K>(
        mut self,
        stream: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
    ) -> Self
    where
        K: Into<NodeRecord> + Send + 'static,
    {
        self.nodes.push(records(stream));
        self
    }

    /// The host's streams of pods leave some pods out, so that a pod which a kubelet knows and they don't is nothing to
    /// tell of. Watches of its own that are narrowed by labels or fields are known to.
    pub fn partial(mut self) -> Self {
        self.partial = true;
        self
    }

    /// Its own watches are on the pods of these namespaces, one each; by default there is one on all. Questions about
    /// others are answered [`UsageError::NotWatched`](crate::UsageError::NotWatched).
    pub fn namespaces<Name: Into<String>>(mut self, namespaces: impl IntoIterator<Item = Name>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).collect();
        self.namespaces.sort_unstable();
        self.namespaces.dedup();
        self
    }

    /// Its own watch is on pods with these labels only. Questions about other values of them are refused as those about
    /// other namespaces.
    pub fn pod_labels(mut self, selector: PodSelector) -> Self {
        self.pod_labels = selector;
        self
    }

    /// Its own watch is on pods with these fields only: `spec.nodeName=node-1`. Called again, with those too. What this
    /// asks of is the API server's to check; questions about another node or namespace are refused.
    pub fn pod_fields(mut self, selector: impl Into<String>) -> Self {
        self.pod_fields.push(selector.into());
        self
    }

    /// Its own watch is on nodes with these labels only. Pods on others are told to be on an unknown node.
    pub fn node_labels(mut self, selector: PodSelector) -> Self {
        self.node_labels = selector;
        self
    }

    /// Starts it, on the runtime that this is called from.
    ///
    /// Without a client and without a stream of a kind, that kind never becomes ready.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(mut self) -> Inventory {
        let own = self.pods.is_empty();
        if let Some(client) = &self.client {
            if own {
                let config = config(&self.pod_labels, &self.pod_fields);
                let apis: Vec<Api<PodRecord>> = match self.namespaces.as_slice() {
                    [] => vec![Api::all(client.clone())],
                    names => names.iter().map(|name| Api::namespaced(client.clone(), name)).collect(),
                };
                self.pods = apis.into_iter().map(|api| own_watch(api, config.clone())).collect();
            }
            if self.nodes.is_empty() {
                self.nodes.push(own_watch(Api::all(client.clone()), config(&self.node_labels, &[])));
            }
        }
        if self.pods.is_empty() {
            self.pods.push(futures::stream::pending().boxed());
        }
        if self.nodes.is_empty() {
            self.nodes.push(futures::stream::pending().boxed());
        }
        let sources = Sources {
            pods: vec![Source::default(); self.pods.len()],
            nodes: vec![Source::default(); self.nodes.len()],
            stopped: false,
        };
        let watched =
            if own { Watched::new(self.namespaces, self.pod_labels, self.pod_fields) } else { Watched::default() };
        let inner = Arc::new(Inner::new(sources, watched, !self.partial));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let start = |feed: futures::future::BoxFuture<'static, ()>| {
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(feed).await });
        };
        for (feed, events) in (0..).zip(self.pods) {
            start(Box::pin(feed::run(events, inner.clone(), feed)));
        }
        for (feed, events) in (0..).zip(self.nodes) {
            start(Box::pin(feed::run(events, inner.clone(), feed)));
        }
        tasks.close();
        Inventory { inner, tasks, stop: stop.clone(), _drop: Arc::new(stop.drop_guard()) }
    }
}

fn records<K, R>(stream: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static) -> Events<R>
where
    K: Into<R> + Send + 'static,
    R: 'static,
{
    let convert = |event: watcher::Event<K>| match event {
        watcher::Event::Apply(object) => watcher::Event::Apply(object.into()),
        watcher::Event::Delete(object) => watcher::Event::Delete(object.into()),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(object.into()),
        watcher::Event::InitDone => watcher::Event::InitDone,
    };
    stream.map(move |event| event.map(convert)).boxed()
}

fn config(labels: &PodSelector, fields: &[String]) -> watcher::Config {
    // In pages, of the newest state: an older server gives all pods at once to whoever takes any state.
    let mut config = watcher::Config::default().page_size(PAGE);
    if !labels.is_empty() {
        config = config.labels(&labels.to_string());
    }
    if !fields.is_empty() {
        config = config.fields(&fields.join(","));
    }
    config
}

fn own_watch<K>(api: Api<K>, config: watcher::Config) -> Events<K>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + fmt::Debug + Send + 'static,
{
    watcher(api, config).default_backoff().boxed()
}
