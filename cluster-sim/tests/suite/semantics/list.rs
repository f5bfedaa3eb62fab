//! List.

use http::Method;
use serde_json::{Value, json};

use super::cluster::{Cluster, names, version};

async fn five(cluster: &Cluster) {
    for name in ["a", "b", "c", "d", "e"] {
        cluster.config_map(name, json!({"suite": "pages", "name": name})).await;
    }
}

/// Real servers put a ConfigMap of their own into every namespace.
fn own(rest: &str) -> String {
    format!("configmaps?labelSelector=suite%3Dpages{rest}")
}

pub(crate) async fn pages_are_of_one_state(cluster: &Cluster) {
    for name in ["a", "b", "c", "d", "e"] {
        let lease = json!({"metadata": {"name": name}});
        cluster.post(&cluster.group("coordination.k8s.io/v1", "leases"), lease).await.ok();
    }
    let page = |rest: &str| cluster.group("coordination.k8s.io/v1", &format!("leases?limit=2{rest}"));
    let first = cluster.get(&page("")).await.ok();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);

    cluster.delete(&cluster.group("coordination.k8s.io/v1", "leases/c"), json!({})).await.ok();
    let late = json!({"metadata": {"name": "bb"}});
    cluster.post(&cluster.group("coordination.k8s.io/v1", "leases"), late).await.ok();
    let token = |list: &Value| format!("&continue={}", list["metadata"]["continue"].as_str().unwrap());
    let second = cluster.get(&page(&token(&first))).await.ok();
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["metadata"]["remainingItemCount"], 1);
    let third = cluster.get(&page(&token(&second))).await.ok();
    assert_eq!(names(&third), ["e"]);
    assert_eq!(version(&first), version(&third));
    assert_eq!(third["metadata"].get("remainingItemCount"), None);
    assert_eq!(third["metadata"]["continue"].as_str().unwrap_or_default(), "");
}

pub(crate) async fn a_bad_token_is_refused(cluster: &Cluster) {
    five(cluster).await;
    let refused = cluster.get(&cluster.core("configmaps?limit=2&continue=nonsense")).await;
    assert_eq!(refused.failure(), (400, "BadRequest"));
    let first = cluster.get(&cluster.core("configmaps?limit=2")).await.ok();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let path = cluster.core(&format!("configmaps?limit=2&resourceVersion=5&continue={token}"));
    assert_eq!(cluster.get(&path).await.failure(), (400, "BadRequest"));
}

pub(crate) async fn selectors_select(cluster: &Cluster) {
    five(cluster).await;
    for (selector, expected) in [
        ("name%20in%20(a,b)", vec!["a", "b"]),
        ("name%20notin%20(a,b),suite", vec!["c", "d", "e"]),
        ("name!%3Da,suite", vec!["b", "c", "d", "e"]),
        ("suite,!name", vec![]),
        ("name%3D%3De", vec!["e"]),
    ] {
        let list = cluster.get(&cluster.core(&format!("configmaps?labelSelector={selector}"))).await.ok();
        assert_eq!(names(&list), expected, "{selector}");
    }
    let list = cluster.get(&cluster.core("configmaps?fieldSelector=metadata.name%3Dc")).await.ok();
    assert_eq!(names(&list), ["c"]);
    let path =
        format!("/api/v1/configmaps?fieldSelector=metadata.namespace%3D{}&labelSelector=suite", cluster.namespace);
    assert_eq!(names(&cluster.get(&path).await.ok()).len(), 5);
    let limited = cluster.get(&cluster.core(&own("&limit=2"))).await.ok();
    assert_eq!(names(&limited), ["a", "b"]);
    assert_eq!(limited["metadata"].get("remainingItemCount"), None);
}

pub(crate) async fn unknown_fields_cannot_be_selected_by(cluster: &Cluster) {
    let refused = cluster.get(&cluster.core("pods?fieldSelector=spec.nothing%3Da")).await;
    assert_eq!(refused.failure(), (400, "BadRequest"));
    assert!(refused.message().contains("field label not supported: spec.nothing"), "{}", refused.message());
    let refused = cluster.get(&cluster.core("pods?labelSelector=a%20b%20c")).await;
    assert_eq!(refused.failure(), (400, "BadRequest"));
}

