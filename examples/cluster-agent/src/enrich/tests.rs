use std::sync::mpsc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use k8s_openapi::api::core::v1::{Node, Pod};
use ksm_core::{Builtin, Format, Query};
use kube::runtime::watcher::Event;
use node_lease::{Attribute, NodeLookup, NodeMetadata};
use serde_json::{Value, json};

use super::*;

/// Only a hang gets there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Machine types by node, as a cache has them.
#[derive(Default)]
struct Machines(Mutex<HashMap<String, &'static str>>);

impl Machines {
    fn set(&self, node: &str, machine: &'static str) {
        self.0.lock().insert(node.to_owned(), machine);
    }
}

fn of_type(machine: &str) -> Arc<NodeMetadata> {
    Arc::new(NodeMetadata::new().with(Attribute::HostType, machine))
}

impl NodeLookup for Machines {
    fn metadata(&self, node: &str) -> Option<Arc<NodeMetadata>> {
        self.0.lock().get(node).map(|machine| of_type(machine))
    }
}

fn changed(node: &str) -> NodeChange {
    // What it says is not looked at: the cache says what holds now.
    NodeChange::Changed { node: node.into(), metadata: of_type("whatever") }
}

type Events<K> = UnboundedSender<Result<Event<K>, String>>;

fn fed<K: Builtin>() -> (Events<K>, ResourceBuilder<K>)
where
    K::Scope: 'static,
{
    let (events, stream) = unbounded();
    (events, ResourceBuilder::builtin().stream(stream))
}

fn send<K>(events: &Events<K>, event: Event<K>) {
    events.unbounded_send(Ok(event)).unwrap();
}

fn list<K>(events: &Events<K>, objects: impl IntoIterator<Item = K>) {
    send(events, Event::Init);
    objects.into_iter().for_each(|object| send(events, Event::InitApply(object)));
    send(events, Event::InitDone);
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn node(name: &str, version: u32) -> Node {
    object(json!({"metadata": {"name": name, "uid": name, "resourceVersion": version.to_string()}}))
}

fn pod(name: &str, version: u32, node: &str) -> Pod {
    object(json!({
        "metadata": {"namespace": "web", "name": name, "uid": name, "resourceVersion": version.to_string()},
        "spec": {"nodeName": node, "containers": []},
    }))
}

fn enrich_nodes(labels: &mut NodeLabels, nodes: ResourceBuilder<Node>) -> ResourceBuilder<Node> {
    labels.enrich("nodes", nodes, |node| node.metadata.name.as_deref())
}

fn enrich_pods(labels: &mut NodeLabels, pods: ResourceBuilder<Pod>) -> ResourceBuilder<Pod> {
    labels.enrich("pods", pods, |pod| pod.spec.as_ref()?.node_name.as_deref())
}

/// The `host_type` of each object's series, for those that have one; all series of an object must agree.
fn types(ksm: &Ksm, identity: &str) -> Vec<(String, String)> {
    let text = ksm.exposition(&Query::default(), Format::Text).to_text();
    let label = |line: &str, name: &str| Some(line.split_once(&format!("{name}=\""))?.1.split('"').next()?.to_owned());
    let mut found: Vec<(String, String)> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some((label(line, identity)?, label(line, "host_type").unwrap_or_default())))
        .collect();
    found.sort();
    found.dedup();
    found
}

async fn until(ksm: &Ksm, identity: &str, wanted: &[(&str, &str)]) {
    let wanted: Vec<(String, String)> =
        wanted.iter().map(|(object, machine)| ((*object).to_owned(), (*machine).to_owned())).collect();
    let waiting = async {
        while types(ksm, identity) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        assert_eq!(types(ksm, identity), wanted);
    }
}

#[tokio::test]
async fn objects_have_their_nodes_labels_whichever_comes_first() {
    let machines = Arc::new(Machines::default());
    machines.set("n1", "large");
    let mut labels = NodeLabels::new(Enricher::new(machines.clone()));
    let ((events, nodes), (tell, changes)) = (fed::<Node>(), unbounded());
    let ksm = Ksm::builder().resource(enrich_nodes(&mut labels, nodes)).spawn().unwrap();
    let ksm = Arc::new(ksm);
    let following = tokio::spawn(labels.follow(ksm.clone(), changes));

    list(&events, [node("n1", 1), node("n2", 1)]);
    until(&ksm, "node", &[("n1", "large"), ("n2", "")]).await;
    machines.set("n2", "small");
    tell.unbounded_send(changed("n2")).unwrap();
    until(&ksm, "node", &[("n1", "large"), ("n2", "small")]).await;
    // An update of the object alone keeps them, a node that is not known any more loses them.
    send(&events, Event::Apply(node("n2", 2)));
    machines.0.lock().remove("n1");
    tell.unbounded_send(NodeChange::Missed(3)).unwrap();
    until(&ksm, "node", &[("n1", ""), ("n2", "small")]).await;

    drop(tell);
    following.await.unwrap();
}

/// Tells of each lookup; the first one is held up after it has read.
struct HeldUp {
    machines: Machines,
    reading: mpsc::Sender<()>,
    first: Mutex<Option<mpsc::Receiver<()>>>,
}

impl NodeLookup for HeldUp {
    fn metadata(&self, node: &str) -> Option<Arc<NodeMetadata>> {
        let found = self.machines.metadata(node);
        let first = self.first.lock().take();
        // The test may have ended.
        let _ = self.reading.send(());
        if let Some(go_on) = first {
            go_on.recv_timeout(PATIENCE).unwrap();
        }
        found
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_while_an_object_is_walked_is_not_lost() {
    let ((reading, read), (resume, go_on)) = (mpsc::channel(), mpsc::channel());
    let lookup = Arc::new(HeldUp { machines: Machines::default(), reading, first: Mutex::new(Some(go_on)) });
    let mut labels = NodeLabels::new(Enricher::new(lookup.clone()));
    let (events, nodes) = fed::<Node>();
    let ksm = Arc::new(Ksm::builder().resource(enrich_nodes(&mut labels, nodes)).spawn().unwrap());
    list(&events, [node("n1", 1)]);
    let (bringing, brings) = (ksm.clone(), lookup.clone());
    tokio::task::spawn_blocking(move || {
        // The object is being walked, and has read that nothing is known.
        read.recv_timeout(PATIENCE).unwrap();
        // Now something is. Whoever brings it has looked for objects on the node when he reads.
        brings.machines.set("n1", "large");
        let bringing = std::thread::spawn(move || labels.refresh(&bringing, "n1"));
        read.recv_timeout(PATIENCE).unwrap();
        resume.send(()).unwrap();
        bringing.join().unwrap();
    })
    .await
    .unwrap();
    until(&ksm, "node", &[("n1", "large")]).await;
}

#[tokio::test]
async fn pods_go_with_their_node_and_leave_nothing_behind() {
    let machines = Arc::new(Machines::default());
    machines.set("n1", "large");
    let mut labels = NodeLabels::new(Enricher::new(machines.clone()));
    let (events, pods) = fed::<Pod>();
    let ksm = Ksm::builder().resource(enrich_pods(&mut labels, pods)).spawn().unwrap();
    let places = labels.resources[0].1.clone();

    list(&events, [pod("a", 1, "n1"), pod("b", 1, "n2"), pod("waiting", 1, "")]);
    until(&ksm, "pod", &[("a", "large"), ("b", ""), ("waiting", "")]).await;
    machines.set("n2", "small");
    labels.refresh(&ksm, "n2");
    // A pod that waited is on a node now.
    send(&events, Event::Apply(pod("waiting", 2, "n2")));
    until(&ksm, "pod", &[("a", "large"), ("b", "small"), ("waiting", "small")]).await;
    assert_eq!(places.lock().nodes().len(), 2);

    // One is seen to go, one has gone when the list comes anew.
    send(&events, Event::Delete(pod("a", 1, "n1")));
    list(&events, [pod("waiting", 2, "n2")]);
    until(&ksm, "pod", &[("waiting", "small")]).await;
    let places = places.lock();
    assert_eq!((places.node_of.len(), places.nodes().len(), places.on("n2").len()), (1, 1, 1));
}
