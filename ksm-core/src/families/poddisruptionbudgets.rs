//! `poddisruptionbudgets`

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};

use super::{Text, count, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<PodDisruptionBudget> = Resource {
    name: "poddisruptionbudgets",
    families: FAMILIES,
    collect,
    unread: &["metadata.managedFields", "spec", "status.conditions", "status.disruptedPods"],
};

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge(
            "kube_poddisruptionbudget_annotations", "Annotations of the PodDisruptionBudget as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_poddisruptionbudget_labels", "Labels of the PodDisruptionBudget as labels.")
            .needs_label_allowlist();
        CREATED = Family::gauge(
            "kube_poddisruptionbudget_created", "When the PodDisruptionBudget was created, in Unix seconds.").stable();
        STATUS_CURRENT_HEALTHY = Family::gauge(
            "kube_poddisruptionbudget_status_current_healthy", "Pods of the PodDisruptionBudget that are healthy.")
            .stable();
        STATUS_DESIRED_HEALTHY = Family::gauge(
            "kube_poddisruptionbudget_status_desired_healthy", "Pods that have to be healthy at least.").stable();
        STATUS_POD_DISRUPTIONS_ALLOWED = Family::gauge(
            "kube_poddisruptionbudget_status_pod_disruptions_allowed", "How many pods may be disrupted now.").stable();
        STATUS_EXPECTED_PODS = Family::gauge(
            "kube_poddisruptionbudget_status_expected_pods", "Pods that the PodDisruptionBudget counts in all.")
            .stable();
        STATUS_OBSERVED_GENERATION = Family::gauge(
            "kube_poddisruptionbudget_status_observed_generation", "The generation that the controller acted on last.")
            .stable();
        DELETION_TIMESTAMP = Family::gauge(
            "kube_poddisruptionbudget_deletion_timestamp",
            "When the PodDisruptionBudget is to be deleted, in Unix seconds.");
    }
}

fn collect(budget: &PodDisruptionBudget, s: &mut Samples<'_>) {
    let meta = &budget.metadata;
    let status = part::<PodDisruptionBudgetStatus>(&budget.status);
    s.identity(&[("namespace", meta.namespace.text()), ("poddisruptionbudget", meta.name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put(STATUS_CURRENT_HEALTHY, &[], count(status.current_healthy));
    s.put(STATUS_DESIRED_HEALTHY, &[], count(status.desired_healthy));
    s.put(STATUS_POD_DISRUPTIONS_ALLOWED, &[], count(status.disruptions_allowed));
    s.put(STATUS_EXPECTED_PODS, &[], count(status.expected_pods));
    s.put(STATUS_OBSERVED_GENERATION, &[], status.observed_generation.unwrap_or_default() as f64);
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
}
