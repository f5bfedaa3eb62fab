//! `storageclasses`

use k8s_openapi::api::storage::v1::StorageClass;

use super::{Text, instant};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<StorageClass> = Resource {
    name: "storageclasses",
    families: FAMILIES,
    collect,
    unread: &["allowedTopologies", "metadata.managedFields", "mountOptions", "parameters"],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge(
            "kube_storageclass_info",
            "Provisioner, reclaim policy and binding mode of the StorageClass.").stable();
        CREATED = Family::gauge("kube_storageclass_created", "When the StorageClass was created, in Unix seconds.")
            .stable();
        ANNOTATIONS = Family::gauge("kube_storageclass_annotations", "Annotations of the StorageClass as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_storageclass_labels", "Labels of the StorageClass as labels.")
            .stable().needs_label_allowlist();
    }
}

fn collect(class: &StorageClass, s: &mut Samples<'_>) {
    let meta = &class.metadata;
    s.identity(&[("storageclass", meta.name.text())]);
    // The API's own defaults stand for what is missing.
    let labels = [
        ("provisioner", class.provisioner.text()),
        ("reclaim_policy", class.reclaim_policy.as_deref().unwrap_or("Delete")),
        ("volume_binding_mode", class.volume_binding_mode.as_deref().unwrap_or("Immediate")),
    ];
    s.put(INFO, &labels, 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
}
