//! `ingressclasses`

use k8s_openapi::api::networking::v1::{IngressClass, IngressClassSpec};

use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<IngressClass> = Resource {
    name: "ingressclasses",
    families: FAMILIES,
    collect,
    unread: &["metadata.managedFields", "spec.parameters"],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge("kube_ingressclass_info", "The controller that serves Ingresses of the IngressClass.");
        CREATED = Family::gauge("kube_ingressclass_created", "When the IngressClass was created, in Unix seconds.");
        ANNOTATIONS = Family::gauge("kube_ingressclass_annotations", "Annotations of the IngressClass as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_ingressclass_labels", "Labels of the IngressClass as labels.")
            .needs_label_allowlist();
    }
}

fn collect(class: &IngressClass, s: &mut Samples<'_>) {
    let meta = &class.metadata;
    let spec = part::<IngressClassSpec>(&class.spec);
    s.identity(&[("ingressclass", meta.name.text())]);
    s.put_unique(INFO, &[("controller", spec.controller.text())], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
}
