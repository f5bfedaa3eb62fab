//! Discovery.

use serde_json::{Value, json};

use super::cluster::Cluster;

pub(crate) async fn groups_and_resources(cluster: &Cluster) {
    assert_eq!(cluster.get("/api").await.ok()["versions"], json!(["v1"]));
    let groups = cluster.get("/apis").await.ok();
    let apps = groups["groups"].as_array().unwrap().iter().find(|group| group["name"] == "apps").unwrap();
    assert_eq!(apps["preferredVersion"], json!({"groupVersion": "apps/v1", "version": "v1"}));
    assert_eq!(cluster.get("/apis/apps").await.ok()["preferredVersion"], apps["preferredVersion"]);

    let core = cluster.get("/api/v1").await.ok();
    let find = |list: &Value, name: &str| {
        list["resources"].as_array().unwrap().iter().find(|resource| resource["name"] == name).unwrap().clone()
    };
    let pods = find(&core, "pods");
    assert_eq!(
        (&pods["kind"], &pods["namespaced"], &pods["shortNames"]),
        (&json!("Pod"), &json!(true), &json!(["po"]))
    );
    assert_eq!(find(&core, "namespaces")["namespaced"], false);
    assert_eq!(find(&core, "pods/status")["kind"], "Pod");
    let apps = cluster.get("/apis/apps/v1").await.ok();
    let scale = find(&apps, "deployments/scale");
    assert_eq!(
        (&scale["group"], &scale["version"], &scale["kind"]),
        (&json!("autoscaling"), &json!("v1"), &json!("Scale"))
    );

    let discovered = kube::discovery::Discovery::new(cluster.client.clone()).run().await.unwrap();
    assert!(discovered.groups().any(|group| group.name() == "coordination.k8s.io"));
    for path in ["/healthz", "/readyz", "/livez"] {
        assert_eq!(cluster.get(path).await.body, json!("ok"), "{path}");
    }
}

pub(crate) async fn unknown_paths_are_not_found(cluster: &Cluster) {
    for path in ["/api/v1/nothings", "/apis/apps/v7/deployments", "/apis/none.example.com/v1"] {
        assert_eq!(cluster.get(path).await.code, 404, "{path}");
    }
    let missing = cluster.get("/api/v1/nothings").await;
    assert_eq!(missing.message(), "the server could not find the requested resource");
}
