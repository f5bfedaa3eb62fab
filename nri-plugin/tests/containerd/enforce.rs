//! What a plugin adjusts, updates and refuses → what the runtime does.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use nri_plugin::api::{
    Container, ContainerAdjustment, ContainerUpdate, CreateContainerResponse, KeyValue, LinuxContainerAdjustment,
    LinuxContainerUpdate, LinuxCpu, LinuxMemory, LinuxResources, OptionalInt64, OptionalUInt64, PodSandbox,
};
use nri_plugin::{Answer, Identity, Plugin, Role, Session};
use serde_json::json;
use tokio::net::UnixStream;

use super::cri::Resources;
use super::node::{each, until};
use super::plugin::join;

const LIMIT: i64 = 48 << 20;

/// Adjusts every container; refuses those whose name says so.
#[derive(Debug)]
struct Enforcer;

impl Plugin for Enforcer {
    async fn create_container(&self, pod: PodSandbox, container: Container) -> Answer<CreateContainerResponse> {
        if container.name == "refused" {
            return Err(format!("no {} in {}", container.name, pod.name).into());
        }
        let memory = LinuxMemory { limit: Some(OptionalInt64 { value: LIMIT }), ..LinuxMemory::default() };
        let resources = LinuxResources { memory: Some(memory), ..LinuxResources::default() };
        let adjust = ContainerAdjustment {
            annotations: BTreeMap::from([("tests/adjusted".to_owned(), container.name)]),
            env: vec![KeyValue { key: "ADJUSTED".to_owned(), value: pod.name }],
            linux: Some(LinuxContainerAdjustment { resources: Some(resources), ..LinuxContainerAdjustment::default() }),
            ..ContainerAdjustment::default()
        };
        Ok(CreateContainerResponse { adjust: Some(adjust), ..CreateContainerResponse::default() })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adjustment_is_in_the_containers_oci_spec() {
    each(async |node| {
        let pod = node.run_pod("pod").await;
        let session = join(node, Arc::new(Enforcer)).await;
        // The plugin's limit goes before the pod's.
        let asked = Resources { cpu_shares: 512, memory_limit: 2 * LIMIT };
        let id = node.create(&pod, "main", &["/bin/sleep", "1000000"], Some(asked)).await.unwrap();
        node.cri.start_container(&id).await.unwrap();

        let spec = node.oci_spec(&id);
        let env = spec["process"]["env"].as_array().unwrap();
        assert!(env.contains(&json!("ADJUSTED=pod")) && env.contains(&json!("PATH=/bin")), "{env:?}");
        assert_eq!(spec["annotations"]["tests/adjusted"], "main");
        assert_eq!(spec["annotations"]["io.kubernetes.cri.container-name"], "main");
        assert_eq!(spec["linux"]["resources"]["memory"]["limit"], LIMIT);
        assert_eq!(spec["linux"]["resources"]["cpu"]["shares"], 512);
        // And the process has it, once the runtime has become it, and the kernel.
        let environment = format!("/proc/{}/environ", node.pid(&id).await);
        let all = || fs::read_to_string(&environment).unwrap_or_default();
        let is_there = || all().split('\0').any(|variable| variable == "ADJUSTED=pod");
        until("the process has the variable", is_there).await;
        let limit = node.limit(&pod, &id, ["memory.limit_in_bytes", "memory.max"]);
        assert_eq!(limit.1, LIMIT);

        // One that is made without the plugin is left as it is.
        session.shutdown().await.unwrap();
        let plain = node.run(&pod, "plain").await;
        let spec = node.oci_spec(&plain);
        assert!(spec["annotations"].get("tests/adjusted").is_none());
        assert!(!spec["process"]["env"].as_array().unwrap().contains(&json!("ADJUSTED=pod")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enforcers_error_fails_the_container_and_an_observers_does_not() {
    each(async |node| {
        let pod = node.run_pod("pod").await;
        for (role, refuses) in [(Role::Enforcer, true), (Role::Observer, false)] {
            let socket = UnixStream::connect(node.nri_socket()).await.unwrap();
            let identity = Identity::new("10", "enforcer").unwrap();
            let session = Session::builder(identity, Arc::new(Enforcer)).role(role).spawn(socket).unwrap();
            session.joined().await.unwrap();
            let created = node.create(&pod, "refused", &["/bin/true"], None).await;
            match created {
                Ok(_) => assert!(!refuses),
                Err(status) => {
                    assert!(refuses, "{status:?}");
                    assert!(status.message().contains("no refused in pod"), "{status:?}");
                }
            }
            // It goes on, whatever it was.
            let id = node.run(&pod, if refuses { "first" } else { "second" }).await;
            assert_eq!(node.oci_spec(&id)["linux"]["resources"]["memory"]["limit"], LIMIT);
            session.shutdown().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_are_updated_when_the_plugin_wants() {
    each(async |node| {
        let pod = node.run_pod("pod").await;
        let session = join(node, Arc::new(Enforcer)).await;
        let id = node.run(&pod, "main").await;
        let before = node.limit(&pod, &id, ["cpu.shares", "cpu.weight"]);
        let cpu = LinuxCpu { shares: Some(OptionalUInt64 { value: 300 }), ..LinuxCpu::default() };
        let resources = LinuxResources { cpu: Some(cpu), ..LinuxResources::default() };
        let update = ContainerUpdate {
            container_id: id.clone(),
            linux: Some(LinuxContainerUpdate { resources: Some(resources) }),
            ..ContainerUpdate::default()
        };
        let failed = session.runtime().update_containers(vec![update]).await.unwrap();
        assert_eq!(failed, []);
        let after = node.limit(&pod, &id, ["cpu.shares", "cpu.weight"]);
        assert_ne!(after, before);
        // On a host of cgroup2 alone it is a weight, by a formula of runc's.
        assert!(after == ("cpu.shares", 300) || after.0 == "cpu.weight", "{after:?}");
        session.shutdown().await.unwrap();
    })
    .await;
}
