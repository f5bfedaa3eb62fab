//! Volumes as objects: what a StatefulSet's pods keep.

use serde_json::{Value, json};

use super::draft::{Draft, time};
use super::model::{Cluster, Pod, Workload};
use super::node::node_name;
use super::template::selector;

const CLASS: &str = "gp3";
const DRIVER: &str = "ebs.csi.aws.com";
const SIZE: &str = "100Gi";

/// The spec of every claim, as its template has it.
pub(crate) fn claim_spec() -> Value {
    json!({
        "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS, "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": SIZE}},
    })
}

/// The names of the claim, the volume and the attachment that belong to a pod of a StatefulSet.
pub(crate) fn names(cluster: &Cluster, workload: &Workload, ordinal: u32) -> (String, String, String) {
    let claim = format!("data-{}-{ordinal}", workload.name);
    let volume = format!("pvc-{}", cluster.uid(workload.id, "claim", ordinal));
    let attachment = format!("csi-{}", cluster.dice(workload.id, "attach", ordinal).hex(64));
    (claim, volume, attachment)
}

/// The claim of a pod, and the volume bound to it.
pub(crate) fn claim_and_volume(cluster: &Cluster, workload: &Workload, pod: &Pod) -> [Value; 2] {
    let ordinal = pod.ordinal;
    let namespace = cluster.namespace_of(workload);
    let (claim, volume, _) = names(cluster, workload, ordinal);
    let uid = cluster.uid(workload.id, "claim", ordinal);
    let mut spec = claim_spec();
    spec["volumeName"] = volume.as_str().into();
    // The claim outlives its pods; it is as old as the set of replicas.
    let created = workload.sets.first().map_or(workload.created, |set| set.created);
    let claim_object = Draft::new("v1", "PersistentVolumeClaim", &claim, uid.clone(), created)
        .namespace(namespace)
        .labels(selector(workload))
        .annotations(json!({
            "pv.kubernetes.io/bind-completed": "yes",
            "pv.kubernetes.io/bound-by-controller": "yes",
            "volume.kubernetes.io/storage-provisioner": DRIVER,
        }))
        .managed_by("kube-controller-manager", "kube-controller-manager", created + 5)
        .body(json!({
            "spec": spec,
            "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": SIZE}},
        }));
    let handle = cluster.dice(workload.id, "disk", ordinal).hex(17);
    let volume_object = Draft::new(
        "v1",
        "PersistentVolume",
        &volume,
        cluster.uid(workload.id, "volume", ordinal),
        created + 4,
    )
    .annotations(json!({"pv.kubernetes.io/provisioned-by": DRIVER}))
    .managed_by("csi-provisioner", "kube-controller-manager", created + 5)
    .body(json!({
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": SIZE},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim, "uid": uid,
            },
            "csi": {"driver": DRIVER, "fsType": "ext4", "volumeHandle": format!("vol-{handle}"),
                "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": "1768000000000-8081-ebs.csi.aws.com"}},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": CLASS,
            "volumeMode": "Filesystem",
        },
        "status": {"phase": "Bound", "lastPhaseTransitionTime": time(created + 5)},
    }));
    [claim_object, volume_object]
}

/// The attachment of a pod's volume to the node the pod is on.
pub(crate) fn attachment(cluster: &Cluster, workload: &Workload, pod: &Pod) -> Option<Value> {
    let node = cluster.node_of(pod)?;
    let (_, volume, attachment) = names(cluster, workload, pod.ordinal);
    let uid = cluster.uid(pod.id, "attach", pod.ordinal);
    let handle = cluster.dice(workload.id, "disk", pod.ordinal).hex(17);
    let draft = Draft::new("storage.k8s.io/v1", "VolumeAttachment", &attachment, uid, pod.created + 1)
        .annotations(json!({"csi.alpha.kubernetes.io/node-id": node_name(node)}));
    Some(draft.body(json!({
        "spec": {"attacher": DRIVER, "nodeName": node_name(node), "source": {"persistentVolumeName": volume}},
        "status": {"attached": true, "attachmentMetadata": {
            "devicePath": "/dev/xvdaa", "volumeHandle": format!("vol-{handle}")}},
    })))
}

/// The classes volumes are made of.
pub(crate) fn classes(cluster: &Cluster) -> Vec<Value> {
    let class = |nth: u32, name: &str, default: &str, parameters: Value| {
        let id = super::dice::Id(0);
        Draft::new("storage.k8s.io/v1", "StorageClass", name, cluster.uid(id, "class", nth), cluster.founded())
            .annotations(json!({"storageclass.kubernetes.io/is-default-class": default}))
            .body(json!({
                "provisioner": DRIVER, "parameters": parameters, "reclaimPolicy": "Delete",
                "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true,
            }))
    };
    vec![
        class(0, CLASS, "true", json!({"type": "gp3", "encrypted": "true"})),
        class(1, "io2", "false", json!({"type": "io2", "iopsPerGB": "50"})),
    ]
}
