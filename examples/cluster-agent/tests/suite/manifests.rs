//! The manifests in `examples/deploy/cluster-agent` and `cluster-agent-shards`: nothing in them is misspelt, the binary takes
//! what they give it, and what they allow is what the binary asks for.
#![cfg(unix)]

use std::path::Path;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value};

use crate::manifest_files::{deploy, manifests, of_kind, typed};
use crate::support::run;

const AGENT: &str = env!("CARGO_BIN_EXE_cluster-agent");

fn of<K: DeserializeOwned>(folder: &str, kind: &str) -> K {
    of_kind(manifests(folder), kind)
}

fn pods() -> [PodSpec; 2] {
    let one: Deployment = of("cluster-agent", "Deployment");
    let shards: StatefulSet = of("cluster-agent-shards", "StatefulSet");
    [one.spec.template.spec.unwrap(), shards.spec.template.spec.unwrap()]
}

#[test]
fn every_field_is_one() {
    for document in manifests("cluster-agent").into_iter().chain(manifests("cluster-agent-shards")) {
        let known = match document["kind"].as_str().unwrap() {
            "ServiceAccount" => typed::<ServiceAccount>(&document),
            "Role" => typed::<Role>(&document),
            "RoleBinding" => typed::<RoleBinding>(&document),
            "ClusterRole" => typed::<ClusterRole>(&document),
            "ClusterRoleBinding" => typed::<ClusterRoleBinding>(&document),
            "ConfigMap" => typed::<ConfigMap>(&document),
            "Service" => typed::<Service>(&document),
            "Deployment" => typed::<Deployment>(&document),
            "StatefulSet" => typed::<StatefulSet>(&document),
            other => panic!("{other}"),
        };
        assert_eq!(document, known);
    }
}

#[test]
fn the_pods_may_do_as_little_as_they_need() {
    for pod in pods() {
        let all = pod.security_context.as_ref().unwrap();
        assert_eq!(all.run_as_non_root, Some(true));
        assert_eq!(all.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
        let own = pod.containers[0].security_context.as_ref().unwrap();
        assert_eq!((own.allow_privilege_escalation, own.read_only_root_filesystem), (Some(false), Some(true)));
        assert_eq!(own.capabilities.as_ref().unwrap().drop.as_deref(), Some(&["ALL".to_owned()][..]));
    }
}

/// The configuration in a file, and the arguments of a pod that name it.
fn arguments(folder: &Path, pod: &PodSpec) -> Vec<String> {
    let config: ConfigMap = of("cluster-agent", "ConfigMap");
    let path = folder.join("config.yaml");
    std::fs::write(&path, &config.data.unwrap()["config.yaml"]).unwrap();
    let arguments = pod.containers[0].args.iter().flatten();
    arguments.map(|argument| argument.replace("/etc/cluster-agent/config.yaml", path.to_str().unwrap())).collect()
}

#[tokio::test]
async fn the_binary_takes_what_the_pods_give_it() {
    let folder = tempfile::tempdir().unwrap();
    for pod in pods() {
        let arguments: Vec<String> = arguments(folder.path(), &pod)
            .into_iter()
            .map(|argument| {
                argument.replace("$(POD_NAME)", "cluster-agent-0").replace("$(POD_NAMESPACE)", "monitoring")
            })
            .chain(["--check".to_owned()])
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = run(AGENT, &arguments).await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
}

/// What it prints is compared with what it uses by a test of its own, in a cluster where roles count.
#[tokio::test]
async fn what_is_granted_is_what_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let [pod, _] = pods();
    let mut arguments = arguments(folder.path(), &pod);
    arguments.push("--print-rbac".to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let printed = run(AGENT, &arguments).await;
    assert_eq!(printed.status.code(), Some(0), "{}", printed.stderr);
    let wanted: Vec<Value> = printed.stdout.split("---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    let wanted = wanted.into_iter().find(|object| object["kind"] == "ClusterRole").unwrap();
    let wanted: ClusterRole = from_value(wanted).unwrap();
    let granted: ClusterRole = of("cluster-agent", "ClusterRole");
    assert_eq!(granted.rules, wanted.rules);
}

#[test]
fn kubectl_builds_each_of_the_bases() {
    let Some(kubectl) = std::env::var_os("KUBE_AGENT_KIT_KUBECTL") else {
        eprintln!("skipped: KUBE_AGENT_KIT_KUBECTL is not set");
        return;
    };
    let mut built = 0;
    for entry in std::fs::read_dir(deploy()).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("kustomization.yaml").is_file() {
            continue;
        }
        let output = std::process::Command::new(&kubectl).arg("kustomize").arg(&folder).output().unwrap();
        assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        // One in the place of the other.
        let shards = folder.ends_with("cluster-agent-shards");
        assert_eq!(text.contains("kind: StatefulSet\n"), shards, "{}", folder.display());
        assert!(!(shards && text.contains("kind: Deployment\n")), "{text}");
        built += 1;
    }
    assert!(built >= 7, "{built}");
}
