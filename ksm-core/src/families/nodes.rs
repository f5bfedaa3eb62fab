//! `nodes`

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus, NodeSystemInfo};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::amounts::{Holder, for_each_amount};
use super::{Text, instant, part};
use crate::family::{Family, FamilyIndex, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "nodes";

pub(super) const RESOURCE: Resource<Node> = Resource {
    name: NAME,
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.configSource",
        "spec.podPreemptionPolicy",
        "spec.taints.timeAdded",
        "status.conditions.lastHeartbeatTime",
        "status.conditions.lastTransitionTime",
        "status.conditions.message",
        "status.conditions.reason",
        "status.config",
        "status.daemonEndpoints",
        "status.declaredFeatures",
        "status.features",
        "status.images",
        "status.runtimeHandlers",
        "status.volumesAttached",
        "status.volumesInUse",
    ],
};

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge("kube_node_annotations", "Annotations of the node as labels.")
            .needs_annotation_allowlist();
        CREATED = Family::gauge("kube_node_created", "When the node was created, in Unix seconds.").stable();
        DELETION_TIMESTAMP = Family::gauge(
            "kube_node_deletion_timestamp", "When the node is to be deleted, in Unix seconds.");
        INFO = Family::gauge("kube_node_info", "Software versions, addresses and identifiers of the node.").stable();
        LABELS = Family::gauge("kube_node_labels", "Labels of the node as labels.").stable().needs_label_allowlist();
        ROLE = Family::gauge("kube_node_role", "Each role that a node-role.kubernetes.io label gives the node.");
        SPEC_POD_CIDRS = Family::gauge(
            "kube_node_spec_pod_cidrs", "Each address range that pods of the node get their addresses from.");
        SPEC_TAINT = Family::gauge("kube_node_spec_taint", "Each taint of the node.").stable();
        SPEC_UNSCHEDULABLE = Family::gauge(
            "kube_node_spec_unschedulable", "1 where the node is cordoned: no new pods are scheduled to it.").stable();
        STATUS_ALLOCATABLE = Family::gauge(
            "kube_node_status_allocatable", "How much of each resource the node has for pods.").stable();
        STATUS_CAPACITY = Family::gauge("kube_node_status_capacity", "How much of each resource the node has in all.")
            .stable();
        STATUS_CONDITION = Family::gauge("kube_node_status_condition", "Each condition of the node: 1 for its status.")
            .stable();
        STATUS_ADDRESSES = Family::gauge("kube_node_status_addresses", "Each address of the node and its type.");
    }
}

fn collect(node: &Node, s: &mut Samples<'_>) {
    let meta = &node.metadata;
    let (spec, status) = (part::<NodeSpec>(&node.spec), part::<NodeStatus>(&node.status));
    s.identity(&[("node", meta.name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
    if s.wants(INFO) {
        let info = part::<NodeSystemInfo>(&status.node_info);
        // Upstream takes the last one where there are several.
        let internal = status.addresses.iter().flatten().rfind(|address| address.type_ == "InternalIP");
        s.put_unique(
            INFO,
            &[
                ("kernel_version", &info.kernel_version),
                ("os_image", &info.os_image),
                ("container_runtime_version", &info.container_runtime_version),
                ("kubelet_version", &info.kubelet_version),
                // The API server no longer reports it; the label stays for those who match on it.
                ("kubeproxy_version", "deprecated"),
                ("provider_id", spec.provider_id.text()),
                ("pod_cidr", spec.pod_cidr.text()),
                ("system_uuid", &info.system_uuid),
                ("internal_ip", internal.map_or("", |address| &address.address)),
            ],
            1.0,
        );
    }
    s.put_labels(LABELS, meta.labels.as_ref());
    if s.wants(ROLE) {
        for label in meta.labels.iter().flatten().map(|(key, _)| key) {
            if let Some(role) = label.strip_prefix("node-role.kubernetes.io/") {
                s.put(ROLE, &[("role", role)], 1.0);
            }
        }
    }
    for cidr in spec.pod_cidrs.iter().flatten() {
        s.put_unique(SPEC_POD_CIDRS, &[("pod_cidr", cidr)], 1.0);
    }
    for taint in spec.taints.iter().flatten() {
        let value = taint.value.text();
        s.put(SPEC_TAINT, &[("key", &taint.key), ("value", value), ("effect", &taint.effect)], 1.0);
    }
    s.put_bool(SPEC_UNSCHEDULABLE, &[], spec.unschedulable == Some(true));
    put_amounts(s, STATUS_ALLOCATABLE, status.allocatable.as_ref());
    put_amounts(s, STATUS_CAPACITY, status.capacity.as_ref());
    for condition in status.conditions.iter().flatten() {
        s.put_condition(STATUS_CONDITION, "status", &[("condition", &condition.type_)], &condition.status);
    }
    for address in status.addresses.iter().flatten() {
        s.put_unique(STATUS_ADDRESSES, &[("type", &address.type_), ("address", &address.address)], 1.0);
    }
}

fn put_amounts(s: &mut Samples<'_>, family: FamilyIndex, amounts: Option<&BTreeMap<String, Quantity>>) {
    if s.wants(family) {
        for_each_amount(Holder::Node, amounts, NAME, |resource, unit, value| {
            s.put(family, &[("resource", resource), ("unit", unit)], value);
        });
    }
}
