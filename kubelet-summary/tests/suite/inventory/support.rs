use futures::stream::{self, Stream};
use kube::runtime::watcher::{Error, Event};
use kubelet_summary::inventory::{Inventory, NodeRecord, PodRecord};
use kubelet_summary::{PodSelector, Scope};
use serde_json::{Value, from_value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(crate) type Told<K> = Result<Event<K>, Error>;

pub(crate) fn pod(namespace: &str, name: &str, uid: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "i"}]},
        "status": {"phase": "Running"},
    })
}

pub(crate) fn node(name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
}

pub(crate) fn record<K: serde::de::DeserializeOwned>(value: Value) -> K {
    from_value(value).unwrap()
}

/// What a host's watch tells.
pub(crate) struct Teller<K>(UnboundedSender<Told<K>>);

impl<K> Teller<K> {
    pub(crate) fn tell(&self, events: impl IntoIterator<Item = Event<K>>) {
        for event in events {
            self.0.send(Ok(event)).unwrap();
        }
    }

    pub(crate) fn fail(&self) {
        self.0.send(Err(Error::NoResourceVersion)).unwrap();
    }

    pub(crate) fn list(&self, objects: impl IntoIterator<Item = K>) {
        self.tell([Event::Init]);
        self.tell(objects.into_iter().map(Event::InitApply));
        self.tell([Event::InitDone]);
    }
}

pub(crate) fn teller<K>() -> (Teller<K>, impl Stream<Item = Told<K>>) {
    let (send, receive) = unbounded_channel();
    let events =
        stream::unfold(receive, async |mut receive: UnboundedReceiver<Told<K>>| Some((receive.recv().await?, receive)));
    (Teller(send), events)
}

/// An inventory that is told by hand, with no nodes but those given.
pub(crate) fn told(nodes: impl IntoIterator<Item = Value>) -> (Inventory, Teller<PodRecord>, Teller<NodeRecord>) {
    let (pods, pod_events) = teller();
    let (all, node_events) = teller();
    all.list(nodes.into_iter().map(record));
    (Inventory::from_streams(pod_events, node_events).spawn(), pods, all)
}

/// Lets the inventory take in what was told.
pub(crate) async fn settle() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn labelled(selector: &str) -> Scope {
    Scope::all().selector(selector.parse::<PodSelector>().unwrap())
}

/// `namespace/name@node` of the pods in scope, sorted.
pub(crate) fn names(inventory: &Inventory, scope: &Scope) -> Vec<String> {
    let pods = inventory.select(scope).unwrap();
    let name = |pod: &std::sync::Arc<kubelet_summary::inventory::KnownPod>| {
        format!("{}/{}@{}", pod.namespace(), pod.name(), pod.node().unwrap_or_default())
    };
    let mut names: Vec<String> = pods.iter().map(name).collect();
    names.sort_unstable();
    names
}
