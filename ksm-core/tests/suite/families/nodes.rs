//! Nodes and namespaces.

use k8s_openapi::api::core::v1::{Namespace, Node};
use serde_json::json;

use super::{lines, lines_of};

#[test]
fn a_node_yields_its_samples_with_labels_in_upstreams_order() {
    let node = json!({
        "metadata": {
            "name": "n1", "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:00:09Z",
            "labels": {"node-role.kubernetes.io/control-plane": "", "node-role.kubernetes.io/etcd": "x", "zone": "a"},
        },
        "spec": {
            "podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd00::/64"], "providerID": "aws:///i-1",
            "unschedulable": true, "taints": [{"key": "k", "effect": "NoSchedule"}],
        },
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "10.0.0.2"}],
            "allocatable": {"memory": "1500m", "pods": "110"},
            "capacity": {"cpu": "4300m", "example.com/fpga": "2", "hugepages-2Mi": "4Mi"},
            "conditions": [{"type": "Ready", "status": "Unknown"}],
            "nodeInfo": {"kernelVersion": "6.1", "osImage": "Linux", "containerRuntimeVersion": "containerd://2",
                         "kubeletVersion": "v1.36.0", "kubeProxyVersion": "v1.36.0", "systemUUID": "s-1"},
        },
    });
    let want = r#"
kube_node_created{node="n1"} 1.7672256e+09
kube_node_deletion_timestamp{node="n1"} 1.767225609e+09
kube_node_info{node="n1",kernel_version="6.1",os_image="Linux",container_runtime_version="containerd://2",kubelet_version="v1.36.0",kubeproxy_version="deprecated",provider_id="aws:///i-1",pod_cidr="10.1.0.0/24",system_uuid="s-1",internal_ip="10.0.0.2"} 1
kube_node_role{node="n1",role="control-plane"} 1
kube_node_role{node="n1",role="etcd"} 1
kube_node_spec_pod_cidrs{node="n1",pod_cidr="10.1.0.0/24"} 1
kube_node_spec_pod_cidrs{node="n1",pod_cidr="fd00::/64"} 1
kube_node_spec_taint{node="n1",key="k",value="",effect="NoSchedule"} 1
kube_node_spec_unschedulable{node="n1"} 1
kube_node_status_allocatable{node="n1",resource="memory",unit="byte"} 1.5
kube_node_status_allocatable{node="n1",resource="pods",unit="integer"} 110
kube_node_status_capacity{node="n1",resource="cpu",unit="core"} 4.3
kube_node_status_capacity{node="n1",resource="example_com_fpga",unit="integer"} 2
kube_node_status_capacity{node="n1",resource="hugepages_2Mi",unit="byte"} 4.194304e+06
kube_node_status_condition{node="n1",condition="Ready",status="true"} 0
kube_node_status_condition{node="n1",condition="Ready",status="false"} 0
kube_node_status_condition{node="n1",condition="Ready",status="unknown"} 1
kube_node_status_addresses{node="n1",type="InternalIP",address="10.0.0.1"} 1
kube_node_status_addresses{node="n1",type="InternalIP",address="10.0.0.2"} 1
"#;
    assert_eq!(lines::<Node>(&node), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn a_namespace_in_no_known_phase_is_in_none() {
    for status in [json!(null), json!({}), json!({"phase": "Melting"})] {
        let namespace = json!({"metadata": {"name": "shop"}, "status": status});
        let want = [
            r#"kube_namespace_status_phase{namespace="shop",phase="Active"} 0"#,
            r#"kube_namespace_status_phase{namespace="shop",phase="Terminating"} 0"#,
        ];
        assert_eq!(lines_of::<Namespace>("kube_namespace_status_phase", &namespace), want);
    }
}
