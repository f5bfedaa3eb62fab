//! `ingresses`

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressServiceBackend, IngressSpec};

use super::{Items, Text, bad_value, instant, part, put_resource_version};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

const NAME: &str = "ingresses";
/// The class's name before `spec.ingressClassName`; where both are there, it wins.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) const RESOURCE: Resource<Ingress> = Resource {
    name: NAME,
    families: FAMILIES,
    collect,
    unread: &["metadata.managedFields", "spec.defaultBackend", "status"],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge("kube_ingress_info", "The class of the Ingress; _default where it names none.").stable();
        ANNOTATIONS = Family::gauge("kube_ingress_annotations", "Annotations of the Ingress as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_ingress_labels", "Labels of the Ingress as labels.")
            .stable().needs_label_allowlist();
        CREATED = Family::gauge("kube_ingress_created", "When the Ingress was created, in Unix seconds.").stable();
        METADATA_RESOURCE_VERSION = Family::gauge(
            "kube_ingress_metadata_resource_version", "The resource version of the Ingress.");
        PATH = Family::gauge(
            "kube_ingress_path", "Each path of each host, with the service or the resource that answers there.")
            .stable();
        TLS = Family::gauge("kube_ingress_tls", "Each host with TLS, and the Secret with its certificate.").stable();
    }
}

fn collect(ingress: &Ingress, s: &mut Samples<'_>) {
    let meta = &ingress.metadata;
    let spec = part::<IngressSpec>(&ingress.spec);
    s.identity(&[("namespace", meta.namespace.text()), ("ingress", meta.name.text())]);
    let annotated = meta.annotations.as_ref().and_then(|annotations| annotations.get(CLASS_ANNOTATION));
    let class = annotated.or(spec.ingress_class_name.as_ref());
    s.put(INFO, &[("ingressclass", class.map_or("_default", String::as_str))], 1.0);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    put_resource_version(s, METADATA_RESOURCE_VERSION, meta, NAME);
    if s.wants(PATH) {
        for rule in spec.rules.items() {
            for path in rule.http.iter().flat_map(|http| http.paths.items()) {
                put_path(s, rule.host.text(), path);
            }
        }
    }
    for tls in spec.tls.items() {
        for host in tls.hosts.items() {
            s.put_unique(TLS, &[("tls_host", host), ("secret", tls.secret_name.text())], 1.0);
        }
    }
}

fn put_path(s: &mut Samples<'_>, host: &str, path: &HTTPIngressPath) {
    let (host, at, path_type) = (("host", host), ("path", path.path.text()), ("path_type", path.path_type.text()));
    let mut digits = itoa::Buffer::new();
    match (&path.backend.service, &path.backend.resource) {
        (Some(service), _) => {
            let port = service_port(service, &mut digits);
            let labels = [host, at, path_type, ("service_name", service.name.text()), ("service_port", port)];
            s.put_unique(PATH, &labels, 1.0);
        }
        (None, Some(resource)) => {
            let labels = [
                host,
                at,
                path_type,
                ("resource_api_group", resource.api_group.text()),
                ("resource_kind", resource.kind.text()),
                ("resource_name", resource.name.text()),
            ];
            s.put_unique(PATH, &labels, 1.0);
        }
        (None, None) => bad_value(NAME, "spec.rules.http.paths.backend", at.1, &"neither a service nor a resource"),
    }
}

/// The port's name where it has one, else its number. Upstream gives 0 for a port by name.
fn service_port<'a>(service: &'a IngressServiceBackend, digits: &'a mut itoa::Buffer) -> &'a str {
    let port = service.port.as_ref();
    match port.map_or("", |port| port.name.text()) {
        "" => digits.format(port.and_then(|port| port.number).unwrap_or_default()),
        name => name,
    }
}
