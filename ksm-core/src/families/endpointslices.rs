//! `endpointslices`

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::{Items, Text, bool_text, instant};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<EndpointSlice> = Resource {
    name: "endpointslices",
    families: FAMILIES,
    collect,
    unread: &["endpoints.deprecatedTopology", "metadata.managedFields"],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge("kube_endpointslice_info", "The type of the EndpointSlice's addresses.");
        CREATED = Family::gauge("kube_endpointslice_created", "When the EndpointSlice was created, in Unix seconds.");
        ENDPOINTS_HINTS = Family::gauge(
            "kube_endpointslice_endpoints_hints", "Each zone whose traffic an endpoint should take.");
        ENDPOINTS = Family::gauge(
            "kube_endpointslice_endpoints",
            "Each address of each endpoint, with the endpoint's state, place, and the object behind it.");
        PORTS = Family::gauge("kube_endpointslice_ports", "Each port of the EndpointSlice.");
        ANNOTATIONS = Family::gauge("kube_endpointslice_annotations", "Annotations of the EndpointSlice as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_endpointslice_labels", "Labels of the EndpointSlice as labels.")
            .needs_label_allowlist();
    }
}

fn collect(slice: &EndpointSlice, s: &mut Samples<'_>) {
    let meta = &slice.metadata;
    s.identity(&[("endpointslice", meta.name.text()), ("namespace", meta.namespace.text())]);
    s.put(INFO, &[("addresstype", slice.address_type.text())], 1.0);
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    for endpoint in slice.endpoints.items() {
        put_hints(s, endpoint);
        put_addresses(s, endpoint);
    }
    let mut digits = itoa::Buffer::new();
    for port in slice.ports.items() {
        let labels = [
            ("port_name", port.name.text()),
            ("port_protocol", port.protocol.text()),
            ("port_number", port.port.map_or("", |number| digits.format(number))),
        ];
        s.put(PORTS, &labels, 1.0);
    }
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
}

/// An endpoint's addresses stand for the same, so that the first one names it.
fn put_hints(s: &mut Samples<'_>, endpoint: &Endpoint) {
    let (Some(hints), Some(address)) = (&endpoint.hints, endpoint.addresses.items().first()) else { return };
    for zone in hints.for_zones.items() {
        s.put_unique(ENDPOINTS_HINTS, &[("address", address), ("for_zone", &zone.name)], 1.0);
    }
}

fn put_addresses(s: &mut Samples<'_>, endpoint: &Endpoint) {
    let conditions = endpoint.conditions.as_ref();
    let target = endpoint.target_ref.as_ref();
    for address in endpoint.addresses.items() {
        let labels = [
            ("ready", conditions.and_then(|conditions| conditions.ready).map_or("", bool_text)),
            ("serving", conditions.and_then(|conditions| conditions.serving).map_or("", bool_text)),
            ("hostname", endpoint.hostname.text()),
            ("terminating", conditions.and_then(|conditions| conditions.terminating).map_or("", bool_text)),
            ("targetref_kind", target.map_or("", |target| target.kind.text())),
            ("targetref_name", target.map_or("", |target| target.name.text())),
            ("targetref_namespace", target.map_or("", |target| target.namespace.text())),
            ("endpoint_nodename", endpoint.node_name.text()),
            ("endpoint_zone", endpoint.zone.text()),
            ("address", address),
        ];
        s.put_unique(ENDPOINTS, &labels, 1.0);
    }
}
