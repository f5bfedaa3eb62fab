//! Server-side apply.

use serde_json::{Value, json};

use super::cluster::{Answer, Cluster, version};

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

async fn apply(cluster: &Cluster, manager: &str, data: Value) -> Answer {
    cluster.patch(&cluster.core(&format!("configmaps/a?fieldManager={manager}")), "apply", config_map(data)).await
}

fn fields(object: &Value, manager: &str) -> Option<Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    Some(entries.iter().find(|entry| entry["manager"] == manager)?["fieldsV1"].clone())
}

pub(crate) async fn an_apply_creates_and_owns(cluster: &Cluster) {
    let created = apply(cluster, "one", json!({"x": "1"})).await;
    assert_eq!(created.code, 201);
    let created = created.ok();
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["manager"], &entry["operation"], &entry["apiVersion"]),
        (&json!("one"), &json!("Apply"), &json!("v1"))
    );
    assert_eq!(entry["fieldsV1"], json!({"f:data": {"f:x": {}}}));
    let again = apply(cluster, "one", json!({"x": "1"})).await;
    assert_eq!(again.code, 200);
    assert_eq!(again.ok()["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    let shared = apply(cluster, "two", json!({"x": "1"})).await.ok();
    assert_eq!(fields(&shared, "two"), Some(json!({"f:data": {"f:x": {}}})));
    assert_eq!(fields(&shared, "one"), Some(json!({"f:data": {"f:x": {}}})));
}

pub(crate) async fn what_is_no_longer_applied_goes(cluster: &Cluster) {
    apply(cluster, "one", json!({"x": "1", "y": "1"})).await.ok();
    apply(cluster, "two", json!({"y": "1", "z": "1"})).await.ok();
    let applied = apply(cluster, "one", json!({})).await.ok();
    assert_eq!(applied["data"], json!({"y": "1", "z": "1"}));
    assert_eq!(fields(&applied, "two"), Some(json!({"f:data": {"f:y": {}, "f:z": {}}})));
}

pub(crate) async fn conflicts_name_the_other_manager(cluster: &Cluster) {
    apply(cluster, "one", json!({"x": "1"})).await.ok();
    let conflict = apply(cluster, "two", json!({"x": "2"})).await;
    assert_eq!(conflict.failure(), (409, "Conflict"));
    assert_eq!(conflict.message(), "Apply failed with 1 conflict: conflict with \"one\": .data.x");
    let cause = &conflict.body["details"]["causes"][0];
    assert_eq!((&cause["reason"], &cause["field"]), (&json!("FieldManagerConflict"), &json!(".data.x")));
    assert_eq!(cause["message"], "conflict with \"one\"");
    let forced = apply(cluster, "two&force=true", json!({"x": "2"})).await.ok();
    assert_eq!(forced["data"]["x"], "2");
    assert_eq!(fields(&forced, "one"), None);
}

pub(crate) async fn lists_of_named_things_are_shared(cluster: &Cluster) {
    let pod = |containers: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers}});
    let path = |manager: &str| cluster.core(&format!("pods/p?fieldManager={manager}"));
    let first = pod(json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]));
    let created = cluster.patch(&path("one"), "apply", first).await.ok();
    assert_eq!(
        fields(&created, "one"),
        Some(json!({"f:spec": {"f:containers": {
            "k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {}},
            "k:{\"name\":\"b\"}": {".": {}, "f:image": {}, "f:name": {}},
        }}}))
    );
    let conflict = cluster.patch(&path("two"), "apply", pod(json!([{"name": "b", "image": "b:2"}]))).await;
    assert!(conflict.message().ends_with(".spec.containers[name=\"b\"].image"), "{}", conflict.message());
    let forced =
        cluster.patch(&path("two&force=true"), "apply", pod(json!([{"name": "b", "image": "b:2"}]))).await.ok();
    let images: Vec<_> = forced["spec"]["containers"].as_array().unwrap().iter().map(|c| c["image"].as_str()).collect();
    assert_eq!(images, [Some("a:1"), Some("b:2")]);
}

pub(crate) async fn an_update_takes_fields_over(cluster: &Cluster) {
    apply(cluster, "one", json!({"x": "1", "y": "1"})).await.ok();
    let path = cluster.core("configmaps/a?fieldManager=editor");
    let edited = cluster.patch(&path, "merge", json!({"data": {"x": "2"}})).await.ok();
    assert_eq!(fields(&edited, "one"), Some(json!({"f:data": {"f:y": {}}})));
    assert_eq!(fields(&edited, "editor"), Some(json!({"f:data": {"f:x": {}}})));
    let conflict = apply(cluster, "one", json!({"x": "1", "y": "1"})).await;
    assert_eq!(conflict.failure(), (409, "Conflict"));
    assert!(conflict.message().contains("conflict with \"editor\" using v1"), "{}", conflict.message());
}

pub(crate) async fn a_manager_must_have_a_name(cluster: &Cluster) {
    let nameless = cluster.patch(&cluster.core("configmaps/a"), "apply", config_map(json!({}))).await;
    assert_eq!(nameless.failure(), (422, "Invalid"));
}

/// Apply `metadata` beside one field of data.
async fn apply_to(cluster: &Cluster, mut metadata: Value, data: Value) -> Answer {
    metadata["name"] = "a".into();
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
    cluster.patch(&cluster.core("configmaps/a?fieldManager=one"), "apply", config).await
}

pub(crate) async fn an_apply_can_name_its_version(cluster: &Cluster) {
    let first = apply(cluster, "one", json!({"x": "1"})).await.ok();
    let second = apply(cluster, "one", json!({"x": "2"})).await.ok();
    let stale = apply_to(cluster, json!({"resourceVersion": version(&first)}), json!({"x": "3"})).await;
    assert_eq!(stale.failure(), (409, "Conflict"));
    assert!(stale.message().contains("the object has been modified"), "{}", stale.message());
    let current = apply_to(cluster, json!({"resourceVersion": version(&second)}), json!({"x": "3"})).await.ok();
    assert_eq!(current["data"]["x"], "3");
    assert_eq!(fields(&current, "one"), Some(json!({"f:data": {"f:x": {}}})));
}

pub(crate) async fn an_apply_can_name_its_object(cluster: &Cluster) {
    const OTHER: &str = "00000000-0000-0000-0000-000000000000";
    let absent = apply_to(cluster, json!({"uid": OTHER}), json!({})).await;
    assert_eq!(absent.failure(), (409, "Conflict"));
    assert!(absent.message().contains("uid mismatch"), "{}", absent.message());
    // Of an object that is not there, a version says nothing.
    let created = apply_to(cluster, json!({"resourceVersion": "1"}), json!({"x": "1"})).await;
    assert_eq!(created.code, 201);
    let uid = created.ok()["metadata"]["uid"].clone();
    let other = apply_to(cluster, json!({"uid": OTHER}), json!({"x": "2"})).await;
    assert_eq!(other.failure(), (422, "Invalid"));
    assert!(other.message().contains("metadata.uid: Invalid value"), "{}", other.message());
    assert_eq!(apply_to(cluster, json!({"uid": uid}), json!({"x": "2"})).await.ok()["data"]["x"], "2");
}
