//! Create, get, update.

use http::Method;
use serde_json::{Value, json};

use super::cluster::{Cluster, name, version};

fn deployment(replicas: u32) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "web:1"}]},
            },
        },
    })
}

pub(crate) async fn a_create_gives_identity(cluster: &Cluster) {
    let object = json!({"metadata": {"name": "a", "uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z"}});
    let created = cluster.post(&cluster.core("configmaps"), object).await;
    assert_eq!(created.code, 201);
    let created = created.ok();
    assert_eq!((created["kind"].as_str(), created["apiVersion"].as_str()), (Some("ConfigMap"), Some("v1")));
    assert_eq!(created["metadata"]["namespace"], cluster.namespace.as_str());
    assert_ne!(created["metadata"]["uid"], "mine");
    assert_eq!(created["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert_ne!(created["metadata"]["creationTimestamp"], "2001-01-01T00:00:00Z");
    assert!(version(&created).parse::<u64>().unwrap() > 0);
    assert_eq!(created["metadata"].get("generation"), None);
    assert_eq!(cluster.get(&cluster.core("configmaps/a")).await.ok(), created);

    let generated = cluster.post(&cluster.core("configmaps"), json!({"metadata": {"generateName": "g-"}})).await.ok();
    assert!(name(&generated).starts_with("g-") && name(&generated).len() == 7, "{generated}");
}

pub(crate) async fn a_name_is_taken_once(cluster: &Cluster) {
    cluster.config_map("a", json!({})).await;
    let again = cluster.post(&cluster.core("configmaps"), json!({"metadata": {"name": "a"}})).await;
    assert_eq!(again.failure(), (409, "AlreadyExists"));
    assert_eq!(again.message(), "configmaps \"a\" already exists");
    let missing = cluster.get(&cluster.group("apps/v1", "deployments/none")).await;
    assert_eq!(missing.failure(), (404, "NotFound"));
    assert_eq!(missing.message(), "deployments.apps \"none\" not found");
    assert_eq!(missing.body["kind"], "Status");
    assert_eq!(missing.body["details"], json!({"name": "none", "group": "apps", "kind": "deployments"}));
    let update = cluster.put(&cluster.core("configmaps/none"), json!({"metadata": {"name": "none"}})).await;
    assert_eq!(update.failure(), (404, "NotFound"));
}

pub(crate) async fn bad_names_are_refused(cluster: &Cluster) {
    for bad in ["Upper", "under_score", "-dash", &"a".repeat(254)] {
        let refused = cluster.post(&cluster.core("configmaps"), json!({"metadata": {"name": bad}})).await;
        assert_eq!(refused.failure(), (422, "Invalid"), "{bad}");
        assert_eq!(refused.body["details"]["causes"][0]["field"], "metadata.name", "{bad}");
    }
    let nameless = cluster.post(&cluster.core("configmaps"), json!({"metadata": {}})).await;
    assert_eq!(nameless.failure(), (422, "Invalid"));
    assert_eq!(nameless.body["details"]["causes"][0]["reason"], "FieldValueRequired");
    let longest = "a".repeat(253);
    cluster.post(&cluster.core("configmaps"), json!({"metadata": {"name": longest}})).await.ok();
}

pub(crate) async fn bad_labels_are_refused(cluster: &Cluster) {
    for labels in [json!({"a b": "c"}), json!({"a": "b c"}), json!({"a": "x".repeat(64)})] {
        let object = json!({"metadata": {"name": "a", "labels": labels}});
        let refused = cluster.post(&cluster.core("configmaps"), object).await;
        assert_eq!(refused.failure(), (422, "Invalid"), "{labels}");
        assert_eq!(refused.body["details"]["causes"][0]["field"], "metadata.labels");
    }
    let object = json!({"metadata": {"name": "a", "annotations": {"a": "x".repeat(300_000)}}});
    let refused = cluster.post(&cluster.core("configmaps"), object).await;
    assert_eq!(refused.failure(), (422, "Invalid"));
}

pub(crate) async fn unreadable_bodies_are_refused(cluster: &Cluster) {
    let path = cluster.core("configmaps");
    let json = [("content-type", "application/json")];
    let broken = cluster.send(Method::POST, &path, &json, b"{\"metadata\": ".to_vec()).await;
    assert_eq!(broken.failure(), (400, "BadRequest"));
    let wrong_kind =
        cluster.post(&path, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})).await;
    assert_eq!(wrong_kind.failure(), (400, "BadRequest"));
    let version =
        cluster.post(&path, json!({"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "a"}})).await;
    assert_eq!(version.failure(), (400, "BadRequest"));
    let text = [("content-type", "text/plain")];
    let unknown = cluster.send(Method::POST, &path, &text, b"{}".to_vec()).await;
    assert_eq!(unknown.failure(), (415, "UnsupportedMediaType"));
    let yaml = [("content-type", "application/yaml")];
    let created =
        cluster.send(Method::POST, &path, &yaml, b"metadata:\n  name: from-yaml\ndata:\n  a: b\n".to_vec()).await;
    assert_eq!(created.ok()["data"], json!({"a": "b"}));
}

pub(crate) async fn an_update_of_an_old_version_conflicts(cluster: &Cluster) {
    cluster.config_map("a", json!({})).await;
    let path = cluster.core("configmaps/a");
    let old = cluster.get(&path).await.ok();
    let mut new = old.clone();
    new["data"]["a"] = "2".into();
    let updated = cluster.put(&path, new.clone()).await.ok();
    assert!(version(&updated).parse::<u64>().unwrap() > version(&old).parse::<u64>().unwrap());
    assert_eq!(updated["metadata"]["uid"], old["metadata"]["uid"]);

    let conflict = cluster.put(&path, new.clone()).await;
    assert_eq!(conflict.failure(), (409, "Conflict"));
    assert!(conflict.message().contains("the object has been modified"), "{}", conflict.message());

    new["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    new["data"]["a"] = "3".into();
    assert_eq!(cluster.put(&path, new.clone()).await.ok()["data"]["a"], "3");
    new["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    assert_eq!(cluster.put(&path, new).await.failure(), (409, "Conflict"));
}

pub(crate) async fn an_update_of_what_has_gone_conflicts(cluster: &Cluster) {
    let leases = cluster.group("coordination.k8s.io/v1", "leases");
    let lease = cluster.post(&leases, json!({"metadata": {"name": "a"}})).await.ok();
    let path = format!("{leases}/a");
    cluster.delete(&path, json!({})).await.ok();
    // The object's uid makes the difference: without it, an update of a Lease creates one.
    let gone = cluster.put(&path, lease).await;
    assert_eq!(gone.failure(), (409, "Conflict"));
    assert!(gone.message().contains("Precondition failed: UID in precondition"), "{}", gone.message());
    assert_eq!(cluster.put(&path, json!({"metadata": {"name": "a"}})).await.code, 201);
}

pub(crate) async fn an_update_without_a_change_makes_no_version(cluster: &Cluster) {
    cluster.config_map("a", json!({})).await;
    let path = cluster.core("configmaps/a");
    let before = cluster.get(&path).await.ok();
    let after = cluster.put(&path, before.clone()).await.ok();
    assert_eq!(version(&before), version(&after));
    let patched = cluster.patch(&path, "merge", json!({"data": {"a": "1"}})).await.ok();
    assert_eq!(version(&before), version(&patched));
}

pub(crate) async fn generation_counts_specs(cluster: &Cluster) {
    let created = cluster.post(&cluster.group("apps/v1", "deployments"), deployment(1)).await.ok();
    assert_eq!(created["metadata"]["generation"], 1);
    let path = cluster.group("apps/v1", "deployments/web");
    let labelled = cluster.patch(&path, "merge", json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let scaled = cluster.patch(&path, "merge", json!({"spec": {"replicas": 2}})).await.ok();
    assert_eq!(scaled["metadata"]["generation"], 2);
    let moved = cluster.patch(&path, "merge", json!({"spec": {"selector": {"matchLabels": {"app": "other"}}}})).await;
    assert_eq!(moved.failure(), (422, "Invalid"));
}

pub(crate) async fn status_is_written_by_itself(cluster: &Cluster) {
    let mut object = deployment(1);
    object["status"] = json!({"replicas": 9});
    let created = cluster.post(&cluster.group("apps/v1", "deployments"), object).await.ok();
    assert_eq!(created["status"].get("replicas"), None);

    let path = cluster.group("apps/v1", "deployments/web");
    let mut changed = created.clone();
    changed["status"] = json!({"replicas": 3, "observedGeneration": 1});
    changed["spec"]["replicas"] = 7.into();
    let after = cluster.put(&format!("{path}/status"), changed.clone()).await.ok();
    assert_eq!((&after["status"]["replicas"], &after["spec"]["replicas"]), (&json!(3), &json!(1)));
    assert_eq!(after["metadata"]["generation"], 1);

    changed["metadata"]["resourceVersion"] = after["metadata"]["resourceVersion"].clone();
    changed["status"]["replicas"] = 5.into();
    let after = cluster.put(&path, changed).await.ok();
    assert_eq!((&after["status"]["replicas"], &after["spec"]["replicas"]), (&json!(3), &json!(7)));
    let patched = cluster.patch(&format!("{path}/status"), "merge", json!({"status": {"replicas": 4}})).await.ok();
    assert_eq!(patched["status"]["replicas"], 4);
    assert_eq!(cluster.get(&format!("{path}/status")).await.ok(), patched);
}

pub(crate) async fn an_object_stays_where_it_is(cluster: &Cluster) {
    let elsewhere = json!({"metadata": {"name": "a", "namespace": "elsewhere"}});
    assert_eq!(cluster.post(&cluster.core("configmaps"), elsewhere).await.failure(), (400, "BadRequest"));
    let nowhere = cluster.post("/api/v1/namespaces/no-such/configmaps", json!({"metadata": {"name": "a"}})).await;
    assert_eq!(nowhere.failure(), (404, "NotFound"));
    cluster.config_map("a", json!({})).await;
    let renamed = cluster.put(&cluster.core("configmaps/a"), json!({"metadata": {"name": "b"}})).await;
    assert_eq!(renamed.failure(), (400, "BadRequest"));
}

pub(crate) async fn a_dry_run_stores_nothing(cluster: &Cluster) {
    let object = json!({"metadata": {"name": "dry"}});
    let created = cluster.post(&cluster.core("configmaps?dryRun=All"), object).await.ok();
    assert_eq!(created["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert_eq!(cluster.get(&cluster.core("configmaps/dry")).await.code, 404);

    cluster.config_map("wet", json!({})).await;
    let path = cluster.core("configmaps/wet");
    cluster.patch(&format!("{path}?dryRun=All"), "merge", json!({"data": {"a": "9"}})).await.ok();
    cluster.delete(&path, json!({"dryRun": ["All"]})).await.ok();
    cluster.delete(&format!("{path}?dryRun=All"), json!(null)).await.ok();
    assert_eq!(cluster.get(&path).await.ok()["data"]["a"], "1");
    // Options in a body leave those in the query out of account.
    cluster.delete(&format!("{path}?dryRun=All"), json!({})).await.ok();
    assert_eq!(cluster.get(&path).await.code, 404);
}

pub(crate) async fn lease_times_have_microseconds(cluster: &Cluster) {
    let path = cluster.group("coordination.k8s.io/v1", "leases");
    let lease = |time: &str| json!({"metadata": {"name": "a"}, "spec": {"renewTime": time}});
    for bad in ["2026-01-15T12:00:00Z", "2026-01-15T12:00:00.123Z", "2026-01-15T12:00:00.123456789Z"] {
        assert_eq!(cluster.post(&path, lease(bad)).await.failure(), (400, "BadRequest"), "{bad}");
    }
    let created = cluster.post(&path, lease("2026-01-15T12:00:00.123456Z")).await.ok();
    assert_eq!(created["spec"]["renewTime"], "2026-01-15T12:00:00.123456Z");
    let blind = cluster.put(&format!("{path}/a"), lease("2026-01-15T12:00:01.000000Z")).await;
    assert_eq!(blind.failure(), (422, "Invalid"));
    // A lease is created by an update, too.
    let mut other = lease("2026-01-15T12:00:01.000000Z");
    other["metadata"]["name"] = "b".into();
    assert_eq!(cluster.put(&format!("{path}/b"), other).await.code, 201);
}

pub(crate) async fn scale_is_replicas_alone(cluster: &Cluster) {
    cluster.post(&cluster.group("apps/v1", "deployments"), deployment(2)).await.ok();
    let path = cluster.group("apps/v1", "deployments/web/scale");
    let scale = cluster.get(&path).await.ok();
    assert_eq!((scale["kind"].as_str(), scale["apiVersion"].as_str()), (Some("Scale"), Some("autoscaling/v1")));
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["selector"]), (&json!(2), &json!("app=web")));
    let patched = cluster.patch(&path, "merge", json!({"spec": {"replicas": 5}})).await.ok();
    assert_eq!(patched["spec"]["replicas"], 5);
    let mut put = patched;
    put["spec"]["replicas"] = 6.into();
    cluster.put(&path, put.clone()).await.ok();
    let deployment = cluster.get(&cluster.group("apps/v1", "deployments/web")).await.ok();
    assert_eq!((&deployment["spec"]["replicas"], &deployment["metadata"]["generation"]), (&json!(6), &json!(3)));
    assert_eq!(cluster.put(&path, put).await.failure(), (409, "Conflict"));
}

pub(crate) async fn events_have_two_doors(cluster: &Cluster) {
    let event = json!({
        "metadata": {"name": "a"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": cluster.namespace},
        "reason": "Started", "message": "Started it", "type": "Normal", "count": 2,
        "source": {"component": "kubelet"},
        "firstTimestamp": "2026-01-15T12:00:00Z", "lastTimestamp": "2026-01-15T12:00:01Z",
    });
    let created = cluster.post(&cluster.core("events"), event).await.ok();
    let other = cluster.get(&cluster.group("events.k8s.io/v1", "events/a")).await.ok();
    assert_eq!(other["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(other["apiVersion"], "events.k8s.io/v1");
    assert_eq!((&other["note"], &other["regarding"]["name"]), (&json!("Started it"), &json!("p")));
    assert_eq!((&other["deprecatedCount"], &other["deprecatedSource"]["component"]), (&json!(2), &json!("kubelet")));
    let path = cluster.core("events?fieldSelector=involvedObject.name%3Dp,reason%3DStarted");
    assert_eq!(super::cluster::names(&cluster.get(&path).await.ok()), ["a"]);
    let path = cluster.core("events?fieldSelector=involvedObject.name%3Dq");
    assert!(super::cluster::names(&cluster.get(&path).await.ok()).is_empty());
}

pub(crate) async fn secrets_are_base64(cluster: &Cluster) {
    let object = json!({"metadata": {"name": "a"}, "stringData": {"key": "value"}});
    let created = cluster.post(&cluster.core("secrets"), object).await.ok();
    assert_eq!((&created["data"]["key"], &created["type"]), (&json!("dmFsdWU="), &json!("Opaque")));
    assert_eq!(created.get("stringData"), None);
}
