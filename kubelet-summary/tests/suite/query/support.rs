use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, Stream};
use kube::runtime::watcher::{Error, Event};
use kubelet_summary::fetch::{FetchError, Fetcher, NodeTarget};
use kubelet_summary::inventory::{NodeRecord, PodRecord};
use kubelet_summary::{KubeletSummary, KubeletSummaryBuilder, Summary, Usage};
use serde_json::{Value, from_value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Kubelets that say what they are told to, and remember who was asked, and where.
#[derive(Clone, Default)]
pub(crate) struct Kubelets {
    documents: Arc<Mutex<HashMap<String, Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
    hangs: Arc<Mutex<HashSet<String>>>,
}

impl Kubelets {
    /// The node's pods from now on; an error without any.
    pub(crate) fn say(&self, node: &str, pods: impl Into<Option<Vec<Value>>>) {
        let pods: Option<Vec<Value>> = pods.into();
        let mut documents = self.documents.lock().unwrap();
        match pods {
            Some(pods) => documents.insert(node.to_owned(), json!({"node": {"nodeName": node}, "pods": pods})),
            None => documents.remove(node),
        };
    }

    /// The node never answers from now on.
    pub(crate) fn hang(&self, node: &str) {
        self.hangs.lock().unwrap().insert(node.to_owned());
    }

    /// Who was asked since the last call, sorted: `name` or `name@address`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort_unstable();
        asked
    }
}

impl Fetcher for Kubelets {
    fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
        let address = node.addresses.first().map(|address| format!("@{}", address.address)).unwrap_or_default();
        self.asked.lock().unwrap().push(format!("{}{address}", node.name));
        let document = self.documents.lock().unwrap().get(&*node.name).cloned();
        let hangs = self.hangs.lock().unwrap().contains(&*node.name);
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            let document = document.ok_or_else(|| FetchError::Other("the kubelet is down".into()))?;
            Ok(Summary::from_slice(document.to_string().as_bytes()).unwrap().summary)
        }
        .boxed()
    }
}

/// What a kubelet says of a pod.
pub(crate) fn stats(namespace: &str, name: &str, uid: &str, memory: u64) -> Value {
    json!({
        "podRef": {"name": name, "namespace": namespace, "uid": uid},
        "memory": {"time": "2026-01-01T00:00:00Z", "workingSetBytes": memory},
        "cpu": {"time": "2026-01-01T00:00:00Z", "usageNanoCores": memory, "usageCoreNanoSeconds": 10 * memory},
        "ephemeral-storage": {"time": "2026-01-01T00:00:00Z", "usedBytes": 7},
        "containers": [{"name": "main", "memory": {"workingSetBytes": memory}, "rootfs": {"usedBytes": 3}, "logs": {"usedBytes": 2}}],
    })
}

pub(crate) fn pod(namespace: &str, name: &str, uid: &str, node: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "resources": {
            "requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"},
        }}]},
        "status": {"phase": "Running"},
    })
}

pub(crate) fn node(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

pub(crate) fn record<K: serde::de::DeserializeOwned>(value: Value) -> K {
    from_value(value).unwrap()
}

type Told<K> = Result<Event<K>, Error>;

/// What a host's watch tells.
pub(crate) struct Teller<K>(UnboundedSender<Told<K>>);

impl<K: serde::de::DeserializeOwned> Teller<K> {
    pub(crate) fn apply(&self, value: Value) {
        self.0.send(Ok(Event::Apply(record(value)))).unwrap();
    }

    pub(crate) fn delete(&self, value: Value) {
        self.0.send(Ok(Event::Delete(record(value)))).unwrap();
    }

    pub(crate) fn fail(&self) {
        self.0.send(Err(Error::NoResourceVersion)).unwrap();
    }

    pub(crate) fn list(&self, values: impl IntoIterator<Item = Value>) {
        self.0.send(Ok(Event::Init)).unwrap();
        for value in values {
            self.0.send(Ok(Event::InitApply(record(value)))).unwrap();
        }
        self.0.send(Ok(Event::InitDone)).unwrap();
    }
}

fn teller<K>() -> (Teller<K>, impl Stream<Item = Told<K>>) {
    let (send, receive) = unbounded_channel();
    let next = async |mut receive: UnboundedReceiver<Told<K>>| Some((receive.recv().await?, receive));
    (Teller(send), stream::unfold(receive, next))
}

/// Everything that a test moves.
pub(crate) struct House {
    pub(crate) summary: KubeletSummary,
    pub(crate) kubelets: Kubelets,
    pub(crate) pods: Teller<PodRecord>,
    pub(crate) nodes: Teller<NodeRecord>,
}

/// Told by hand; nothing is listed yet.
pub(crate) fn house_of(change: impl FnOnce(KubeletSummaryBuilder) -> KubeletSummaryBuilder) -> House {
    let kubelets = Kubelets::default();
    let (pods, pod_events) = teller::<PodRecord>();
    let (nodes, node_events) = teller::<NodeRecord>();
    let builder = KubeletSummary::from_streams(pod_events, node_events).fetcher(kubelets.clone());
    House { summary: change(builder).spawn().unwrap(), kubelets, pods, nodes }
}

/// With these pods and nodes.
pub(crate) async fn house(pods: impl IntoIterator<Item = Value>, nodes: &[&str]) -> House {
    let house = house_of(|builder| builder);
    house.pods.list(pods);
    house.nodes.list(nodes.iter().map(|name| node(name)));
    house.summary.ready().await.unwrap();
    house
}

/// Lets everything take in what was told.
pub(crate) async fn settle() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

/// An answer in words: `name@node=memory`, sorted, then what is missing.
pub(crate) fn words(usage: &Usage) -> Vec<String> {
    let values = usage.values.iter().map(|value| {
        let memory = value.figures().memory_working_set_bytes.unwrap_or_default();
        format!("{}@{}={memory}", value.pod().name(), value.node())
    });
    let mut words: Vec<String> = values.collect();
    words.extend(usage.missing.iter().map(|missing| format!("-{} {}", missing.node, missing.reason)));
    words.extend(usage.absent.iter().map(|absent| format!("-{} {}", absent.pod.name(), absent.reason.as_str())));
    words.extend(usage.unknown.iter().map(|unknown| format!("?{}@{}", unknown.stats().pod_ref.name(), unknown.node())));
    words.sort_unstable();
    words
}
