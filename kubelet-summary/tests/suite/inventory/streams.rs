use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::watcher::Event;
use kubelet_summary::Scope;
use kubelet_summary::inventory::{Inventory, Kind, NotReady, PodUid};
use kubelet_summary::resources::Resources;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::support::{labelled, names, node, pod, record, settle, teller, told};

#[tokio::test]
async fn no_list_is_not_an_empty_list() {
    let (inventory, pods, _nodes) = told([]);
    settle().await;
    // The label is absent on all the pods that are known, which are none.
    assert_eq!(inventory.select(&labelled("!app")).unwrap_err(), NotReady::NotListed(Kind::Pods));

    pods.tell([Event::Init, Event::InitApply(record(pod("a", "one", "1", "n")))]);
    settle().await;
    assert_eq!(inventory.select(&Scope::all()).unwrap_err(), NotReady::NotListed(Kind::Pods));

    pods.fail();
    settle().await;
    let NotReady::Failing { kind: Kind::Pods, error } = inventory.select(&labelled("!app")).unwrap_err() else {
        panic!("the failure is told");
    };
    assert!(error.contains("resource version") || error.contains("resourceVersion"), "{error}");

    pods.list([]);
    settle().await;
    assert_eq!(names(&inventory, &labelled("!app")), [""; 0]);
    assert!(inventory.status().behind().is_none());
}

#[tokio::test]
async fn a_list_takes_the_place_of_what_was_known_when_it_is_complete() {
    let (inventory, pods, _nodes) = told([]);
    pods.list([pod("a", "one", "1", "n"), pod("a", "two", "2", "n"), pod("a", "three", "3", "n")].map(record));
    settle().await;
    let all = Scope::all();
    assert_eq!(names(&inventory, &all), ["a/one@n", "a/three@n", "a/two@n"]);

    // One that breaks off changes nothing but what it told.
    pods.tell([Event::Init, Event::InitApply(record(pod("a", "one", "1", "m")))]);
    pods.fail();
    pods.tell([Event::Init, Event::InitApply(record(pod("a", "two", "2", "n")))]);
    settle().await;
    assert_eq!(names(&inventory, &all), ["a/one@m", "a/three@n", "a/two@n"]);
    assert!(inventory.status().behind().is_some());

    pods.tell([Event::InitApply(record(pod("a", "four", "4", "n"))), Event::InitDone]);
    settle().await;
    assert_eq!(names(&inventory, &all), ["a/four@n", "a/two@n"]);
    assert!(inventory.status().behind().is_none());
}

#[tokio::test]
async fn a_pod_made_anew_under_its_name_is_another_one() {
    let (inventory, pods, _nodes) = told([]);
    let mut anew = pod("a", "web-0", "2", "m");
    anew["metadata"]["labels"] = json!({"app": "other"});
    pods.list([record(pod("a", "web-0", "1", "n"))]);
    // The end of the old one can be told after the beginning of the new one.
    pods.tell([Event::Apply(record(anew)), Event::Delete(record(pod("a", "web-0", "1", "n")))]);
    settle().await;
    assert_eq!(names(&inventory, &Scope::all()), ["a/web-0@m"]);
    assert_eq!(names(&inventory, &labelled("app=web-0")), [""; 0]);
    assert_eq!(names(&inventory, &labelled("app=other")), ["a/web-0@m"]);
    assert!(inventory.pod(&PodUid::new("1")).is_none());
}

