//! `configmaps`

use k8s_openapi::api::core::v1::ConfigMap;

use super::{Text, instant, put_resource_version};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "configmaps";

pub(super) const RESOURCE: Resource<ConfigMap> =
    Resource { name: NAME, families: FAMILIES, collect, unread: &["binaryData", "data", "metadata.managedFields"] };

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge("kube_configmap_annotations", "Annotations of the ConfigMap as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_configmap_labels", "Labels of the ConfigMap as labels.")
            .stable().needs_label_allowlist();
        INFO = Family::gauge("kube_configmap_info", "1 for each ConfigMap.").stable();
        CREATED = Family::gauge("kube_configmap_created", "When the ConfigMap was created, in Unix seconds.").stable();
        METADATA_RESOURCE_VERSION = Family::gauge(
            "kube_configmap_metadata_resource_version", "The resource version of the ConfigMap.");
    }
}

fn collect(map: &ConfigMap, s: &mut Samples<'_>) {
    let meta = &map.metadata;
    s.identity(&[("namespace", meta.namespace.text()), ("configmap", meta.name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put(INFO, &[], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    put_resource_version(s, METADATA_RESOURCE_VERSION, meta, NAME);
}
