//! Patches that are not applies.

use serde_json::json;

use super::cluster::{Cluster, version};

pub(crate) async fn merge_patches(cluster: &Cluster) {
    cluster.config_map("a", json!({"x": "1", "y": "1"})).await;
    let path = cluster.core("configmaps/a");
    let patch = json!({"metadata": {"labels": {"x": null, "z": "2"}}, "data": {"b": "2"}});
    let patched = cluster.patch(&path, "merge", patch).await.ok();
    assert_eq!(patched["metadata"]["labels"], json!({"y": "1", "z": "2"}));
    assert_eq!(patched["data"], json!({"a": "1", "b": "2"}));
    let missing = cluster.patch(&cluster.core("configmaps/none"), "merge", json!({})).await;
    assert_eq!(missing.failure(), (404, "NotFound"));
}

pub(crate) async fn json_patches(cluster: &Cluster) {
    cluster.config_map("a", json!({})).await;
    let path = cluster.core("configmaps/a");
    let patch =
        json!([{"op": "test", "path": "/data/a", "value": "1"}, {"op": "add", "path": "/data/b", "value": "2"}]);
    assert_eq!(cluster.patch(&path, "json", patch).await.ok()["data"], json!({"a": "1", "b": "2"}));
    let failing = json!([{"op": "test", "path": "/data/a", "value": "9"}, {"op": "remove", "path": "/data/a"}]);
    assert_eq!(cluster.patch(&path, "json", failing).await.code, 422);
    assert_eq!(cluster.get(&path).await.ok()["data"], json!({"a": "1", "b": "2"}));
    let unreadable = cluster.patch(&path, "json", json!({"op": "add"})).await;
    assert_eq!(unreadable.failure(), (400, "BadRequest"));
}

pub(crate) async fn strategic_patches(cluster: &Cluster) {
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}
    ]}});
    cluster.post(&cluster.core("pods"), pod).await.ok();
    let patch = json!({"spec": {"containers": [{"name": "b", "image": "b:2"}]}, "metadata": {"labels": {"x": "y"}}});
    let patched = cluster.patch(&cluster.core("pods/p"), "strategic-merge", patch).await.ok();
    let images: Vec<_> =
        patched["spec"]["containers"].as_array().unwrap().iter().map(|c| c["image"].as_str()).collect();
    assert_eq!(images, [Some("a:1"), Some("b:2")]);
    assert_eq!(patched["metadata"]["labels"], json!({"x": "y"}));
}

pub(crate) async fn a_patch_can_name_its_version(cluster: &Cluster) {
    let old = cluster.config_map("a", json!({})).await;
    let path = cluster.core("configmaps/a");
    let patch = |version: &str, value: &str| json!({"metadata": {"resourceVersion": version}, "data": {"a": value}});
    let patched = cluster.patch(&path, "merge", patch(&old, "2")).await.ok();
    assert_ne!(version(&patched), old);
    assert_eq!(cluster.patch(&path, "merge", patch(&old, "3")).await.failure(), (409, "Conflict"));
}

pub(crate) async fn unknown_patches_are_refused(cluster: &Cluster) {
    cluster.config_map("a", json!({})).await;
    let refused = cluster.patch(&cluster.core("configmaps/a"), "unknown", json!({})).await;
    assert_eq!(refused.failure(), (415, "UnsupportedMediaType"));
}
