//! `endpoints`

use k8s_openapi::api::core::v1::Endpoints;

use super::{Items, Text, instant};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<Endpoints> = Resource {
    name: "endpoints",
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "subsets.addresses.nodeName",
        "subsets.addresses.targetRef",
        "subsets.notReadyAddresses.nodeName",
        "subsets.notReadyAddresses.targetRef",
    ],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge("kube_endpoint_info", "1 for each Endpoints object.").stable();
        CREATED = Family::gauge("kube_endpoint_created", "When the Endpoints object was created, in Unix seconds.")
            .stable();
        ANNOTATIONS = Family::gauge("kube_endpoint_annotations", "Annotations of the Endpoints object as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_endpoint_labels", "Labels of the Endpoints object as labels.")
            .stable().needs_label_allowlist();
        ADDRESS = Family::gauge(
            "kube_endpoint_address", "Each address with each of its ports, and whether it is ready for traffic.")
            .stable();
        PORTS = Family::gauge("kube_endpoint_ports", "Each port of the Endpoints object.")
            .stable().deprecated("v2.14.0");
    }
}

fn collect(endpoints: &Endpoints, s: &mut Samples<'_>) {
    let meta = &endpoints.metadata;
    s.identity(&[("namespace", meta.namespace.text()), ("endpoint", meta.name.text())]);
    s.put(INFO, &[], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    let mut digits = itoa::Buffer::new();
    for subset in endpoints.subsets.items() {
        for port in subset.ports.items() {
            let (name, protocol, number) = (port.name.text(), port.protocol.text(), digits.format(port.port));
            for (addresses, ready) in [(&subset.addresses, "true"), (&subset.not_ready_addresses, "false")] {
                for address in addresses.items() {
                    let labels = [
                        ("port_protocol", protocol),
                        ("port_number", number),
                        ("port_name", name),
                        ("ip", address.ip.as_str()),
                        ("ready", ready),
                    ];
                    s.put_unique(ADDRESS, &labels, 1.0);
                }
            }
            s.put(PORTS, &[("port_name", name), ("port_protocol", protocol), ("port_number", number)], 1.0);
        }
    }
}
