//! `mutatingadmissionpolicies`

use super::admission::{MutatingAdmissionPolicy, MutatingAdmissionPolicySpec, param_kind_labels};
use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<MutatingAdmissionPolicy> =
    Resource { name: "mutatingadmissionpolicies", families: FAMILIES, collect, unread: &["metadata.managedFields"] };

family_table! {
    FAMILIES {
        INFO = Family::gauge(
            "kube_mutatingadmissionpolicy_info",
            "Kind of parameters, failure policy and reinvocation policy of the MutatingAdmissionPolicy.");
        CREATED = Family::gauge(
            "kube_mutatingadmissionpolicy_created",
            "When the MutatingAdmissionPolicy was created, in Unix seconds.");
    }
}

fn collect(policy: &MutatingAdmissionPolicy, s: &mut Samples<'_>) {
    let meta = &policy.metadata;
    let spec = part::<MutatingAdmissionPolicySpec>(&policy.spec);
    s.identity(&[("namespace", meta.namespace.text()), ("mutatingadmissionpolicy", meta.name.text())]);
    let [api_version, kind] = param_kind_labels(spec.param_kind.as_ref());
    let labels = [
        api_version,
        kind,
        ("failure_policy", spec.failure_policy.text()),
        ("reinvocation_policy", spec.reinvocation_policy.text()),
    ];
    s.put(INFO, &labels, 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
}
