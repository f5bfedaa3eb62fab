//! Labels of one object → series of others, whichever comes first, changes or goes.

use std::time::Duration;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use k8s_openapi::api::core::v1::{Node, Pod};
use ksm_core::joins::LabelJoins;
use ksm_core::{BuildError, Builtin, Format, Ksm, ObjectKey, Query, ResourceBuilder};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

type Events<K> = UnboundedSender<Result<Event<K>, String>>;

fn fed<K: Builtin>() -> (Events<K>, ResourceBuilder<K>)
where
    K::Scope: 'static,
{
    let (events, stream) = unbounded();
    (events, ResourceBuilder::builtin().stream(stream))
}

fn object<K: Builtin>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn node(version: u32, zone: &str) -> Node {
    object(json!({"metadata": {"name": "n1", "uid": "n1", "resourceVersion": version.to_string(),
        "labels": {"zone": zone}, "annotations": {"rack": "r7"}}}))
}

fn pod(name: &str, version: u32, node: &str) -> Pod {
    object(json!({
        "metadata": {"namespace": "web", "name": name, "uid": name, "resourceVersion": version.to_string(),
            "labels": {"app": "shop"}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "i"}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "main", "image": "shop:1", "imageID": "sha", "ready": true, "restartCount": 0}]},
    }))
}

fn joins(value: Value) -> LabelJoins {
    serde_json::from_value(value).unwrap()
}

fn list<K>(events: &Events<K>, objects: impl IntoIterator<Item = K>) {
    events.unbounded_send(Ok(Event::Init)).unwrap();
    for object in objects {
        events.unbounded_send(Ok(Event::InitApply(object))).unwrap();
    }
    events.unbounded_send(Ok(Event::InitDone)).unwrap();
}

fn send<K>(events: &Events<K>, event: Event<K>) {
    events.unbounded_send(Ok(event)).unwrap();
}

/// Waits until a line is shown.
async fn shows(ksm: &Ksm, line: &str) {
    let text = || ksm.exposition(&Query::default(), Format::Text).to_text();
    let seen = tokio::time::timeout(Duration::from_secs(20), async {
        while !text().lines().any(|shown| shown == line) {
            tokio::task::yield_now().await;
        }
    });
    assert!(seen.await.is_ok(), "{line} is not shown; there is\n{}", text());
}

struct Cluster {
    pods: Events<Pod>,
    nodes: Events<Node>,
    ksm: Ksm,
}

fn cluster(rules: Value) -> Cluster {
    let ((pods, pod_source), (nodes, node_source)) = (fed(), fed());
    let builder = Ksm::builder().resource(pod_source).resource(node_source).label_joins(joins(rules));
    Cluster { pods, nodes, ksm: builder.spawn().unwrap() }
}

const ZONES: &str = r#"{"kube_node_labels": {"labels_to_match": ["node"], "labels_to_get": ["label_zone"]}}"#;

