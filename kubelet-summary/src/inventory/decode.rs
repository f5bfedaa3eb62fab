//! Pods and nodes as JSON → records: what no record keeps is passed by, not built.
//!
//! Everything may be absent or null: an object that lacks something must not cost a list of 500 its page.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::Deserialize;

use super::record::{Amounts, NodeRecord, PodPhase, PodRecord, only_mirror, truth};
use crate::fetch::{AddressType, NodeAddress, NodeTarget};
use crate::resources::{ContainerKind, ContainerSpec, PodSpecResources, Resources};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Pod {
    metadata: Meta,
    spec: Option<PodSpec>,
    status: Option<PodStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<std::collections::BTreeMap<String, String>>,
    annotations: Option<std::collections::BTreeMap<String, String>>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Owner {
    controller: Option<bool>,
    kind: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: Option<String>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    overhead: Option<Amounts>,
    resources: Option<Requirements>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: Option<String>,
    restart_policy: Option<String>,
    resources: Option<Requirements>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Requirements {
    requests: Option<Amounts>,
    limits: Option<Amounts>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: Option<String>,
    start_time: Option<Time>,
}

impl From<Meta> for ObjectMeta {
    fn from(meta: Meta) -> Self {
        let owners = meta.owner_references.unwrap_or_default();
        let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
        let controller = controller.map(|owner| OwnerReference {
            controller: Some(true),
            kind: owner.kind.unwrap_or_default(),
            name: owner.name.unwrap_or_default(),
            ..OwnerReference::default()
        });
        Self {
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            resource_version: meta.resource_version,
            labels: meta.labels,
            annotations: meta.annotations.and_then(only_mirror),
            owner_references: controller.map(|controller| vec![controller]),
            ..Self::default()
        }
    }
}

impl Container {
    fn spec(self, init: bool) -> ContainerSpec {
        let kind = match (init, self.restart_policy.as_deref()) {
            (true, Some("Always")) => ContainerKind::Sidecar,
            (true, _) => ContainerKind::Init,
            (false, _) => ContainerKind::Main,
        };
        let resources = self.resources.unwrap_or_default();
        ContainerSpec {
            name: self.name.unwrap_or_default(),
            kind,
            requests: Resources::of(resources.requests.as_ref()),
            limits: Resources::of(resources.limits.as_ref()),
        }
    }
}

impl From<Pod> for PodRecord {
    fn from(pod: Pod) -> Self {
        let status = pod.status.unwrap_or_default();
        let spec = pod.spec.unwrap_or_default();
        let init = spec.init_containers.unwrap_or_default().into_iter().map(|one| one.spec(true));
        let main = spec.containers.unwrap_or_default().into_iter().map(|one| one.spec(false));
        let own = spec.resources.unwrap_or_default();
        Self {
            metadata: pod.metadata.into(),
            node: spec.node_name.filter(|name| !name.is_empty()),
            phase: PodPhase::of(status.phase.as_deref()),
            started: status.start_time.map(|time| time.0),
            resources: PodSpecResources {
                containers: init.chain(main).collect(),
                requests: Resources::of(own.requests.as_ref()),
                limits: Resources::of(own.limits.as_ref()),
                overhead: Resources::of(spec.overhead.as_ref()),
            },
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Node {
    metadata: Meta,
    status: Option<NodeStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NodeStatus {
    addresses: Option<Vec<Address>>,
    daemon_endpoints: Option<DaemonEndpoints>,
    conditions: Option<Vec<Condition>>,
    allocatable: Option<Amounts>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Address {
    #[serde(rename = "type")]
    kind: Option<String>,
    address: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DaemonEndpoints {
    kubelet_endpoint: Option<Endpoint>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Endpoint {
    port: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
}

impl From<Node> for NodeRecord {
    fn from(node: Node) -> Self {
        let status = node.status.unwrap_or_default();
        let mut target = NodeTarget::new(node.metadata.name.as_deref().unwrap_or_default());
        let known = status.addresses.into_iter().flatten().filter_map(|told| {
            let kind = AddressType::from_word(told.kind.as_deref().unwrap_or_default())?;
            Some(NodeAddress { kind, address: told.address? })
        });
        target.addresses = known.collect();
        let endpoint = status.daemon_endpoints.and_then(|endpoints| endpoints.kubelet_endpoint);
        let port = endpoint.and_then(|endpoint| endpoint.port).and_then(|port| u16::try_from(port).ok());
        if let Some(port) = port.filter(|port| *port > 0) {
            target = target.port(port);
        }
        let conditions = status.conditions.unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition.kind.as_deref() == Some("Ready"));
        let metadata = ObjectMeta { labels: None, annotations: None, owner_references: None, ..node.metadata.into() };
        Self {
            metadata,
            target,
            ready: ready.and_then(|condition| truth(condition.status.as_deref().unwrap_or_default())),
            allocatable: Resources::of(status.allocatable.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::inventory::Owner;

    fn pod() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "web-7d4b9-x2x", "namespace": "shop", "uid": "u-1", "resourceVersion": "42",
                "labels": {"app": "web"}, "annotations": {"big": "thing"}, "finalizers": ["a"],
                "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Other", "name": "x", "uid": "1"},
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d4b9", "uid": "2", "controller": true},
                ],
            },
            "spec": {
                "nodeName": "node-1",
                "initContainers": [
                    {"name": "setup", "resources": {"requests": {"cpu": "1"}}},
                    {"name": "mesh", "restartPolicy": "Always", "resources": {"limits": {"memory": "64Mi"}}},
                ],
                "containers": [{"name": "web", "resources": {
                    "requests": {"cpu": "250m", "memory": "128Mi", "ephemeral-storage": "1Gi"}, "limits": {"memory": "256Mi"},
                }}],
                "overhead": {"cpu": "10m"},
                "resources": {"requests": {"memory": "512Mi"}},
            },
            "status": {"phase": "Running", "startTime": "2026-01-02T03:04:05Z"},
        })
    }

    #[test]
    fn a_pod_is_read_as_from_the_whole_object() {
        let read: PodRecord = from_value(pod()).unwrap();
        assert_eq!(read.owner(), Some(Owner::new("ReplicaSet", "web-7d4b9")));
        assert_eq!(read.phase, PodPhase::Running);
        assert_eq!(read.metadata.annotations, None);
        assert_eq!(read.resources.containers.len(), 3);
        assert_eq!(read.resources.requests.memory, Some(512 << 20));

        let shared = std::sync::Arc::new(from_value::<k8s_openapi::api::core::v1::Pod>(pod()).unwrap());
        let mut whole = PodRecord::from((*shared).clone());
        assert_eq!(PodRecord::from(shared), whole, "an object that is shared gives the same");
        for owner in whole.metadata.owner_references.iter_mut().flatten() {
            (owner.api_version, owner.uid) = Default::default();
        }
        assert_eq!(read, whole);
    }

    #[test]
    fn a_mirror_pod_has_the_uid_of_its_kubelet_too() {
        let mut value = pod();
        value["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "abc", "other": "x"});
        let read: PodRecord = from_value(value.clone()).unwrap();
        let whole = PodRecord::from(from_value::<k8s_openapi::api::core::v1::Pod>(value).unwrap());
        assert_eq!((read.kubelet_uid(), whole.kubelet_uid()), (Some("abc"), Some("abc")));
    }

    #[test]
    fn what_is_null_or_absent_is_absent() {
        let values = [
            json!({"metadata": {}}),
            json!({"metadata": {"labels": null, "ownerReferences": null}, "spec": null, "status": null}),
            json!({"spec": {"containers": null, "initContainers": null, "nodeName": ""}, "status": {"startTime": null}}),
        ];
        for value in values {
            assert_eq!(from_value::<PodRecord>(value.clone()).unwrap(), PodRecord::default(), "{value}");
        }
        let node = json!({"metadata": {"name": "a"}, "status": {"addresses": null, "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}});
        let node: NodeRecord = from_value(node).unwrap();
        assert_eq!((node.name(), node.target.clone(), node.ready), ("a", NodeTarget::new("a"), None));
    }

    #[test]
    fn a_node_is_read_as_from_the_whole_object() {
        let value = json!({
            "metadata": {"name": "node-1", "uid": "n-1", "resourceVersion": "7", "labels": {"a": "b"}},
            "spec": {},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "node-1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}},
                "conditions": [
                    {"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": "True"},
                ],
                "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
            },
        });
        let read: NodeRecord = from_value(value.clone()).unwrap();
        let target = NodeTarget::new("node-1").address(AddressType::InternalIp, "10.0.0.1");
        assert_eq!(read.target, target.address(AddressType::Hostname, "node-1").port(10251));
        assert_eq!((read.ready, read.allocatable.memory), (Some(true), Some(16 << 30)));
        assert_eq!(read, NodeRecord::from(from_value::<k8s_openapi::api::core::v1::Node>(value).unwrap()));
    }
}
