//! `services`

use k8s_openapi::api::core::v1::{LoadBalancerStatus, Service, ServiceSpec, ServiceStatus};

use super::{Text, instant, part};
use crate::family::{Family, family_table};
use crate::resource::Resource;
use crate::samples::Samples;

pub(super) const RESOURCE: Resource<Service> = Resource {
    name: "services",
    families: FAMILIES,
    collect,
    unread: &[
        "metadata.managedFields",
        "spec.clusterIPs",
        "spec.ipFamilies",
        "spec.loadBalancerSourceRanges",
        "spec.ports",
        "spec.selector",
        "spec.sessionAffinityConfig",
        "status.conditions",
        "status.loadBalancer.ingress.ports",
    ],
};

family_table! {
    FAMILIES {
        INFO = Family::gauge("kube_service_info", "Addresses and names of the Service.").stable();
        CREATED = Family::gauge("kube_service_created", "When the Service was created, in Unix seconds.").stable();
        SPEC_TYPE = Family::gauge("kube_service_spec_type", "The type of the Service.").stable();
        ANNOTATIONS = Family::gauge("kube_service_annotations", "Annotations of the Service as labels.")
            .needs_annotation_allowlist();
        LABELS = Family::gauge("kube_service_labels", "Labels of the Service as labels.")
            .stable().needs_label_allowlist();
        SPEC_EXTERNAL_IP = Family::gauge("kube_service_spec_external_ip", "Each external address of the Service.")
            .stable();
        STATUS_LOAD_BALANCER_INGRESS = Family::gauge(
            "kube_service_status_load_balancer_ingress",
            "Each point where the load balancer takes in the Service's traffic.").stable();
        DELETION_TIMESTAMP = Family::gauge(
            "kube_service_deletion_timestamp", "When the Service is to be deleted, in Unix seconds.");
    }
}

fn collect(service: &Service, s: &mut Samples<'_>) {
    let meta = &service.metadata;
    let (spec, status) = (part::<ServiceSpec>(&service.spec), part::<ServiceStatus>(&service.status));
    s.identity(&[("namespace", meta.namespace.text()), ("service", meta.name.text()), ("uid", meta.uid.text())]);
    s.put_unique(
        INFO,
        &[
            ("cluster_ip", spec.cluster_ip.text()),
            ("external_name", spec.external_name.text()),
            ("load_balancer_ip", spec.load_balancer_ip.text()),
            ("external_traffic_policy", spec.external_traffic_policy.text()),
        ],
        1.0,
    );
    s.put_time(CREATED, &[], instant(meta.creation_timestamp.as_ref()));
    s.put(SPEC_TYPE, &[("type", spec.type_.text())], 1.0);
    s.put_annotations(ANNOTATIONS, meta.annotations.as_ref());
    s.put_labels(LABELS, meta.labels.as_ref());
    for address in spec.external_ips.iter().flatten() {
        s.put_unique(SPEC_EXTERNAL_IP, &[("external_ip", address)], 1.0);
    }
    let balancer = part::<LoadBalancerStatus>(&status.load_balancer);
    for ingress in balancer.ingress.iter().flatten() {
        let ip = ingress.ip.text();
        let hostname = ingress.hostname.text();
        s.put_unique(STATUS_LOAD_BALANCER_INGRESS, &[("ip", ip), ("hostname", hostname)], 1.0);
    }
    s.put_time(DELETION_TIMESTAMP, &[], instant(meta.deletion_timestamp.as_ref()));
}
