//! `serviceaccounts`

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{Items, Text, bool_text, instant};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<ServiceAccount> =
    Resource { name: "serviceaccounts", families: FAMILIES, collect, unread: &["metadata.managedFields"] };

family_table! {
    FAMILIES {
        INFO = Family::gauge(
            "kube_serviceaccount_info", "Whether pods of the ServiceAccount get its token; empty where it is not said.");
        CREATED = Family::gauge(
            "kube_serviceaccount_created", "When the ServiceAccount was created, in Unix seconds.");
        DELETED = Family::gauge(
            "kube_serviceaccount_deleted", "When the ServiceAccount is to be deleted, in Unix seconds.");
        SECRET = Family::gauge("kube_serviceaccount_secret", "Each Secret that pods of the ServiceAccount may use.");
        IMAGE_PULL_SECRET = Family::gauge(
            "kube_serviceaccount_image_pull_secret",
            "Each Secret that images for pods of the ServiceAccount are pulled with.");
        ANNOTATIONS = Family::gauge("kube_serviceaccount_annotations", "Annotations of the ServiceAccount as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_serviceaccount_labels", "Labels of the ServiceAccount as labels.")
            .needs_label_allowlist();
    }
}

fn collect(account: &ServiceAccount, s: &mut Samples<'_>) {
    let meta = &account.metadata;
    s.identity(&[("namespace", meta.namespace.text()), ("serviceaccount", meta.name.text()), ("uid", meta.uid.text())]);
    s.put(INFO, &[("automount_token", account.automount_service_account_token.map_or("", bool_text))], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_time(DELETED, &[], instant(meta.deletion_timestamp.as_ref()));
    for secret in account.secrets.items() {
        s.put_unique(SECRET, &[("name", secret.name.text())], 1.0);
    }
    for secret in account.image_pull_secrets.items() {
        s.put(IMAGE_PULL_SECRET, &[("name", secret.name.text())], 1.0);
    }
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
}
