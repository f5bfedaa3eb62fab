//! The manifests in `examples/deploy/node-agent`: nothing in them is misspelt, and the pod may do as little as it needs.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde_json::Value;

use crate::manifest_files::{manifests, of_kind, typed};

fn all() -> Vec<Value> {
    manifests("node-agent")
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
            "DaemonSet" => typed::<DaemonSet>(&document),
            other => panic!("{other}"),
        };
        assert_eq!(document, known);
    }
}

#[test]
fn the_pod_may_do_as_little_as_it_needs() {
    let daemon_set: DaemonSet = of_kind(all(), "DaemonSet");
    let pod = daemon_set.spec.template.spec.unwrap();
    assert_eq!(pod.service_account_name.as_deref(), Some("node-agent"));
    let own = pod.containers[0].security_context.as_ref().unwrap();
    assert_eq!((own.allow_privilege_escalation, own.read_only_root_filesystem), (Some(false), Some(true)));
    assert_eq!(own.privileged, None);
    let capabilities = own.capabilities.as_ref().unwrap();
    assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]));
    assert_eq!(capabilities.add.as_deref(), Some(&["BPF".to_owned(), "PERFMON".to_owned()][..]));
    let port = pod.containers[0].ports.as_ref().unwrap()[0].container_port;
    assert!(pod.containers[0].args.as_ref().unwrap().contains(&format!("--port={port}")));
    let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
    let cgroups = mounts.iter().find(|mount| mount.mount_path == "/sys/fs/cgroup").unwrap();
    assert_eq!(cgroups.read_only, Some(true));
}
