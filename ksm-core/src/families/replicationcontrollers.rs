//! `replicationcontrollers`

use k8s_openapi::api::core::v1::{ReplicationController, ReplicationControllerSpec, ReplicationControllerStatus};

use super::owners::put_owners;
use super::{Text, count, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<ReplicationController> = Resource {
    name: "replicationcontrollers",
    families: FAMILIES,
    collect,
    unread: &["metadata.managedFields", "spec.selector", "spec.template", "status.conditions"],
};

family_table! {
    FAMILIES {
        CREATED = Family::gauge(
            "kube_replicationcontroller_created", "When the ReplicationController was created, in Unix seconds.")
            .stable();
        STATUS_REPLICAS = Family::gauge(
            "kube_replicationcontroller_status_replicas", "Pods that the ReplicationController has.").stable();
        STATUS_FULLY_LABELED_REPLICAS = Family::gauge(
            "kube_replicationcontroller_status_fully_labeled_replicas",
            "Pods that carry all labels of the ReplicationController's template.").stable();
        STATUS_READY_REPLICAS = Family::gauge(
            "kube_replicationcontroller_status_ready_replicas", "Pods of the ReplicationController that are ready.")
            .stable();
        STATUS_AVAILABLE_REPLICAS = Family::gauge(
            "kube_replicationcontroller_status_available_replicas",
            "Pods of the ReplicationController that have been ready for long enough.").stable();
        STATUS_OBSERVED_GENERATION = Family::gauge(
            "kube_replicationcontroller_status_observed_generation",
            "The generation that the controller acted on last.").stable();
        SPEC_REPLICAS = Family::gauge(
            "kube_replicationcontroller_spec_replicas", "Pods that the ReplicationController should have.").stable();
        METADATA_GENERATION = Family::gauge(
            "kube_replicationcontroller_metadata_generation",
            "The generation of the desired state: it grows with each change.").stable();
        OWNER = Family::gauge("kube_replicationcontroller_owner", "Each owner of the ReplicationController.");
    }
}

fn collect(controller: &ReplicationController, s: &mut Samples<'_>) {
    let meta = &controller.metadata;
    let spec = part::<ReplicationControllerSpec>(&controller.spec);
    let status = part::<ReplicationControllerStatus>(&controller.status);
    s.identity(&[("namespace", meta.namespace.text()), ("replicationcontroller", meta.name.text())]);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put(STATUS_REPLICAS, &[], count(status.replicas));
    s.put(STATUS_FULLY_LABELED_REPLICAS, &[], count(status.fully_labeled_replicas));
    s.put(STATUS_READY_REPLICAS, &[], count(status.ready_replicas));
    s.put(STATUS_AVAILABLE_REPLICAS, &[], count(status.available_replicas));
    s.put(STATUS_OBSERVED_GENERATION, &[], status.observed_generation.unwrap_or_default() as f64);
    s.put_some(SPEC_REPLICAS, &[], spec.replicas);
    s.put(METADATA_GENERATION, &[], meta.generation.unwrap_or_default() as f64);
    put_owners(s, OWNER, meta.owner_references.as_ref());
}
