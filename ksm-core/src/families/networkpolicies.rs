//! `networkpolicies`

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};

use super::{Items, Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<NetworkPolicy> = Resource {
    name: "networkpolicies",
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.egress.ports",
        "spec.egress.to",
        "spec.ingress.from",
        "spec.ingress.ports",
        "spec.podSelector",
    ],
};

family_table! {
    FAMILIES {
        CREATED = Family::gauge("kube_networkpolicy_created", "When the NetworkPolicy was created, in Unix seconds.");
        ANNOTATIONS = Family::gauge("kube_networkpolicy_annotations", "Annotations of the NetworkPolicy as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_networkpolicy_labels", "Labels of the NetworkPolicy as labels.")
            .needs_label_allowlist();
        SPEC_INGRESS_RULES = Family::gauge(
            "kube_networkpolicy_spec_ingress_rules", "How many rules for incoming traffic the NetworkPolicy has.");
        SPEC_EGRESS_RULES = Family::gauge(
            "kube_networkpolicy_spec_egress_rules", "How many rules for outgoing traffic the NetworkPolicy has.");
    }
}

fn collect(policy: &NetworkPolicy, s: &mut Samples<'_>) {
    let meta = &policy.metadata;
    let spec = part::<NetworkPolicySpec>(&policy.spec);
    s.identity(&[("namespace", meta.namespace.text()), ("networkpolicy", meta.name.text())]);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put(SPEC_INGRESS_RULES, &[], spec.ingress.items().len() as f64);
    s.put(SPEC_EGRESS_RULES, &[], spec.egress.items().len() as f64);
}
