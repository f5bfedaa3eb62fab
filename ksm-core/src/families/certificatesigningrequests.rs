//! `certificatesigningrequests`

use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestSpec, CertificateSigningRequestStatus,
};

use super::{Items, Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<CertificateSigningRequest> = Resource {
    name: "certificatesigningrequests",
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.extra",
        "spec.groups",
        "spec.request",
        "spec.usages",
        "status.conditions.lastTransitionTime",
        "status.conditions.lastUpdateTime",
        "status.conditions.message",
    ],
};

family_table! {
    FAMILIES {
        ANNOTATIONS = Family::gauge(
            "kube_certificatesigningrequest_annotations",
            "Annotations of the CertificateSigningRequest as labels.").needs_annotation_allowlist();
        LABELS = Family::gauge(
            "kube_certificatesigningrequest_labels", "Labels of the CertificateSigningRequest as labels.")
            .stable().needs_label_allowlist();
        CREATED = Family::gauge(
            "kube_certificatesigningrequest_created",
            "When the CertificateSigningRequest was created, in Unix seconds.").stable();
        CONDITION = Family::gauge(
            "kube_certificatesigningrequest_condition",
            "Whether the CertificateSigningRequest is approved, denied or failed.").stable();
        CERT_LENGTH = Family::gauge(
            "kube_certificatesigningrequest_cert_length", "The length of the certificate that was issued, in bytes.")
            .stable();
    }
}

fn collect(request: &CertificateSigningRequest, s: &mut Samples<'_>) {
    let meta = &request.metadata;
    let spec = part::<CertificateSigningRequestSpec>(&request.spec);
    let status = part::<CertificateSigningRequestStatus>(&request.status);
    s.identity(&[("certificatesigningrequest", meta.name.text()), ("signer_name", spec.signer_name.text())]);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    for (label, condition) in [("approved", "Approved"), ("denied", "Denied"), ("failed", "Failed")] {
        let count = status.conditions.items().iter().filter(|held| held.type_ == condition).count();
        s.put(CONDITION, &[("condition", label)], count as f64);
    }
    s.put(CERT_LENGTH, &[], status.certificate.as_ref().map_or(0, |certificate| certificate.0.len()) as f64);
}
