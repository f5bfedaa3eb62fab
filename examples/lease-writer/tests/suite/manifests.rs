//! The manifests in `examples/deploy`: nothing in them is misspelt, the binary takes what its DaemonSet gives it, and what
//! they allow is exactly what it does.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_sim::population::PopulationSpec;
use cluster_sim::{ObjectRef, Right, Sim};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Container, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, from_value, json};

use crate::manifest_files::{deploy, documents, manifests, typed};
use crate::support::{Host, PATIENCE, command, get_until};

const WRITER: &str = env!("CARGO_BIN_EXE_lease-writer");
const KUBECTL: &str = "KUBE_AGENT_KIT_KUBECTL";
const USER: &str = "system:serviceaccount:amazon-cloudwatch:lease-writer";

/// What `kubectl apply -k lease-writer` applies.
fn patch_variant() -> Vec<Value> {
    manifests("lease-writer")
}

/// What `kubectl apply -k lease-writer-update` applies: another Role.
fn update_variant() -> Vec<Value> {
    let patch = documents("lease-writer-update/role.yaml").remove(0);
    let mut all = patch_variant();
    let role = all.iter_mut().find(|object| object["kind"] == "Role").unwrap();
    assert_eq!(role["metadata"]["name"], patch["metadata"]["name"]);
    role["rules"] = patch["rules"].clone();
    all
}

#[test]
fn every_field_is_one() {
    for document in patch_variant().into_iter().chain(documents("lease-writer-update/role.yaml")) {
        let known = match document["kind"].as_str().unwrap() {
            "ServiceAccount" => typed::<ServiceAccount>(&document),
            "Role" => typed::<Role>(&document),
            "RoleBinding" => typed::<RoleBinding>(&document),
            "ClusterRole" => typed::<ClusterRole>(&document),
            "ClusterRoleBinding" => typed::<ClusterRoleBinding>(&document),
            "DaemonSet" => typed::<DaemonSet>(&document),
            other => panic!("{other}"),
        };
        assert_eq!(document, known);
    }
}

