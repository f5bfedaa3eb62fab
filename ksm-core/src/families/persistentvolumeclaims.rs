//! `persistentvolumeclaims`

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus};

use super::amounts::amount;
use super::{Items, Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;
use crate::value::Quantity;

const NAME: &str = "persistentvolumeclaims";
/// The class's name before `spec.storageClassName`; where both are there, it wins.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) const RESOURCE: Resource<PersistentVolumeClaim> = Resource {
    name: NAME,
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.dataSource",
        "spec.dataSourceRef",
        "spec.resources.limits",
        "spec.selector",
        "status.accessModes",
        "status.allocatedResourceStatuses",
        "status.allocatedResources",
        "status.capacity",
        "status.conditions.lastProbeTime",
        "status.conditions.lastTransitionTime",
        "status.conditions.message",
        "status.modifyVolumeStatus",
    ],
};

family_table! {
    FAMILIES {
        LABELS = Family::gauge("kube_persistentvolumeclaim_labels", "Labels of the PersistentVolumeClaim as labels.")
            .stable().needs_label_allowlist();
        ANNOTATIONS = Family::gauge(
            "kube_persistentvolumeclaim_annotations", "Annotations of the PersistentVolumeClaim as labels.")
            .needs_annotation_allowlist();
        INFO = Family::gauge(
            "kube_persistentvolumeclaim_info", "Storage class, volume and volume mode of the PersistentVolumeClaim.")
            .stable();
        STATUS_PHASE = Family::gauge(
            "kube_persistentvolumeclaim_status_phase",
            "The phase of the PersistentVolumeClaim: 1 for the one it is in.").stable();
        RESOURCE_REQUESTS_STORAGE_BYTES = Family::gauge(
            "kube_persistentvolumeclaim_resource_requests_storage_bytes",
            "How much storage the PersistentVolumeClaim asks for, in bytes.").stable();
        ACCESS_MODE = Family::gauge(
            "kube_persistentvolumeclaim_access_mode", "Each access mode that the PersistentVolumeClaim asks for.")
            .stable();
        STATUS_CONDITION = Family::gauge(
            "kube_persistentvolumeclaim_status_condition",
            "Each condition of the PersistentVolumeClaim: 1 for its status.");
        CREATED = Family::gauge(
            "kube_persistentvolumeclaim_created", "When the PersistentVolumeClaim was created, in Unix seconds.");
        DELETION_TIMESTAMP = Family::gauge(
            "kube_persistentvolumeclaim_deletion_timestamp",
            "When the PersistentVolumeClaim is to be deleted, in Unix seconds.");
    }
}

fn collect(claim: &PersistentVolumeClaim, s: &mut Samples<'_>) {
    let meta = &claim.metadata;
    let spec = part::<PersistentVolumeClaimSpec>(&claim.spec);
    let status = part::<PersistentVolumeClaimStatus>(&claim.status);
    s.identity(&[("namespace", meta.namespace.text()), ("persistentvolumeclaim", meta.name.text())]);
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    let annotated = meta.annotations.as_ref().and_then(|annotations| annotations.get(CLASS_ANNOTATION));
    let class = annotated.or(spec.storage_class_name.as_ref());
    let labels = [
        ("storageclass", class.map_or("", String::as_str)),
        ("volumename", spec.volume_name.text()),
        ("volumemode", spec.volume_mode.text()),
    ];
    s.put_unique(INFO, &labels, 1.0);
    // A claim that no controller has seen yet is in no phase.
    if !status.phase.text().is_empty() {
        s.put_states(STATUS_PHASE, "phase", &["Lost", "Bound", "Pending"], status.phase.text());
    }
    if s.wants(RESOURCE_REQUESTS_STORAGE_BYTES) {
        let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        s.put_some(RESOURCE_REQUESTS_STORAGE_BYTES, &[], amount(requests, "storage", NAME).map(Quantity::value));
    }
    for mode in spec.access_modes.items() {
        s.put(ACCESS_MODE, &[("access_mode", mode)], 1.0);
    }
    for condition in status.conditions.items() {
        s.put_condition(STATUS_CONDITION, "status", &[("condition", &condition.type_)], &condition.status);
    }
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
}
