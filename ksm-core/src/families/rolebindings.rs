//! `rolebindings`

use k8s_openapi::api::rbac::v1::RoleBinding;

use super::{Text, instant, put_resource_version};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "rolebindings";

pub(super) const RESOURCE: Resource<RoleBinding> =
    Resource { name: NAME, families: FAMILIES, collect, unread: &["metadata.managedFields", "subjects"] };

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge("kube_rolebinding_annotations", "Annotations of the RoleBinding as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_rolebinding_labels", "Labels of the RoleBinding as labels.").needs_label_allowlist();
        INFO = Family::gauge("kube_rolebinding_info", "The role that the RoleBinding grants.");
        CREATED = Family::gauge("kube_rolebinding_created", "When the RoleBinding was created, in Unix seconds.");
        METADATA_RESOURCE_VERSION = Family::gauge(
            "kube_rolebinding_metadata_resource_version", "The resource version of the RoleBinding.");
    }
}

fn collect(binding: &RoleBinding, s: &mut Samples<'_>) {
    let meta = &binding.metadata;
    s.identity(&[("namespace", meta.namespace.text()), ("rolebinding", meta.name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    let (kind, name) = (binding.role_ref.kind.text(), binding.role_ref.name.text());
    s.put(INFO, &[("roleref_kind", kind), ("roleref_name", name)], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    put_resource_version(s, METADATA_RESOURCE_VERSION, meta, NAME);
}
