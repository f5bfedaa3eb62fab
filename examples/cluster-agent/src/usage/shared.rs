//! The watches of pods and nodes that ksm-core has, for kubelet-summary too: no second watch on the API server.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ksm_core::{Change, Ksm, ResourceBuilder};
use kube::runtime::watcher::{self, Event};
use kubelet_summary::inventory::{NodeRecord, PodRecord};

/// How often it is looked whether the first lists are complete.
const LOOK: Duration = Duration::from_millis(100);

/// Tells when ksm-core's first lists are complete.
pub(super) type Lists = Box<dyn FnOnce(Arc<Ksm>) -> BoxFuture<'static, ()> + Send>;

type Events<K> = UnboundedReceiver<Result<Event<K>, watcher::Error>>;

/// Hooks into ksm-core's resources, and the streams that come of them.
///
/// A hook must not wait, so the queue between them has no bound; the other end does nothing but write what it gets into
/// a table, and an entry is a record of some hundred bytes.
pub(crate) struct Shared {
    pods: Tap<PodRecord>,
    nodes: Tap<NodeRecord>,
    streams: (Events<PodRecord>, Events<NodeRecord>),
}

struct Tap<K>(UnboundedSender<Result<Event<K>, watcher::Error>>);

impl<K> Clone for Tap<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Tap<K> {
    fn new() -> (Self, Events<K>) {
        let (sender, events) = unbounded();
        let tap = Self(sender);
        tap.tell(Event::Init);
        (tap, events)
    }

    fn tell(&self, event: Event<K>) {
        // Nobody listens any more when usage has ended.
        let _ = self.0.unbounded_send(Ok(event));
    }
}

impl Shared {
    pub(crate) fn new() -> Self {
        let ((pods, of_pods), (nodes, of_nodes)) = (Tap::new(), Tap::new());
        Self { pods, nodes, streams: (of_pods, of_nodes) }
    }

    pub(crate) fn pods(&self, resource: ResourceBuilder<Pod>) -> ResourceBuilder<Pod> {
        let tap = self.pods.clone();
        resource.on_change(move |change| match change {
            Change::Added(pod) | Change::Updated(pod) => tap.tell(Event::Apply(PodRecord::from(*pod))),
            Change::Deleted(pod) => tap.tell(Event::Delete(PodRecord::from(*pod))),
            Change::Vanished(removed) => {
                let uid = removed.identity.iter().find(|(name, _)| name == "uid").map(|(_, uid)| uid.clone());
                let metadata = ObjectMeta { uid, ..ObjectMeta::default() };
                tap.tell(Event::Delete(PodRecord { metadata, ..PodRecord::default() }));
            }
            // It is shared only where there are no shards.
            Change::Moved(_) => {}
        })
    }

    pub(crate) fn nodes(&self, resource: ResourceBuilder<Node>) -> ResourceBuilder<Node> {
        let tap = self.nodes.clone();
        resource.on_change(move |change| match change {
            Change::Added(node) | Change::Updated(node) => tap.tell(Event::Apply(NodeRecord::from(*node))),
            Change::Deleted(node) => tap.tell(Event::Delete(NodeRecord::from(*node))),
            Change::Vanished(removed) => {
                let name = removed.identity.iter().find(|(name, _)| name == "node").map(|(_, name)| name.clone());
                let metadata = ObjectMeta { name, ..ObjectMeta::default() };
                tap.tell(Event::Delete(NodeRecord::from(Node { metadata, ..Node::default() })));
            }
            Change::Moved(_) => {}
        })
    }

    /// The streams, and what tells them when the first lists are complete: to be run beside.
    pub(crate) fn into_streams(self) -> (Events<PodRecord>, Events<NodeRecord>, Lists) {
        let Self { pods, nodes, streams } = self;
        let tell: Lists = Box::new(move |ksm: Arc<Ksm>| {
            Box::pin(async move {
                let (mut pods, mut nodes) = (Some(pods), Some(nodes));
                while pods.is_some() || nodes.is_some() {
                    let listed = |name: &str| {
                        let statuses = ksm.status();
                        let mut of_it = statuses.iter().filter(|status| status.resource == name).peekable();
                        of_it.peek().is_some() && of_it.all(|status| status.synced_for.is_some())
                    };
                    // Its hooks were called before it was said to be complete.
                    if listed("pods")
                        && let Some(tap) = pods.take()
                    {
                        tap.tell(Event::InitDone);
                    }
                    if listed("nodes")
                        && let Some(tap) = nodes.take()
                    {
                        tap.tell(Event::InitDone);
                    }
                    tokio::time::sleep(LOOK).await;
                }
            })
        });
        (streams.0, streams.1, tell)
    }
}
