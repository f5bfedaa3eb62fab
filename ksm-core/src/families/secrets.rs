//! `secrets`

use k8s_openapi::api::core::v1::Secret;

use super::owners::put_owners;
use super::{Text, instant, put_resource_version};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "secrets";

pub(super) const RESOURCE: Resource<Secret> =
    Resource { name: NAME, families: FAMILIES, collect, unread: &["data", "metadata.managedFields", "stringData"] };

family_table! {
    FAMILIES {
        INFO = Family::gauge("kube_secret_info", "1 for each Secret.").stable();
        TYPE = Family::gauge("kube_secret_type", "The type of the Secret.").stable();
        ANNOTATIONS = Family::gauge("kube_secret_annotations", "Annotations of the Secret as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_secret_labels", "Labels of the Secret as labels.")
            .stable().needs_label_allowlist();
        CREATED = Family::gauge("kube_secret_created", "When the Secret was created, in Unix seconds.").stable();
        METADATA_RESOURCE_VERSION = Family::gauge(
            "kube_secret_metadata_resource_version", "The resource version of the Secret.");
        OWNER = Family::gauge("kube_secret_owner", "Each owner of the Secret.");
    }
}

fn collect(secret: &Secret, s: &mut Samples<'_>) {
    let meta = &secret.metadata;
    s.identity(&[("namespace", meta.namespace.text()), ("secret", meta.name.text())]);
    s.put(INFO, &[], 1.0);
    s.put(TYPE, &[("type", secret.type_.text())], 1.0);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    put_resource_version(s, METADATA_RESOURCE_VERSION, meta, NAME);
    put_owners(s, OWNER, meta.owner_references.as_ref());
}
