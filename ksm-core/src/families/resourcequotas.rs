//! `resourcequotas`

use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};

use super::amounts::put_raw_amounts;
use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "resourcequotas";

pub(super) const RESOURCE: Resource<ResourceQuota> =
    Resource { name: NAME, families: FAMILIES, collect, unread: &["metadata.managedFields", "spec"] };

family_table! {
    FAMILIES {
        CREATED = Family::gauge("kube_resourcequota_created", "When the ResourceQuota was created, in Unix seconds.")
            .stable();
        RESOURCE_QUOTA = Family::gauge(
            "kube_resourcequota", "How much of each resource the namespace may have (hard) and has (used).").stable();
        ANNOTATIONS = Family::gauge("kube_resourcequota_annotations", "Annotations of the ResourceQuota as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_resourcequota_labels", "Labels of the ResourceQuota as labels.")
            .stable().needs_label_allowlist();
    }
}

fn collect(quota: &ResourceQuota, s: &mut Samples<'_>) {
    let meta = &quota.metadata;
    let status = part::<ResourceQuotaStatus>(&quota.status);
    s.identity(&[("namespace", meta.namespace.text()), ("resourcequota", meta.name.text())]);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    for (kind, amounts) in [("hard", &status.hard), ("used", &status.used)] {
        put_raw_amounts(s, RESOURCE_QUOTA, amounts.as_ref(), &[("type", kind)], NAME);
    }
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
}
