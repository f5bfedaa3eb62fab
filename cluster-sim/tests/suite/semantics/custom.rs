//! Custom resources.

use serde_json::json;

use super::cluster::{Cluster, names, version};

pub(crate) async fn a_definition_makes_a_kind(cluster: &Cluster) {
    // Definitions are of the whole cluster: the group is this run's own.
    let group = format!("{}.example.com", cluster.namespace);
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version_of = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}, "scale": {
                "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
            }},
        })
    };
    let definition = json!({
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [version_of("v1", true), version_of("v1beta1", false)],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    cluster.post(definitions, definition).await.ok();
    let path = cluster.group(&format!("{group}/v1"), "widgets");
    cluster.until(&path, |answer| answer.code == 200).await;
    let widget = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "a"},
        "spec": {"replicas": 2}, "status": {"replicas": 9},
    });
    let created = cluster.post(&path, widget).await.ok();
    assert_eq!((&created["metadata"]["generation"], created.get("status")), (&json!(1), None));
    let older = cluster.get(&cluster.group(&format!("{group}/v1beta1"), "widgets/a")).await.ok();
    assert_eq!(older["apiVersion"], format!("{group}/v1beta1"));
    assert_eq!(older["metadata"]["uid"], created["metadata"]["uid"]);

    let mut changed = created.clone();
    changed["status"] = json!({"replicas": 2});
    let changed = cluster.put(&format!("{path}/a/status"), changed).await.ok();
    assert_eq!((&changed["status"]["replicas"], &changed["metadata"]["generation"]), (&json!(2), &json!(1)));
    let scale = cluster.get(&format!("{path}/a/scale")).await.ok();
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(2), &json!(2)));
    let scaled = cluster.patch(&format!("{path}/a"), "merge", json!({"spec": {"replicas": 3}})).await.ok();
    assert_eq!(scaled["metadata"]["generation"], 2);

    let list = cluster.get(&path).await.ok();
    assert_eq!((&list["kind"], names(&list)), (&json!("WidgetList"), vec!["a"]));
    assert_eq!(list["items"][0]["kind"], "Widget");
    let mut blind = scaled;
    blind["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(cluster.put(&format!("{path}/a"), blind).await.failure(), (422, "Invalid"));
    let strategic = cluster.patch(&format!("{path}/a"), "strategic-merge", json!({})).await;
    assert_eq!(strategic.failure(), (415, "UnsupportedMediaType"));

    let mut watch = cluster.watch(&format!("{path}?resourceVersion={}", version(&list))).await;
    cluster.delete(&format!("{definitions}/widgets.{group}"), json!({})).await.ok();
    assert_eq!(watch.next_named().await, ("DELETED".to_owned(), "a".to_owned()));
    cluster.until(&path, |answer| answer.code == 404).await;
}
