//! `statefulsets`

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};

use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<StatefulSet> = Resource {
    name: "statefulsets",
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.selector",
        "spec.template",
        "spec.updateStrategy",
        "spec.volumeClaimTemplates",
        "status.conditions",
    ],
};

family_table! {
    FAMILIES {
        CREATED = Family::gauge("kube_statefulset_created", "When the StatefulSet was created, in Unix seconds.")
            .stable();
        STATUS_REPLICAS = Family::gauge("kube_statefulset_status_replicas", "Pods that the StatefulSet has.").stable();
        STATUS_REPLICAS_AVAILABLE = Family::gauge(
            "kube_statefulset_status_replicas_available",
            "Pods of the StatefulSet that have been ready for long enough.").stable();
        STATUS_REPLICAS_CURRENT = Family::gauge(
            "kube_statefulset_status_replicas_current",
            "Pods of the StatefulSet that have its current revision.").stable();
        STATUS_REPLICAS_READY = Family::gauge(
            "kube_statefulset_status_replicas_ready", "Pods of the StatefulSet that are ready.").stable();
        STATUS_REPLICAS_UPDATED = Family::gauge(
            "kube_statefulset_status_replicas_updated",
            "Pods of the StatefulSet that have the revision it is updated to.").stable();
        STATUS_OBSERVED_GENERATION = Family::gauge(
            "kube_statefulset_status_observed_generation",
            "The generation that the controller acted on last.").stable();
        REPLICAS = Family::gauge("kube_statefulset_replicas", "Pods that the StatefulSet should have.").stable();
        ORDINALS_START = Family::gauge(
            "kube_statefulset_ordinals_start", "The number that the first pod's name ends in.").stable();
        METADATA_GENERATION = Family::gauge(
            "kube_statefulset_metadata_generation",
            "The generation of the desired state: it grows with each change.").stable();
        RETENTION_POLICY = Family::gauge(
            "kube_statefulset_persistentvolumeclaim_retention_policy",
            "What becomes of the volume claims when the StatefulSet is deleted and when it is scaled down.").stable();
        ANNOTATIONS = Family::gauge("kube_statefulset_annotations", "Annotations of the StatefulSet as labels.")
            .stable().needs_annotation_allowlist();
        LABELS = Family::gauge("kube_statefulset_labels", "Labels of the StatefulSet as labels.")
            .stable().needs_label_allowlist();
        STATUS_CURRENT_REVISION = Family::gauge(
            "kube_statefulset_status_current_revision", "The revision that the pods not yet updated have.").stable();
        STATUS_UPDATE_REVISION = Family::gauge(
            "kube_statefulset_status_update_revision", "The revision that the updated pods have.").stable();
        DELETION_TIMESTAMP = Family::gauge(
            "kube_statefulset_deletion_timestamp", "When the StatefulSet is to be deleted, in Unix seconds.").stable();
    }
}

fn collect(set: &StatefulSet, s: &mut Samples<'_>) {
    let meta = &set.metadata;
    let (spec, status) = (part::<StatefulSetSpec>(&set.spec), part::<StatefulSetStatus>(&set.status));
    s.identity(&[("namespace", meta.namespace.text()), ("statefulset", meta.name.text())]);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put(STATUS_REPLICAS, &[], status.replicas.into());
    s.put(STATUS_REPLICAS_AVAILABLE, &[], status.available_replicas.unwrap_or_default().into());
    s.put(STATUS_REPLICAS_CURRENT, &[], status.current_replicas.unwrap_or_default().into());
    s.put(STATUS_REPLICAS_READY, &[], status.ready_replicas.unwrap_or_default().into());
    s.put(STATUS_REPLICAS_UPDATED, &[], status.updated_replicas.unwrap_or_default().into());
    s.put(STATUS_OBSERVED_GENERATION, &[], status.observed_generation.unwrap_or_default() as f64);
    s.put_some(REPLICAS, &[], spec.replicas);
    s.put_some(ORDINALS_START, &[], spec.ordinals.as_ref().map(|ordinals| ordinals.start.unwrap_or_default()));
    s.put(METADATA_GENERATION, &[], meta.generation.unwrap_or_default() as f64);
    if let Some(policy) = &spec.persistent_volume_claim_retention_policy {
        let deleted = policy.when_deleted.text();
        let scaled = policy.when_scaled.text();
        if !(deleted.is_empty() && scaled.is_empty()) {
            s.put(RETENTION_POLICY, &[("when_deleted", deleted), ("when_scaled", scaled)], 1.0);
        }
    }
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    for (family, revision) in
        [(STATUS_CURRENT_REVISION, &status.current_revision), (STATUS_UPDATE_REVISION, &status.update_revision)]
    {
        s.put_unique(family, &[("revision", revision.text())], 1.0);
    }
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
}
