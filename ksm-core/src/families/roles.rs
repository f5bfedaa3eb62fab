//! `roles`

use k8s_openapi::api::rbac::v1::Role;

use super::{Text, instant, put_resource_version};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "roles";

pub(super) const RESOURCE: Resource<Role> =
    Resource { name: NAME, families: FAMILIES, collect, unread: &["metadata.managedFields", "rules"] };

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge("kube_role_annotations", "Annotations of the Role as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_role_labels", "Labels of the Role as labels.").needs_label_allowlist();
        INFO = Family::gauge("kube_role_info", "1 for each Role.");
        CREATED = Family::gauge("kube_role_created", "When the Role was created, in Unix seconds.");
        METADATA_RESOURCE_VERSION = Family::gauge(
            "kube_role_metadata_resource_version", "The resource version of the Role.");
    }
}

fn collect(role: &Role, s: &mut Samples<'_>) {
    let meta = &role.metadata;
    s.identity(&[("namespace", meta.namespace.text()), ("role", meta.name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put(INFO, &[], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    put_resource_version(s, METADATA_RESOURCE_VERSION, meta, NAME);
}
