//! `validatingadmissionpolicybindings`

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
};

use super::admission::put_binding;
use super::{Items, Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<ValidatingAdmissionPolicyBinding> = Resource {
    name: "validatingadmissionpolicybindings",
    families: FAMILIES,
    collect,
    unread: &["metadata.managedFields", "spec.matchResources", "spec.paramRef.selector"],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge(
            "kube_validatingadmissionpolicybinding_info",
            "Policy and parameters of the ValidatingAdmissionPolicyBinding.");
        CREATED = Family::gauge(
            "kube_validatingadmissionpolicybinding_created",
            "When the ValidatingAdmissionPolicyBinding was created, in Unix seconds.");
        VALIDATION_ACTION = Family::gauge(
            "kube_validatingadmissionpolicybinding_validation_action",
            "Each action that follows where the bound policy is violated.");
    }
}

fn collect(binding: &ValidatingAdmissionPolicyBinding, s: &mut Samples<'_>) {
    let meta = &binding.metadata;
    let spec = part::<ValidatingAdmissionPolicyBindingSpec>(&binding.spec);
    s.identity(&[("namespace", meta.namespace.text()), ("validatingadmissionpolicybinding", meta.name.text())]);
    put_binding(s, INFO, spec.policy_name.text(), spec.param_ref.as_ref());
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    for action in spec.validation_actions.items() {
        s.put(VALIDATION_ACTION, &[("action", action)], 1.0);
    }
}