#[tokio::test]
async fn a_pod_can_change_everything_but_its_uid() {
    let (inventory, pods, _nodes) = told([]);
    let mut pending = pod("a", "one", "1", "");
    pending["status"]["phase"] = json!("Pending");
    pods.list([record(pending)]);
    settle().await;
    assert_eq!(names(&inventory, &Scope::all()), ["a/one@"]);
    assert_eq!(names(&inventory, &Scope::all().node("n")), [""; 0]);

    let mut bound = pod("a", "one", "1", "n");
    bound["metadata"]["labels"] = json!({"app": "new", "x": ""});
    bound["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "1Gi"}});
    pods.tell([Event::Apply(record(bound))]);
    settle().await;
    assert_eq!(names(&inventory, &labelled("app=new,x=").node("n")), ["a/one@n"]);
    assert_eq!(names(&inventory, &labelled("app=one")), [""; 0]);
    let known = inventory.pod(&PodUid::new("1")).unwrap();
    assert_eq!(known.resources().pod_limits(), Resources { memory: Some(1 << 30), ..Resources::default() });
    assert_eq!(known.labels().collect::<Vec<_>>(), [("app", "new"), ("x", "")]);
}

#[tokio::test]
async fn a_static_pod_is_found_by_the_uid_of_its_kubelet() {
    let (inventory, pods, _nodes) = told([]);
    let hash = "5b0d1a9e5e0f5d8a4a4ac1ad0e36c4a7";
    let mirror = |uid: &str| {
        let mut mirror = pod("kube-system", "etcd-n", uid, "n");
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": hash});
        mirror
    };
    pods.list([record(mirror("1"))]);
    settle().await;
    let uid_of = |uid: &str| inventory.pod(&PodUid::new(uid)).map(|pod| pod.uid().to_string());
    assert_eq!(uid_of(hash).as_deref(), Some("1"));
    assert_eq!(uid_of("1").as_deref(), Some("1"));

    // Somebody deletes the mirror; the kubelet makes another one of the same pod.
    pods.tell([Event::Apply(record(mirror("2"))), Event::Delete(record(mirror("1")))]);
    settle().await;
    assert_eq!((uid_of(hash).as_deref(), uid_of("1")), (Some("2"), None));
}

#[tokio::test]
async fn nodes_come_go_and_change_their_address() {
    let (inventory, pods, nodes) = told([node("n1", "10.0.0.1"), node("n2", "10.0.0.2")]);
    pods.list([]);
    settle().await;
    let mut changes = inventory.node_changes();
    let address = |name: &str| inventory.node(name).unwrap().map(|node| node.target.addresses[0].address.clone());
    assert_eq!(address("n1").as_deref(), Some("10.0.0.1"));

    // A heartbeat is no change.
    nodes.tell([Event::Apply(record(node("n1", "10.0.0.1")))]);
    settle().await;
    assert!(!changes.has_changed().unwrap());

    nodes.tell([Event::Apply(record(node("n1", "10.0.0.9"))), Event::Delete(record(node("n2", "10.0.0.2")))]);
    settle().await;
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert_eq!((address("n1").as_deref(), address("n2")), (Some("10.0.0.9"), None));

    nodes.list([record(node("n3", "10.0.0.3"))]);
    settle().await;
    assert!(changes.has_changed().unwrap());
    assert_eq!(inventory.nodes().unwrap().iter().map(|node| node.name().to_owned()).collect::<Vec<_>>(), ["n3"]);
}

#[tokio::test]
async fn several_streams_of_whole_objects_make_one_inventory() {
    let (a, a_events) = teller::<Pod>();
    let (b, b_events) = teller::<Pod>();
    let (nodes, node_events) = teller::<Node>();
    let inventory = Inventory::from_streams(a_events, node_events).pods(b_events).spawn();
    nodes.list([record(node("n", "10.0.0.1"))]);
    a.list([record(pod("a", "one", "1", "n"))]);
    settle().await;
    assert_eq!(inventory.check(), Err(NotReady::NotListed(Kind::Pods)));
    b.list([record(pod("b", "two", "2", "n")), record(pod("b", "three", "3", "n"))]);
    settle().await;
    assert_eq!(inventory.check(), Ok(()));
    // A list of one stream says nothing of the other's pods.
    b.list([record(pod("b", "three", "3", "n"))]);
    settle().await;
    assert_eq!(names(&inventory, &Scope::all()), ["a/one@n", "b/three@n"]);

    // A stream that ends is a failure for good, and what is known stays.
    drop(a);
    settle().await;
    let status = inventory.status();
    assert_eq!(status.pods.failing.unwrap().error, "the stream of pods ended");
    assert_eq!((status.known_pods, status.known_nodes), (2, 1));
    assert_eq!(names(&inventory, &Scope::all().namespace("a")), ["a/one@n"]);
}

#[tokio::test]
async fn what_can_not_be_a_pod_is_left_out() {
    let (inventory, pods, _nodes) = told([]);
    pods.list(
        [json!({}), json!({"metadata": {"name": "x"}}), json!({"metadata": {"name": "", "uid": "1"}})].map(record),
    );
    settle().await;
    assert_eq!(names(&inventory, &Scope::all()), [""; 0]);
}

#[tokio::test]
async fn a_shut_down_inventory_answers_nothing() {
    let (inventory, pods, _nodes) = told([node("n", "10.0.0.1")]);
    pods.list([record(pod("a", "one", "1", "n"))]);
    inventory.ready().await.unwrap();
    inventory.shutdown().await;
    inventory.shutdown().await;
    assert_eq!(inventory.select(&Scope::all()).unwrap_err(), NotReady::Stopped);
    assert_eq!(inventory.nodes().unwrap_err(), NotReady::Stopped);
    assert_eq!(inventory.ready().await, Err(NotReady::Stopped));
    assert_eq!(inventory.status().known_pods, 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_quiet_after_a_failure_is_well_again() {
    let (inventory, pods, _nodes) = told([]);
    let behind = || inventory.status().behind().map(|time| time.as_secs());
    pods.list([record(pod("a", "one", "1", "n"))]);
    pods.fail();
    settle().await;
    sleep(Duration::from_secs(359)).await;
    assert_eq!(behind(), Some(359));
    // One that fails on says so in time.
    pods.fail();
    settle().await;
    sleep(Duration::from_secs(359)).await;
    assert_eq!(behind(), Some(718));
    timeout(Duration::from_secs(2), inventory.wait_for(|status| status.behind().is_none())).await.unwrap();

    // A list that takes its time is no quiet watch.
    pods.tell([Event::Init]);
    pods.fail();
    settle().await;
    sleep(Duration::from_hours(1)).await;
    assert_eq!(behind(), Some(3600));
    pods.list([record(pod("a", "one", "1", "n"))]);
    settle().await;
    assert_eq!(behind(), None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_is_a_failure_for_good() {
    use futures::StreamExt;
    use kubelet_summary::inventory::{NodeRecord, PodRecord};

    let list = [Event::Init, Event::InitApply(record(pod("a", "one", "1", "n"))), Event::InitDone];
    let panics = futures::stream::once(async { panic!("a decorator of the host's panicked") });
    let pods = futures::stream::iter(list.map(Ok)).chain(panics);
    let inventory = Inventory::from_streams::<PodRecord, NodeRecord>(pods, futures::stream::pending()).spawn();
    let failing = inventory.wait_for(|status| status.pods.failing.is_some());
    timeout(Duration::from_secs(10), failing).await.unwrap();
    let status = inventory.status();
    assert_eq!(status.pods.failing.unwrap().error, "the stream of pods panicked");
    assert_eq!((status.known_pods, status.pods.listed), (1, true));
    sleep(Duration::from_hours(1)).await;
    assert!(inventory.status().behind() >= Some(Duration::from_hours(1)));
    inventory.shutdown().await;
}
