//! `daemonsets`

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};

use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<DaemonSet> = Resource {
    name: "daemonsets",
    families: FAMILIES,
    collect,
    unread: &["metadata.managedFields", "spec", "status.conditions"],
};

family_table! {
    FAMILIES {
        CREATED = Family::gauge("kube_daemonset_created", "When the DaemonSet was created, in Unix seconds.").stable();
        STATUS_CURRENT_NUMBER_SCHEDULED = Family::gauge(
            "kube_daemonset_status_current_number_scheduled",
            "Nodes that run a pod of the DaemonSet and should.").stable();
        STATUS_DESIRED_NUMBER_SCHEDULED = Family::gauge(
            "kube_daemonset_status_desired_number_scheduled", "Nodes that should run a pod of the DaemonSet.").stable();
        STATUS_NUMBER_AVAILABLE = Family::gauge(
            "kube_daemonset_status_number_available",
            "Nodes whose pod of the DaemonSet has been ready for long enough.").stable();
        STATUS_NUMBER_MISSCHEDULED = Family::gauge(
            "kube_daemonset_status_number_misscheduled",
            "Nodes that run a pod of the DaemonSet but should not.").stable();
        STATUS_NUMBER_READY = Family::gauge(
            "kube_daemonset_status_number_ready", "Nodes whose pod of the DaemonSet is ready.").stable();
        STATUS_NUMBER_UNAVAILABLE = Family::gauge(
            "kube_daemonset_status_number_unavailable",
            "Nodes that should have an available pod of the DaemonSet and have none.").stable();
        STATUS_OBSERVED_GENERATION = Family::gauge(
            "kube_daemonset_status_observed_generation", "The generation that the controller acted on last.").stable();
        STATUS_UPDATED_NUMBER_SCHEDULED = Family::gauge(
            "kube_daemonset_status_updated_number_scheduled",
            "Nodes whose pod of the DaemonSet has its current template.").stable();
        METADATA_GENERATION = Family::gauge(
            "kube_daemonset_metadata_generation",
            "The generation of the desired state: it grows with each change.").stable();
        DELETION_TIMESTAMP = Family::gauge(
            "kube_daemonset_deletion_timestamp", "When the DaemonSet is to be deleted, in Unix seconds.");
        ANNOTATIONS = Family::gauge("kube_daemonset_annotations", "Annotations of the DaemonSet as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_daemonset_labels", "Labels of the DaemonSet as labels.")
            .stable().needs_label_allowlist();
    }
}

fn collect(set: &DaemonSet, s: &mut Samples<'_>) {
    let meta = &set.metadata;
    let status = part::<DaemonSetStatus>(&set.status);
    s.identity(&[("namespace", meta.namespace.text()), ("daemonset", meta.name.text())]);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put(STATUS_CURRENT_NUMBER_SCHEDULED, &[], status.current_number_scheduled.into());
    s.put(STATUS_DESIRED_NUMBER_SCHEDULED, &[], status.desired_number_scheduled.into());
    s.put(STATUS_NUMBER_AVAILABLE, &[], status.number_available.unwrap_or_default().into());
    s.put(STATUS_NUMBER_MISSCHEDULED, &[], status.number_misscheduled.into());
    s.put(STATUS_NUMBER_READY, &[], status.number_ready.into());
    s.put(STATUS_NUMBER_UNAVAILABLE, &[], status.number_unavailable.unwrap_or_default().into());
    s.put(STATUS_OBSERVED_GENERATION, &[], status.observed_generation.unwrap_or_default() as f64);
    s.put(STATUS_UPDATED_NUMBER_SCHEDULED, &[], status.updated_number_scheduled.unwrap_or_default().into());
    s.put(METADATA_GENERATION, &[], meta.generation.unwrap_or_default() as f64);
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
}
