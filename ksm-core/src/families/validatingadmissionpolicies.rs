//! `validatingadmissionpolicies`

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec};

use super::admission::param_kind_labels;
use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<ValidatingAdmissionPolicy> = Resource {
    name: "validatingadmissionpolicies",
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.auditAnnotations",
        "spec.matchConditions",
        "spec.matchConstraints",
        "spec.validations",
        "spec.variables",
        "status",
    ],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge(
            "kube_validatingadmissionpolicy_info",
            "Kind of parameters and failure policy of the ValidatingAdmissionPolicy.");
        CREATED = Family::gauge(
            "kube_validatingadmissionpolicy_created",
            "When the ValidatingAdmissionPolicy was created, in Unix seconds.");
    }
}

fn collect(policy: &ValidatingAdmissionPolicy, s: &mut Samples<'_>) {
    let meta = &policy.metadata;
    let spec = part::<ValidatingAdmissionPolicySpec>(&policy.spec);
    s.identity(&[("namespace", meta.namespace.text()), ("validatingadmissionpolicy", meta.name.text())]);
    let [api_version, kind] = param_kind_labels(spec.param_kind.as_ref());
    s.put(INFO, &[api_version, kind, ("failure_policy", spec.failure_policy.text())], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
}