#[tokio::test]
async fn a_nodes_labels_stand_on_the_series_of_its_pods_and_follow_them() {
    let cluster = cluster(serde_json::from_str(ZONES).unwrap());
    let Cluster { pods, nodes, ksm } = &cluster;
    list(pods, [pod("a", 1, "n1"), pod("other", 1, "n2")]);
    shows(ksm, r#"kube_pod_status_phase{namespace="web",pod="a",uid="a",phase="Running"} 1"#).await;
    list(nodes, [node(1, "z1")]);
    shows(ksm, r#"kube_pod_status_phase{namespace="web",pod="a",uid="a",label_zone="z1",phase="Running"} 1"#).await;
    send(nodes, Event::Apply(node(2, "z2")));
    shows(ksm, r#"kube_pod_status_phase{namespace="web",pod="a",uid="a",label_zone="z2",phase="Running"} 1"#).await;
    // A pod that comes later, one that moves to that node, and those of another node.
    send(pods, Event::Apply(pod("late", 2, "n1")));
    shows(ksm, r#"kube_pod_status_phase{namespace="web",pod="late",uid="late",label_zone="z2",phase="Running"} 1"#)
        .await;
    shows(ksm, r#"kube_pod_status_phase{namespace="web",pod="other",uid="other",phase="Running"} 1"#).await;
    send(pods, Event::Apply(pod("other", 3, "n1")));
    shows(ksm, r#"kube_pod_status_phase{namespace="web",pod="other",uid="other",label_zone="z2",phase="Running"} 1"#)
        .await;
    // The labels of the node are not exposed themselves: its allowlist is empty.
    assert!(!ksm.exposition(&Query::default(), Format::Text).to_text().contains("kube_node_labels"));
    send(nodes, Event::Delete(node(3, "z2")));
    shows(ksm, r#"kube_pod_status_phase{namespace="web",pod="a",uid="a",phase="Running"} 1"#).await;
}

#[tokio::test]
async fn a_relist_that_misses_the_giver_takes_its_labels_away() {
    let cluster = cluster(serde_json::from_str(ZONES).unwrap());
    list(&cluster.nodes, [node(1, "z1")]);
    list(&cluster.pods, [pod("a", 1, "n1")]);
    let joined = r#"kube_pod_status_phase{namespace="web",pod="a",uid="a",label_zone="z1",phase="Running"} 1"#;
    shows(&cluster.ksm, joined).await;
    list(&cluster.nodes, []);
    without_zone(&cluster.ksm).await;
}

#[tokio::test]
async fn containers_get_labels_of_their_own_pod_alone() {
    let cluster = cluster(json!({
        "kube_pod_container_info":
            {"labels_to_match": ["namespace", "pod", "container"], "labels_to_get": ["image_spec"]},
        "kube_pod_labels": {"labels_to_match": ["namespace", "pod"], "get_all_labels": true, "prefix": "pod_"},
        "kube_node_annotations": {"labels_to_match": ["node"], "labels_to_get": ["*"]},
    }));
    list(&cluster.nodes, [node(1, "z1")]);
    list(&cluster.pods, [pod("a", 1, "n1")]);
    let own = r#"namespace="web",pod="a",uid="a",annotation_rack="r7",pod_label_app="shop""#;
    shows(&cluster.ksm, &format!(r#"kube_pod_container_status_ready{{{own},container="main",image_spec="i"}} 1"#))
        .await;
    shows(&cluster.ksm, &format!(r#"kube_pod_status_phase{{{own},phase="Running"}} 1"#)).await;
}

#[tokio::test]
async fn a_hosts_labels_and_joined_ones_stand_side_by_side() {
    let cluster = cluster(serde_json::from_str(ZONES).unwrap());
    let Cluster { pods, nodes, ksm } = &cluster;
    list(pods, [pod("a", 1, "n1")]);
    without_zone(ksm).await;
    assert!(ksm.set_extra_labels("pods", ObjectKey::from_uid("a"), &[("rack", "r1")]));
    list(nodes, [node(1, "z1")]);
    let labels = r#"namespace="web",pod="a",uid="a",rack="r1",label_zone="z1""#;
    shows(ksm, &format!(r#"kube_pod_status_phase{{{labels},phase="Running"}} 1"#)).await;
}

async fn without_zone(ksm: &Ksm) {
    shows(ksm, r#"kube_pod_status_phase{namespace="web",pod="a",uid="a",phase="Running"} 1"#).await;
}

#[tokio::test]
async fn a_resource_that_is_removed_takes_its_labels_along() {
    let cluster = cluster(serde_json::from_str(ZONES).unwrap());
    list(&cluster.nodes, [node(1, "z1")]);
    list(&cluster.pods, [pod("a", 1, "n1")]);
    shows(&cluster.ksm, r#"kube_pod_status_phase{namespace="web",pod="a",uid="a",label_zone="z1",phase="Running"} 1"#)
        .await;
    assert!(cluster.ksm.remove("nodes"));
    without_zone(&cluster.ksm).await;
}

#[tokio::test]
async fn joins_that_can_give_nothing_are_refused() {
    let refused = |rules: Value| {
        let (_pods, source) = fed::<Pod>();
        Ksm::builder().resource(source).label_joins(joins(rules)).spawn().unwrap_err()
    };
    let unknown = refused(json!({"kube_node_labels": {"labels_to_match": ["node"], "labels_to_get": ["label_zone"]}}));
    assert_eq!(unknown, BuildError::UnknownJoinFamily { family: "kube_node_labels".to_owned() });
    for rule in [json!({"labels_to_match": [], "labels_to_get": ["a"]}), json!({"labels_to_match": ["pod"]})] {
        let error = refused(json!({"kube_pod_info": rule}));
        assert!(matches!(error, BuildError::BadJoin { .. }), "{error}");
    }
}
