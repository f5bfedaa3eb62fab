//! Nodes and their heartbeats as objects.

use serde_json::{Value, json};

use super::draft::{Draft, micro_time, time};
use super::model::{Cluster, Node};
use super::names::{NODE_AGENTS, REGION, ZONES};
use super::pod::{node_ip, pod_cidr};

/// Machine types: name, cores, memory in KiB, and which cost less but may go away.
const MACHINES: [(&str, u32, u32, bool); 4] = [
    ("m6i.4xlarge", 16, 63_000_000, false),
    ("m6i.8xlarge", 32, 127_500_000, false),
    ("c6i.8xlarge", 32, 63_800_000, true),
    ("r6i.4xlarge", 16, 129_200_000, false),
];

/// The name of a node: what the cloud would call a machine with its address.
pub(crate) fn node_name(node: &Node) -> String {
    let [a, b, c, d] = node_ip(node.index).octets();
    format!("ip-{a}-{b}-{c}-{d}.{REGION}.compute.internal")
}

/// The zone a node is in.
pub(crate) fn zone(node: &Node) -> &'static str {
    ZONES[usize::try_from(node.index).unwrap_or(0) % ZONES.len()]
}

/// The uid of a node.
pub(crate) fn node_uid(cluster: &Cluster, node: &Node) -> String {
    cluster.uid(node.id, "node", 0)
}

/// A node as its object.
pub(crate) fn node_object(cluster: &Cluster, node: &Node) -> Value {
    let mut dice = cluster.dice(node.id, "machine", 0);
    let (machine, cores, memory, spot) = dice.pick(&MACHINES);
    let name = node_name(node);
    let zone = zone(node);
    let instance = format!("i-0{}", dice.hex(16));
    let (cidr, bits) = pod_cidr(cluster, node.index);
    let cidr = format!("{cidr}/{bits}");
    let pods = cluster.slots_per_node.max(110);
    let capacity = |cores: String, memory: u32, disk: &str| {
        json!({
            "cpu": cores, "memory": format!("{memory}Ki"), "pods": pods.to_string(), "ephemeral-storage": disk,
            "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        })
    };

    let mut spec = json!({
        "podCIDR": cidr, "podCIDRs": [cidr], "providerID": format!("aws:///{zone}/{instance}"),
    });
    let mut taints = Vec::new();
    if node.cordoned {
        spec["unschedulable"] = true.into();
        taints.push(json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}));
    }
    if !node.ready {
        for effect in ["NoSchedule", "NoExecute"] {
            taints.push(json!({
                "key": "node.kubernetes.io/unreachable", "effect": effect, "timeAdded": time(node.since),
            }));
        }
    }
    if !taints.is_empty() {
        spec["taints"] = Value::Array(taints);
    }

    Draft::new("v1", "Node", &name, node_uid(cluster, node), node.created)
        .labels(json!({
            "beta.kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "kubernetes.io/hostname": name,
            "node.kubernetes.io/instance-type": machine,
            "topology.kubernetes.io/region": REGION,
            "topology.kubernetes.io/zone": zone,
            "eks.amazonaws.com/capacityType": if spot { "SPOT" } else { "ON_DEMAND" },
            "eks.amazonaws.com/nodegroup": machine.replace('.', "-"),
            "node-role.kubernetes.io/worker": "",
        }))
        .annotations(json!({
            "node.alpha.kubernetes.io/ttl": "0",
            "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            "csi.volume.kubernetes.io/nodeid": format!("{{\"ebs.csi.aws.com\":\"{instance}\"}}"),
        }))
        .managed_by("kubelet", "kubelet", node.heartbeat)
        .body(json!({
            "spec": spec,
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": node_ip(node.index).to_string()},
                    {"type": "Hostname", "address": name},
                    {"type": "InternalDNS", "address": name},
                ],
                "capacity": capacity(cores.to_string(), memory, "104845292Ki"),
                "allocatable": capacity(format!("{}m", cores * 1000 - 90), memory - 1_000_000, "95551679124"),
                "conditions": conditions(node),
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                "images": images(),
                "nodeInfo": {
                    "architecture": "amd64",
                    "operatingSystem": "linux",
                    "osImage": "Bottlerocket OS 1.49.0 (aws-k8s-1.36)",
                    "kernelVersion": "6.12.55",
                    "containerRuntimeVersion": "containerd://2.1.5+bottlerocket",
                    "kubeletVersion": "v1.36.0",
                    "kubeProxyVersion": "",
                    "machineID": dice.hex(32),
                    "systemUUID": cluster.uid(node.id, "system", 0),
                    "bootID": cluster.uid(node.id, "boot", 0),
                },
            },
        }))
}

fn conditions(node: &Node) -> Value {
    let condition = |kind: &str, healthy: &str, reason: &str, message: &str| {
        let lost = !node.ready;
        json!({
            "type": kind,
            "status": if lost { "Unknown" } else { healthy },
            "reason": if lost { "NodeStatusUnknown" } else { reason },
            "message": if lost { "Kubelet stopped posting node status." } else { message },
            "lastHeartbeatTime": time(node.heartbeat),
            "lastTransitionTime": time(node.since),
        })
    };
    json!([
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ])
}

fn images() -> Value {
    (1_u32..)
        .zip(&NODE_AGENTS)
        .map(|(nth, (_, _, image, _))| json!({"names": [image], "sizeBytes": nth * 31_415_926}))
        .collect()
}

/// The lease a node's kubelet renews.
pub(crate) fn node_lease(cluster: &Cluster, node: &Node) -> Value {
    let name = node_name(node);
    let owner = json!([{
        "apiVersion": "v1", "kind": "Node", "name": name, "uid": node_uid(cluster, node),
    }]);
    Draft::new("coordination.k8s.io/v1", "Lease", &name, cluster.uid(node.id, "lease", 0), node.created)
        .namespace("kube-node-lease")
        .with("ownerReferences", owner)
        .managed_by("kubelet", "", node.heartbeat)
        .body(json!({"spec": {
            "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro_time(node.heartbeat),
        }}))
}