#[test]
fn kustomize_gives_what_these_tests_take_it_for() {
    let Some(kubectl) = std::env::var_os(KUBECTL) else {
        eprintln!("skipped: set {KUBECTL} to the path of kubectl to have it put the manifests together");
        return;
    };
    for (name, mut wanted) in [("lease-writer", patch_variant()), ("lease-writer-update", update_variant())] {
        let output = std::process::Command::new(&kubectl).arg("kustomize").arg(deploy().join(name)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut given: Vec<Value> = text.split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect();
        let kind = |object: &Value| object["kind"].as_str().unwrap().to_owned();
        given.sort_by_key(kind);
        wanted.sort_by_key(kind);
        assert_eq!(given, wanted, "{name}");
    }
}

#[test]
fn the_pod_may_do_as_little_as_it_needs() {
    let daemon_set: DaemonSet = daemon_set(&patch_variant());
    let pod = daemon_set.spec.template.spec.unwrap();
    let all = pod.security_context.as_ref().unwrap();
    assert_eq!(all.run_as_non_root, Some(true));
    assert_eq!(all.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    let own = pod.containers[0].security_context.as_ref().unwrap();
    assert_eq!((own.allow_privilege_escalation, own.read_only_root_filesystem), (Some(false), Some(true)));
    assert_eq!(own.capabilities.as_ref().unwrap().drop.as_deref(), Some(&["ALL".to_owned()][..]));
    let port = pod.containers[0].ports.as_ref().unwrap()[0].container_port;
    assert!(pod.containers[0].args.as_ref().unwrap().contains(&format!("--port={port}")));
}

fn daemon_set(objects: &[Value]) -> DaemonSet {
    from_value(objects.iter().find(|object| object["kind"] == "DaemonSet").unwrap().clone()).unwrap()
}

/// A container's variables as the kubelet would set them, and its arguments with these in.
fn started(container: &Container, node: &str) -> (Vec<(String, String)>, Vec<String>) {
    let field = |path: &str| match path {
        "spec.nodeName" => node.to_owned(),
        "metadata.namespace" => "amazon-cloudwatch".to_owned(),
        "metadata.name" => "lease-writer-x7k2p".to_owned(),
        "status.podIP" => "127.0.0.1".to_owned(),
        other => panic!("{other}"),
    };
    let variables: Vec<(String, String)> = container
        .env
        .iter()
        .flatten()
        .map(|variable| {
            let from = variable.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
            (variable.name.clone(), field(&from.unwrap().field_path))
        })
        .collect();
    let expand = |arg: &String| {
        variables.iter().fold(arg.clone(), |arg, (name, value)| arg.replace(&format!("$({name})"), value))
    };
    let args = container.args.iter().flatten().map(expand).collect();
    (variables, args)
}

/// Waits until something about the Lease is as wanted.
async fn lease_when(sim: &Sim, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", name).within("amazon-cloudwatch");
    let waiting = async {
        loop {
            match sim.get(&lease).unwrap() {
                Some(lease) if wanted(&lease) => return lease,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the Lease gets there")
}

/// Runs the binary as the DaemonSet does, in a cluster where roles count, through a whole life: it makes the Lease, renews
/// it, renews it after somebody else has changed it, and deletes it. Which rights that took, and which it had not.
async fn live(objects: Vec<Value>) -> (BTreeSet<Right>, BTreeSet<Right>, BTreeSet<Right>) {
    let sim = Sim::builder().rbac(true).population(&PopulationSpec::new(1, 20)).start().await.unwrap();
    sim.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "amazon-cloudwatch"}})).unwrap();
    let pod = daemon_set(&objects).spec.template.spec.unwrap();
    assert_eq!(pod.service_account_name.as_deref(), USER.rsplit(':').next());
    for object in objects {
        sim.create(object).unwrap();
    }
    let node = sim.list("v1", "nodes").unwrap().remove(0)["metadata"]["name"].as_str().unwrap().to_owned();
    let (variables, mut args) = started(&pod.containers[0], &node);
    // What differs from a pod: its port, where the metadata service is, and how long an hour is.
    args.retain(|arg| arg != "--port=8080");
    args.push(format!("--imds-endpoint={}", sim.metadata_of(&node).await.unwrap().url()));
    for flag in ["--port=0", "--source=aws", "--start-jitter=0s", "--renew-interval=1s", "--lease-duration=1m"] {
        args.push(flag.to_owned());
    }
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, serde_json::to_string(&sim.kubeconfig_as(USER)).unwrap()).unwrap();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = command(WRITER, &args);
    command.env("KUBECONFIG", kubeconfig).envs(variables);

    let host = Host::start_until(command, "writing Lease ").await;
    get_until(&format!("{}/readyz", host.url("serving at")), |answer| answer.status == 200).await;
    let name = format!("cwagent-node-metadata-{node}");
    let first = lease_when(&sim, &name, |_| true).await;
    assert_eq!(first["spec"]["holderIdentity"], "lease-writer-x7k2p");
    assert_eq!(first["metadata"]["ownerReferences"][0]["name"], *node);
    let renewed = |lease: &Value| lease["spec"]["renewTime"].as_str().unwrap().to_owned();
    let second = lease_when(&sim, &name, |lease| renewed(lease) > renewed(&first)).await;

    let leases: Api<Lease> = Api::namespaced(sim.client(), "amazon-cloudwatch");
    let label = Patch::Merge(json!({"metadata": {"labels": {"team": "a"}}}));
    leases.patch(&name, &PatchParams::default(), &label).await.unwrap();
    let third = lease_when(&sim, &name, |lease| {
        lease["metadata"]["labels"]["team"] == "a" && renewed(lease) > renewed(&second)
    });
    let third = third.await;
    assert_eq!(third["metadata"]["uid"], first["metadata"]["uid"]);

    let ended = host.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("was deleted"), "{}", ended.stdout);
    let lease = ObjectRef::new("coordination.k8s.io/v1", "Lease", name).within("amazon-cloudwatch");
    assert_eq!(sim.get(&lease).unwrap(), None);
    let requests = sim.requests();
    let rights = (requests.rights_used(USER), sim.rights_granted(USER), requests.rights_refused(USER));
    sim.shutdown().await;
    rights
}

#[tokio::test]
async fn with_patch_all_that_is_granted_is_used_and_nothing_is_missing() {
    let (used, granted, refused) = live(patch_variant()).await;
    assert_eq!(used, granted);
    assert_eq!(refused, BTreeSet::new());
}

#[tokio::test]
async fn without_patch_all_that_is_granted_is_used_and_only_patch_is_missing() {
    let (used, granted, refused) = live(update_variant()).await;
    assert_eq!(used, granted);
    assert_eq!(refused, BTreeSet::from([Right::new("patch", "coordination.k8s.io", "leases")]));
}