pub(crate) async fn any_version_ignores_the_limit(cluster: &Cluster) {
    five(cluster).await;
    // A server's cache may lag behind: ask until it has caught up.
    let all =
        cluster.until(&cluster.core(&own("&limit=2&resourceVersion=0")), |answer| names(&answer.body).len() == 5).await;
    assert_eq!(all.ok()["metadata"]["continue"].as_str().unwrap_or_default(), "");
}

pub(crate) async fn an_exact_version_is_that_state(cluster: &Cluster) {
    five(cluster).await;
    let before = cluster.get(&cluster.core(&own(""))).await.ok();
    cluster.delete(&cluster.core("configmaps/a"), json!({})).await.ok();
    cluster.patch(&cluster.core("configmaps/b"), "merge", json!({"data": {"a": "2"}})).await.ok();
    let exact = own(&format!("&resourceVersion={}&resourceVersionMatch=Exact", version(&before)));
    let then = cluster.get(&cluster.core(&exact)).await.ok();
    assert_eq!(then["items"], before["items"]);
    assert_eq!(version(&then), version(&before));
    let since = own(&format!("&resourceVersion={}&resourceVersionMatch=NotOlderThan", version(&before)));
    let now = cluster.get(&cluster.core(&since)).await.ok();
    assert!(version(&now).parse::<u64>().unwrap() >= version(&before).parse::<u64>().unwrap());
}

pub(crate) async fn a_version_that_has_not_happened_is_a_timeout(cluster: &Cluster) {
    let path = cluster.core("configmaps?resourceVersion=999999999&resourceVersionMatch=NotOlderThan");
    let refused = cluster.get(&path).await;
    assert_eq!(refused.failure(), (504, "Timeout"));
    assert_eq!(refused.body["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(refused.body["details"]["retryAfterSeconds"], 1);
}

pub(crate) async fn version_matches_are_checked(cluster: &Cluster) {
    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersionMatch=Exact&resourceVersion=0",
        "resourceVersionMatch=Never&resourceVersion=1",
    ] {
        let refused = cluster.get(&cluster.core(&format!("configmaps?{query}"))).await;
        assert_eq!(refused.failure(), (422, "Invalid"), "{query}");
    }
}

pub(crate) async fn metadata_alone(cluster: &Cluster) {
    cluster.config_map("a", json!({"suite": "pages"})).await;
    let accept = |kind: &str| format!("application/json;as={kind};g=meta.k8s.io;v=v1");
    let list = cluster
        .send(Method::GET, &cluster.core(&own("")), &[("accept", &accept("PartialObjectMetadataList"))], Vec::new())
        .await
        .ok();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("PartialObjectMetadataList"), &json!("meta.k8s.io/v1")));
    let item = &list["items"][0];
    assert_eq!(item["metadata"]["labels"], json!({"suite": "pages"}));
    assert_eq!(item.get("data"), None);
    let path = cluster.core("configmaps/a");
    let one = cluster.send(Method::GET, &path, &[("accept", &accept("PartialObjectMetadata"))], Vec::new()).await.ok();
    assert_eq!((&one["kind"], &one["metadata"]["name"]), (&json!("PartialObjectMetadata"), &json!("a")));
    assert_eq!(one.get("data"), None);
    let protobuf = [("accept", "application/x-unknown")];
    assert_eq!(cluster.send(Method::GET, &path, &protobuf, Vec::new()).await.failure(), (406, "NotAcceptable"));
}

pub(crate) async fn items_leave_out_their_kind(cluster: &Cluster) {
    cluster.config_map("a", json!({"suite": "pages"})).await;
    let list = cluster.get(&cluster.core(&own(""))).await.ok();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    assert_eq!((list["items"][0].get("kind"), list["items"][0].get("apiVersion")), (None, None));
}
