//! The Lease that a node is to have, as the object that is applied, created, or put in place of another.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};

use jiff::Timestamp;

use crate::contract::Contract;
use crate::metadata::NodeMetadata;

/// What a writer puts into its Lease.
#[derive(Debug, Clone)]
pub(super) struct Desired<'a> {
    pub(super) contract: &'a Contract,
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) holder: &'a str,
    pub(super) metadata: &'a NodeMetadata,
    /// The Node, where its uid is known.
    pub(super) owner: Option<OwnerReference>,
    /// Since when this writer holds the Lease.
    pub(super) acquired: Timestamp,
    pub(super) now: Timestamp,
}

impl Desired<'_> {
    /// Exactly what this writer says of the Lease: what is applied, and what a new Lease has.
    pub(super) fn lease(&self) -> Lease {
        let (label, value) = self.contract.label_pair();
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.to_owned()),
                namespace: Some(self.namespace.to_owned()),
                labels: Some([(label.to_owned(), value.to_owned())].into()),
                annotations: Some(self.contract.write(self.metadata)),
                owner_references: self.owner.clone().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.holder.to_owned()),
                lease_duration_seconds: Some(self.contract.lease_duration_seconds()),
                acquire_time: Some(MicroTime(self.acquired)),
                renew_time: Some(MicroTime(self.now)),
                ..LeaseSpec::default()
            }),
        }
    }

    /// A Lease that is there, with what this writer says of it. What others wrote into it stays: labels, annotations,
    /// owners, fields of the spec.
    pub(super) fn onto(&self, mut live: Lease) -> Lease {
        let ours = self.lease();
        live.metadata.labels.get_or_insert_default().extend(ours.metadata.labels.into_iter().flatten());
        live.metadata.annotations.get_or_insert_default().extend(ours.metadata.annotations.into_iter().flatten());
        for owner in ours.metadata.owner_references.into_iter().flatten() {
            let owners = live.metadata.owner_references.get_or_insert_default();
            // A Node that was made anew under its name has another uid: the Lease is the new one's.
            owners.retain(|other| (&other.kind, &other.name) != (&owner.kind, &owner.name));
            owners.push(owner);
        }
        let spec = live.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(self.holder) {
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
        }
        let ours = ours.spec.unwrap_or_default();
        spec.holder_identity = ours.holder_identity;
        spec.lease_duration_seconds = ours.lease_duration_seconds;
        spec.acquire_time = ours.acquire_time;
        spec.renew_time = ours.renew_time;
        live
    }
}

/// Who holds a Lease.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

/// When it was last renewed.
pub(super) fn renewed(lease: &Lease) -> Option<Timestamp> {
    Some(lease.spec.as_ref()?.renew_time.as_ref()?.0)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::serde_json::{from_value, json, to_value};

    use super::super::owner::node_owner;
    use super::*;
    use crate::metadata::Attribute;

    fn desired<'a>(contract: &'a Contract, metadata: &'a NodeMetadata) -> Desired<'a> {
        Desired {
            contract,
            name: "cwagent-node-metadata-n",
            namespace: "ns",
            holder: "pod-b",
            metadata,
            owner: Some(node_owner("n", "u2".to_owned())),
            acquired: "2026-11-27T10:00:00Z".parse().unwrap(),
            now: "2026-11-27T11:00:00.5Z".parse().unwrap(),
        }
    }

    #[test]
    fn times_have_six_digits_as_servers_demand() {
        let (contract, metadata) = (Contract::cloudwatch(), NodeMetadata::new().with(Attribute::HostId, "i-1"));
        let lease = to_value(desired(&contract, &metadata).lease()).unwrap();
        assert_eq!(
            lease["spec"],
            json!({
                "holderIdentity": "pod-b", "leaseDurationSeconds": 7200,
                "acquireTime": "2026-11-27T10:00:00.000000Z", "renewTime": "2026-11-27T11:00:00.500000Z",
            })
        );
        assert_eq!(
            lease["metadata"]["annotations"],
            json!({"cwagent.amazonaws.com/host.id": "i-1", "cwagent.amazonaws.com/schema.version": "1"})
        );
    }

    #[test]
    fn what_others_wrote_stays() {
        let live: Lease = from_value(json!({
            "metadata": {
                "name": "cwagent-node-metadata-n", "namespace": "ns", "resourceVersion": "7", "labels": {"team": "a"},
                "annotations": {"example.com/x": "kept", "cwagent.amazonaws.com/host.name": "kept too",
                                "cwagent.amazonaws.com/host.id": "i-0"},
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u1"},
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u3"},
                ],
            },
            "spec": {"holderIdentity": "pod-a", "leaseTransitions": 2},
        }))
        .unwrap();
        let (contract, metadata) = (Contract::cloudwatch(), NodeMetadata::new().with(Attribute::HostId, "i-1"));
        let merged = to_value(desired(&contract, &metadata).onto(live)).unwrap();
        let annotations = &merged["metadata"]["annotations"];
        assert_eq!(annotations["example.com/x"], "kept");
        assert_eq!(annotations["cwagent.amazonaws.com/host.name"], "kept too");
        assert_eq!(annotations["cwagent.amazonaws.com/host.id"], "i-1");
        assert_eq!(merged["metadata"]["labels"], json!({"team": "a", "app.kubernetes.io/component": "node-metadata"}));
        assert_eq!(merged["metadata"]["resourceVersion"], "7", "so that a newer one is not overwritten");
        let owners: Vec<_> =
            merged["metadata"]["ownerReferences"].as_array().unwrap().iter().map(|owner| &owner["uid"]).collect();
        assert_eq!(owners, ["u3", "u2"]);
        assert_eq!(merged["spec"]["holderIdentity"], "pod-b");
        assert_eq!(merged["spec"]["leaseTransitions"], 3);
    }
}
