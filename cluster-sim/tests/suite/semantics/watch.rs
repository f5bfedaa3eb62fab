//! Watch.

use serde_json::json;

use super::cluster::{Cluster, name, names, version};

fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

pub(crate) async fn changes_after_a_version(cluster: &Cluster) {
    cluster.config_map("before", json!({"suite": "w"})).await;
    let start = version(&cluster.get(&cluster.core("configmaps")).await.ok()).to_owned();
    cluster.config_map("a", json!({"suite": "w"})).await;
    let path = cluster.core(&format!("configmaps?labelSelector=suite&resourceVersion={start}"));
    let mut watch = cluster.watch(&path).await;
    assert_eq!(watch.next_named().await, event("ADDED", "a"));
    let path = cluster.core("configmaps/a");
    let patched = cluster.patch(&path, "merge", json!({"data": {"a": "2"}})).await.ok();
    let (kind, object) = watch.next().await.unwrap();
    assert_eq!((kind.as_str(), &object), ("MODIFIED", &patched));

    cluster.delete(&path, json!({})).await.ok();
    let (kind, object) = watch.next().await.unwrap();
    assert_eq!((kind.as_str(), name(&object), &object["data"]), ("DELETED", "a", &json!({"a": "2"})));
    assert!(version(&object).parse::<u64>().unwrap() > version(&patched).parse::<u64>().unwrap());
}

pub(crate) async fn present_objects_come_first(cluster: &Cluster) {
    cluster.config_map("a", json!({"suite": "w"})).await;
    cluster.config_map("b", json!({"suite": "w"})).await;
    for query in ["", "&resourceVersion=0"] {
        // A server's cache may lag behind the writes above.
        cluster
            .until(&cluster.core("configmaps?labelSelector=suite&resourceVersion=0"), |answer| {
                names(&answer.body).len() == 2
            })
            .await;
        let mut watch = cluster.watch(&cluster.core(&format!("configmaps?labelSelector=suite{query}"))).await;
        let mut present = [watch.next_named().await, watch.next_named().await];
        present.sort();
        assert_eq!(present, [event("ADDED", "a"), event("ADDED", "b")], "{query}");
    }
}

pub(crate) async fn selectors_turn_changes_into_arrivals_and_departures(cluster: &Cluster) {
    let version_before = cluster.config_map("a", json!({"in": "no"})).await;
    let query = format!("configmaps?labelSelector=in%3Dyes&resourceVersion={version_before}");
    let mut watch = cluster.watch(&cluster.core(&query)).await;
    let path = cluster.core("configmaps/a");
    let label = |value: &str| json!({"metadata": {"labels": {"in": value}}});
    cluster.patch(&path, "merge", label("yes")).await.ok();
    assert_eq!(watch.next_named().await, event("ADDED", "a"));
    cluster.patch(&path, "merge", json!({"data": {"a": "2"}})).await.ok();
    assert_eq!(watch.next_named().await, event("MODIFIED", "a"));
    let left = cluster.patch(&path, "merge", label("no")).await.ok();
    let (kind, object) = watch.next().await.unwrap();
    assert_eq!((kind.as_str(), name(&object)), ("DELETED", "a"));
    // What is told is the object as it was, at the version at which it left.
    assert_eq!((&object["metadata"]["labels"]["in"], version(&object)), (&json!("yes"), version(&left)));
    cluster.delete(&path, json!({})).await.ok();
    cluster.config_map("b", json!({"in": "yes"})).await;
    assert_eq!(watch.next_named().await, event("ADDED", "b"));
}

pub(crate) async fn a_timeout_ends_with_a_bookmark(cluster: &Cluster) {
    let start = cluster.config_map("a", json!({"suite": "w"})).await;
    let query = format!("configmaps?timeoutSeconds=4&allowWatchBookmarks=true&resourceVersion={start}");
    let mut watch = cluster.watch(&cluster.core(&query)).await;
    let last = cluster.config_map("b", json!({"suite": "w"})).await;
    assert_eq!(watch.next_named().await, event("ADDED", "b"));
    // Somewhere else something happens, too: that is what a bookmark is for.
    let elsewhere = json!({"metadata": {"generateName": "elsewhere-"}});
    let elsewhere = cluster.post("/api/v1/namespaces/default/configmaps", elsewhere).await.ok();
    let (kind, object) = watch.next().await.expect("a bookmark before the end");
    assert_eq!(
        (kind.as_str(), &object["kind"], &object["apiVersion"]),
        ("BOOKMARK", &json!("ConfigMap"), &json!("v1"))
    );
    assert!(version(&object).parse::<u64>().unwrap() >= last.parse::<u64>().unwrap());
    // A server may send more of them, but nothing else.
    while let Some((kind, object)) = watch.next().await {
        assert_eq!(kind, "BOOKMARK", "{object}");
    }
    cluster.delete(&format!("/api/v1/namespaces/default/configmaps/{}", name(&elsewhere)), json!({})).await.ok();
}

pub(crate) async fn initial_events_end_with_a_bookmark(cluster: &Cluster) {
    if cluster.is_real && cluster.minor().await < 32 {
        eprintln!("skipped: this server is too old for streaming lists");
        return;
    }
    cluster.config_map("a", json!({"suite": "w"})).await;
    cluster.config_map("b", json!({"suite": "w"})).await;
    let query = "configmaps?labelSelector=suite&allowWatchBookmarks=true\
        &sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let mut watch = cluster.watch(&cluster.core(query)).await;
    assert_eq!(watch.next_named().await, event("ADDED", "a"));
    assert_eq!(watch.next_named().await, event("ADDED", "b"));
    let (kind, object) = watch.next().await.unwrap();
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(object["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
    assert!(!version(&object).is_empty());
    cluster.config_map("c", json!({"suite": "w"})).await;
    assert_eq!(watch.next_named().await, event("ADDED", "c"));
}

pub(crate) async fn options_are_checked(cluster: &Cluster) {
    let path = cluster.core("configmaps?watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1");
    assert_eq!(cluster.get(&path).await.failure(), (422, "Invalid"));
}
