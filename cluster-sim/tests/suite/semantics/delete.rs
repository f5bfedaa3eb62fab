//! Delete.

use serde_json::json;

use super::cluster::{Cluster, names};

pub(crate) async fn a_deleted_object_is_gone(cluster: &Cluster) {
    cluster.config_map("a", json!({})).await;
    let path = cluster.core("configmaps/a");
    let uid = cluster.get(&path).await.ok()["metadata"]["uid"].clone();
    let deleted = cluster.delete(&path, json!({})).await.ok();
    assert_eq!((&deleted["kind"], &deleted["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(deleted["details"], json!({"name": "a", "kind": "configmaps", "uid": uid}));
    assert_eq!(cluster.get(&path).await.code, 404);
    assert_eq!(cluster.delete(&path, json!({})).await.failure(), (404, "NotFound"));
}

pub(crate) async fn preconditions_must_hold(cluster: &Cluster) {
    cluster.config_map("a", json!({})).await;
    let path = cluster.core("configmaps/a");
    let object = cluster.get(&path).await.ok();
    for wrong in [json!({"uid": "other"}), json!({"resourceVersion": "1"})] {
        let refused = cluster.delete(&path, json!({"preconditions": wrong})).await;
        assert_eq!(refused.failure(), (409, "Conflict"), "{wrong}");
    }
    let right = json!({"uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"]});
    cluster.delete(&path, json!({"preconditions": right})).await.ok();
}

pub(crate) async fn finalizers_hold_an_object(cluster: &Cluster) {
    let object = json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}});
    cluster.post(&cluster.core("configmaps"), object).await.ok();
    let path = cluster.core("configmaps/a");
    let marked = cluster.delete(&path, json!({})).await.ok();
    assert!(marked["metadata"]["deletionTimestamp"].is_string(), "{marked}");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);

    let added = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    assert_eq!(cluster.patch(&path, "merge", added).await.failure(), (422, "Invalid"));
    let changed = cluster.patch(&path, "merge", json!({"data": {"a": "b"}})).await.ok();
    assert_eq!(changed["data"]["a"], "b");
    cluster.patch(&path, "merge", json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(cluster.get(&path).await.code, 404);
}

pub(crate) async fn a_collection_is_deleted_by_selector(cluster: &Cluster) {
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        cluster.config_map(name, json!({"l": label})).await;
    }
    let deleted = cluster.delete(&cluster.core("configmaps?labelSelector=l%3Dx"), json!({})).await.ok();
    assert_eq!(names(&deleted), ["a", "c"]);
    assert_eq!(names(&cluster.get(&cluster.core("configmaps?labelSelector=l")).await.ok()), ["b"]);
}

pub(crate) async fn a_pod_on_a_node_gets_its_grace(cluster: &Cluster) {
    let pod = |name: &str, node: Option<&str>| {
        json!({
            "metadata": {"name": name},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 20,
                "containers": [{"name": "main", "image": "a:1"}]},
        })
    };
    cluster.post(&cluster.core("pods"), pod("free", None)).await.ok();
    cluster.delete(&cluster.core("pods/free"), json!({})).await.ok();
    assert_eq!(cluster.get(&cluster.core("pods/free")).await.code, 404);

    cluster.post(&cluster.core("pods"), pod("bound", Some("node"))).await.ok();
    let path = cluster.core("pods/bound");
    let ending = cluster.delete(&path, json!({})).await.ok();
    assert_eq!(ending["metadata"]["deletionGracePeriodSeconds"], 20);
    assert!(ending["metadata"]["deletionTimestamp"].is_string());
    let sooner = cluster.delete(&path, json!({"gracePeriodSeconds": 5})).await.ok();
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);
    let later = cluster.delete(&path, json!({"gracePeriodSeconds": 50})).await.ok();
    assert_eq!(later["metadata"]["deletionGracePeriodSeconds"], 5);
    cluster.delete(&path, json!({"gracePeriodSeconds": 0})).await.ok();
    assert_eq!(cluster.get(&path).await.code, 404);
}
