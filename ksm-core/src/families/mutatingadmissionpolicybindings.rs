//! `mutatingadmissionpolicybindings`

use super::admission::{MutatingAdmissionPolicyBinding, MutatingAdmissionPolicyBindingSpec, put_binding};
use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<MutatingAdmissionPolicyBinding> = Resource {
    name: "mutatingadmissionpolicybindings",
    families: FAMILIES,
    collect,
    unread: &["metadata.managedFields", "spec.paramRef.selector"],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge(
            "kube_mutatingadmissionpolicybinding_info",
            "Policy and parameters of the MutatingAdmissionPolicyBinding.");
        CREATED = Family::gauge(
            "kube_mutatingadmissionpolicybinding_created",
            "When the MutatingAdmissionPolicyBinding was created, in Unix seconds.");
    }
}

fn collect(binding: &MutatingAdmissionPolicyBinding, s: &mut Samples<'_>) {
    let meta = &binding.metadata;
    let spec = part::<MutatingAdmissionPolicyBindingSpec>(&binding.spec);
    s.identity(&[("namespace", meta.namespace.text()), ("mutatingadmissionpolicybinding", meta.name.text())]);
    put_binding(s, INFO, spec.policy_name.text(), spec.param_ref.as_ref());
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
}
