//! `clusterroles`

use k8s_openapi::api::rbac::v1::ClusterRole;

use super::{Text, instant, put_resource_version};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "clusterroles";

pub(super) const RESOURCE: Resource<ClusterRole> = Resource {
    name: NAME,
    families: FAMILIES,
    collect,
    unread: &["aggregationRule", "metadata.managedFields", "rules"],
};

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge("kube_clusterrole_annotations", "Annotations of the ClusterRole as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_clusterrole_labels", "Labels of the ClusterRole as labels.").needs_label_allowlist();
        INFO = Family::gauge("kube_clusterrole_info", "1 for each ClusterRole.");
        CREATED = Family::gauge("kube_clusterrole_created", "When the ClusterRole was created, in Unix seconds.");
        METADATA_RESOURCE_VERSION = Family::gauge(
            "kube_clusterrole_metadata_resource_version", "The resource version of the ClusterRole.");
    }
}

fn collect(role: &ClusterRole, s: &mut Samples<'_>) {
    let meta = &role.metadata;
    s.identity(&[("clusterrole", meta.name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put(INFO, &[], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    put_resource_version(s, METADATA_RESOURCE_VERSION, meta, NAME);
}
