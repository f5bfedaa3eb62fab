//! Owner references as label values.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::bool_text;
use crate::family::FamilyIndex;
use crate::samples::Samples;

/// Calls `put` with kind, name and `true` or `false` for "is the controller" of each owner; once with empty texts where
/// there is no owner, so that an object without one can be found too.
pub(super) fn for_each_owner(owners: Option<&Vec<OwnerReference>>, mut put: impl FnMut(&str, &str, &str)) {
    let owners = owners.map(Vec::as_slice).unwrap_or_default();
    if owners.is_empty() {
        put("", "", "");
    }
    for owner in owners {
        put(&owner.kind, &owner.name, bool_text(owner.controller == Some(true)));
    }
}

/// Puts a sample per owner, with kind, name and whether it is the controller.
pub(super) fn put_owners(s: &mut Samples<'_>, family: FamilyIndex, owners: Option<&Vec<OwnerReference>>) {
    if s.wants(family) {
        for_each_owner(owners, |kind, name, is_controller| {
            let labels = [("owner_kind", kind), ("owner_name", name), ("owner_is_controller", is_controller)];
            s.put(family, &labels, 1.0);
        });
    }
}
