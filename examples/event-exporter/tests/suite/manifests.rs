//! The manifests in `examples/deploy/event-exporter`: nothing in them is misspelt, the binary takes what its Deployment
//! gives it, and what they allow is exactly what it does.
#![cfg(unix)]

use std::collections::BTreeSet;

use cluster_sim::population::PopulationSpec;
use cluster_sim::{ObjectRef, Sim};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde_json::{Value, json};

use crate::exporter::process::{Exporter, exporter};
use crate::manifest_files::{manifests, of_kind, typed};
use crate::support::{self, PATIENCE, get_until};

const USER: &str = "system:serviceaccount:monitoring:event-exporter";

fn all() -> Vec<Value> {
    manifests("event-exporter")
}

fn deployment() -> Deployment {
    of_kind(all(), "Deployment")
}

#[test]
fn every_field_is_one() {
    for document in all() {
        let known = match document["kind"].as_str().unwrap() {
            "ServiceAccount" => typed::<ServiceAccount>(&document),
            "Role" => typed::<Role>(&document),
            "RoleBinding" => typed::<RoleBinding>(&document),
            "ClusterRole" => typed::<ClusterRole>(&document),
            "ClusterRoleBinding" => typed::<ClusterRoleBinding>(&document),
            "ConfigMap" => typed::<ConfigMap>(&document),
            "Deployment" => typed::<Deployment>(&document),
            other => panic!("{other}"),
        };
        assert_eq!(document, known);
    }
}

#[test]
fn the_pod_may_do_as_little_as_it_needs() {
    let pod = deployment().spec.template.spec.unwrap();
    let all = pod.security_context.as_ref().unwrap();
    assert_eq!(all.run_as_non_root, Some(true));
    assert_eq!(all.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    let own = pod.containers[0].security_context.as_ref().unwrap();
    assert_eq!((own.allow_privilege_escalation, own.read_only_root_filesystem), (Some(false), Some(true)));
    assert_eq!(own.capabilities.as_ref().unwrap().drop.as_deref(), Some(&["ALL".to_owned()][..]));
    assert!(pod.containers[0].args.as_ref().unwrap().contains(&"--no-page".to_owned()));
}

async fn when(sim: &Sim, place: &ObjectRef, wanted: impl Fn(&Value) -> bool) {
    let there = async {
        while !sim.get(place).unwrap().is_some_and(|object| wanted(&object)) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, there).await.expect("the object gets there");
}

/// Runs the binary as the Deployment does, in a cluster where roles count, through a whole life: it makes the Lease and
/// the position, renews both, tells an event about a pod and one about a node, and ends.
#[tokio::test]
async fn all_that_is_granted_is_used_and_nothing_is_missing() {
    let sim = Sim::builder().rbac(true).population(&PopulationSpec::new(1, 20)).start().await.unwrap();
    sim.upsert(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}})).unwrap();
    let pod = deployment().spec.template.spec.unwrap();
    assert_eq!(pod.service_account_name.as_deref(), USER.rsplit(':').next());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut config = String::new();
    for object in all() {
        if object["kind"] == "ConfigMap" {
            config = file("config.yaml", object["data"]["config.yaml"].as_str().unwrap());
        }
        sim.create(object).unwrap();
    }
    let kubeconfig = file("kubeconfig", &serde_json::to_string(&sim.kubeconfig_as(USER)).unwrap());
    // What differs from a pod: where its files are, and its port.
    let args: Vec<String> = pod.containers[0]
        .args
        .iter()
        .flatten()
        .map(|arg| arg.replace("/etc/event-exporter/config.yaml", &config).replace("=:2112", "=127.0.0.1:0"))
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let variables: Vec<&str> = pod.containers[0].env.iter().flatten().map(|variable| &*variable.name).collect();
    assert_eq!(variables, ["K8S_NAMESPACE", "K8S_POD_NAME"]);
    let mut command = exporter(&args);
    command
        .env("KUBECONFIG", kubeconfig)
        .env("K8S_NAMESPACE", "monitoring")
        .env("K8S_POD_NAME", "event-exporter-x7k2p");
    let mut exporter = Exporter::start(command).await;
    let reads = |answer: &support::Answer| answer.text() == "ok: it reads events\n";
    get_until(&format!("{}/-/ready", exporter.url), reads).await;

    for (plural, kind) in [("pods", "Pod"), ("nodes", "Node")] {
        let object = sim.list("v1", plural).unwrap().remove(0);
        let metadata = &object["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or("default");
        let now = sim.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": namespace, "name": "a"},
            "involvedObject": {
                "apiVersion": "v1", "kind": kind, "name": metadata["name"], "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "type": "Normal", "reason": "Looked", "message": "x", "lastTimestamp": now, "count": 1,
        });
        sim.create(event).unwrap();
        let line = exporter.line().await;
        assert_eq!(line["involvedObject"]["labels"], metadata["labels"], "{kind}");
    }
    let position = ObjectRef::new("v1", "ConfigMap", "event-exporter-position").within("monitoring");
    when(&sim, &position, |object| object["data"]["position.json"].is_string()).await;
    let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", "event-exporter").within("monitoring");
    when(&sim, &lease, |lease| lease["spec"]["holderIdentity"] == "event-exporter-x7k2p").await;
    let ended = exporter.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    // Others need not wait until it is over.
    when(&sim, &lease, |lease| lease["spec"]["holderIdentity"].as_str().unwrap_or_default().is_empty()).await;
    let requests = sim.requests();
    assert_eq!(requests.rights_refused(USER), BTreeSet::new());
    assert_eq!(requests.rights_used(USER), sim.rights_granted(USER));
    sim.shutdown().await;
}
