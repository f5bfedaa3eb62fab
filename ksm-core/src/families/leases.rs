//! `leases`

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use super::owners::for_each_owner;
use super::{Text, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<Lease> =
    Resource { name: "leases", families: FAMILIES, collect, unread: &["metadata.managedFields", "spec.acquireTime"] };

family_table! {
    FAMILIES {
        OWNER = Family::gauge("kube_lease_owner", "Each owner of the Lease, and who holds it.");
        RENEW_TIME = Family::gauge("kube_lease_renew_time", "When the holder renewed the Lease last, in Unix seconds.");
    }
}

fn collect(lease: &Lease, s: &mut Samples<'_>) {
    let meta = &lease.metadata;
    let spec = part::<LeaseSpec>(&lease.spec);
    let namespace = meta.namespace.text();
    let holder = spec.holder_identity.text();
    s.identity(&[("lease", meta.name.text())]);
    for_each_owner(meta.owner_references.as_ref(), |kind, name, _| {
        let labels = [("owner_kind", kind), ("owner_name", name), ("namespace", namespace), ("lease_holder", holder)];
        s.put_unique(OWNER, &labels, 1.0);
    });
    s.put_time(RENEW_TIME, &[("namespace", namespace)], spec.renew_time.as_ref().map(|time| &time.0));
}
