//! `clusterrolebindings`

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;

use super::{Text, instant, put_resource_version};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "clusterrolebindings";

pub(super) const RESOURCE: Resource<ClusterRoleBinding> =
    Resource { name: NAME, families: FAMILIES, collect, unread: &["metadata.managedFields", "subjects"] };

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge("kube_clusterrolebinding_annotations", "Annotations of the ClusterRoleBinding as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_clusterrolebinding_labels", "Labels of the ClusterRoleBinding as labels.").needs_label_allowlist();
        INFO = Family::gauge("kube_clusterrolebinding_info", "The role that the ClusterRoleBinding grants.");
        CREATED = Family::gauge("kube_clusterrolebinding_created", "When the ClusterRoleBinding was created, in Unix seconds.");
        METADATA_RESOURCE_VERSION = Family::gauge(
            "kube_clusterrolebinding_metadata_resource_version", "The resource version of the ClusterRoleBinding.");
    }
}

fn collect(binding: &ClusterRoleBinding, s: &mut Samples<'_>) {
    let meta = &binding.metadata;
    s.identity(&[("clusterrolebinding", meta.name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    let (kind, name) = (binding.role_ref.kind.text(), binding.role_ref.name.text());
    s.put(INFO, &[("roleref_kind", kind), ("roleref_name", name)], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    put_resource_version(s, METADATA_RESOURCE_VERSION, meta, NAME);
}
