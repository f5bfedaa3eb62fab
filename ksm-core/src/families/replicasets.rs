//! `replicasets`

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec, ReplicaSetStatus};

use super::owners::put_owners;
use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<ReplicaSet> = Resource {
    name: "replicasets",
    families: FAMILIES,
    collect,
    unread: &["metadata.managedFields", "spec.selector", "spec.template", "status.conditions"],
};

family_table! {
    FAMILIES {
        CREATED = Family::gauge("kube_replicaset_created", "When the ReplicaSet was created, in Unix seconds.")
            .stable();
        STATUS_REPLICAS = Family::gauge("kube_replicaset_status_replicas", "Pods that the ReplicaSet has.").stable();
        STATUS_FULLY_LABELED_REPLICAS = Family::gauge(
            "kube_replicaset_status_fully_labeled_replicas",
            "Pods that carry all labels of the ReplicaSet's template.").stable();
        STATUS_READY_REPLICAS = Family::gauge(
            "kube_replicaset_status_ready_replicas", "Pods of the ReplicaSet that are ready.").stable();
        STATUS_TERMINATING_REPLICAS = Family::gauge(
            "kube_replicaset_status_terminating_replicas", "Pods of the ReplicaSet that are being deleted.");
        STATUS_OBSERVED_GENERATION = Family::gauge(
            "kube_replicaset_status_observed_generation", "The generation that the controller acted on last.").stable();
        SPEC_REPLICAS = Family::gauge("kube_replicaset_spec_replicas", "Pods that the ReplicaSet should have.")
            .stable();
        METADATA_GENERATION = Family::gauge(
            "kube_replicaset_metadata_generation",
            "The generation of the desired state: it grows with each change.").stable();
        OWNER = Family::gauge("kube_replicaset_owner", "Each owner of the ReplicaSet.").stable();
        ANNOTATIONS = Family::gauge("kube_replicaset_annotations", "Annotations of the ReplicaSet as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_replicaset_labels", "Labels of the ReplicaSet as labels.")
            .stable().needs_label_allowlist();
    }
}

fn collect(set: &ReplicaSet, s: &mut Samples<'_>) {
    let meta = &set.metadata;
    let (spec, status) = (part::<ReplicaSetSpec>(&set.spec), part::<ReplicaSetStatus>(&set.status));
    s.identity(&[("namespace", meta.namespace.text()), ("replicaset", meta.name.text())]);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put(STATUS_REPLICAS, &[], status.replicas.into());
    s.put(STATUS_FULLY_LABELED_REPLICAS, &[], status.fully_labeled_replicas.unwrap_or_default().into());
    s.put(STATUS_READY_REPLICAS, &[], status.ready_replicas.unwrap_or_default().into());
    s.put_some(STATUS_TERMINATING_REPLICAS, &[], status.terminating_replicas);
    s.put(STATUS_OBSERVED_GENERATION, &[], status.observed_generation.unwrap_or_default() as f64);
    s.put_some(SPEC_REPLICAS, &[], spec.replicas);
    s.put(METADATA_GENERATION, &[], meta.generation.unwrap_or_default() as f64);
    put_owners(s, OWNER, meta.owner_references.as_ref());
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
}
