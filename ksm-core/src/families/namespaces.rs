//! `namespaces`

use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};

use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<Namespace> = Resource {
    name: "namespaces",
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec",
        "status.conditions.lastTransitionTime",
        "status.conditions.message",
        "status.conditions.reason",
    ],
};

family_table! {
    FAMILIES {
        CREATED = Family::gauge("kube_namespace_created", "When the namespace was created, in Unix seconds.").stable();
        ANNOTATIONS = Family::gauge("kube_namespace_annotations", "Annotations of the namespace as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_namespace_labels", "Labels of the namespace as labels.")
            .stable().needs_label_allowlist();
        STATUS_PHASE = Family::gauge(
            "kube_namespace_status_phase", "The phase of the namespace: 1 for the one it is in.").stable();
        STATUS_CONDITION = Family::gauge(
            "kube_namespace_status_condition", "Each condition of the namespace: 1 for its status.");
    }
}

fn collect(namespace: &Namespace, s: &mut Samples<'_>) {
    let meta = &namespace.metadata;
    let status = part::<NamespaceStatus>(&namespace.status);
    s.identity(&[("namespace", meta.name.text())]);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put_states(STATUS_PHASE, "phase", &["Active", "Terminating"], status.phase.text());
    for condition in status.conditions.iter().flatten() {
        s.put_condition(STATUS_CONDITION, "status", &[("condition", &condition.type_)], &condition.status);
    }
}
