//! How traffic finds a workload's pods, as objects.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::draft::{Draft, map};
use super::model::{Cluster, Kind, Namespace, Pod, PodSet, Workload};
use super::names::ZONES;
use super::node::{node_name, zone};
use super::pod::{pod_ip, pod_name, pod_uid};
use super::template::{port, selector};

/// How many endpoints a slice holds.
pub(crate) const SLICE: u32 = 100;
/// The first address of the network that services get addresses from.
const SERVICE_NETWORK: u32 = u32::from_be_bytes([172, 20, 0, 0]);

/// A workload's service.
pub(crate) fn service(cluster: &Cluster, workload: &Workload) -> Value {
    let headless = matches!(workload.kind, Kind::StatefulSet { .. });
    let balanced = workload.companions.ingress && workload.id.0.is_multiple_of(4);
    // Ids are handed out one by one, so no two services share an address within a network of a million.
    let host = u32::try_from(workload.id.0 & 0x000f_ffff).unwrap_or(0);
    let ip = if headless { "None".to_owned() } else { Ipv4Addr::from_bits(SERVICE_NETWORK | host).to_string() };
    let mut port_spec = json!({"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"});
    if balanced {
        port_spec["nodePort"] = (30_000 + workload.id.0 % 2768).into();
    }
    let mut spec = json!({
        "type": if balanced { "LoadBalancer" } else { "ClusterIP" },
        "clusterIP": ip, "clusterIPs": [ip],
        "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "selector": selector(workload), "sessionAffinity": "None",
        "ports": [
            port_spec,
            {"name": "metrics", "port": 9100, "protocol": "TCP", "targetPort": "metrics"},
        ],
    });
    let mut status = json!({"loadBalancer": {}});
    if balanced {
        spec["externalTrafficPolicy"] = "Cluster".into();
        spec["allocateLoadBalancerNodePorts"] = true.into();
        status["loadBalancer"]["ingress"] = json!([{"hostname": format!("{}.elb.example.com", workload.name)}]);
    }
    draft(cluster, workload, "v1", "Service", "service")
        .managed_by("helm", "aws-load-balancer-controller", workload.created + 60)
        .body(json!({"spec": spec, "status": status}))
}

fn draft(cluster: &Cluster, workload: &Workload, api_version: &'static str, kind: &'static str, facet: &str) -> Draft {
    let uid = cluster.uid(workload.id, facet, 0);
    Draft::new(api_version, kind, &workload.name, uid, workload.created)
        .namespace(cluster.namespace_of(workload))
        .labels(selector(workload))
}

/// A workload's endpoints in one object, as clients of old read them.
pub(crate) fn endpoints(cluster: &Cluster, workload: &Workload) -> Value {
    let (mut ready, mut other) = (Vec::new(), Vec::new());
    for (set, pod) in reachable(workload) {
        if pod.deleted.is_some() {
            continue;
        }
        let address = Address::of(cluster, workload, set, pod);
        let listed = if pod.ready() { &mut ready } else { &mut other };
        listed.push(map([("ip", address.ip.into()), ("nodeName", address.node.into()), ("targetRef", address.target)]));
    }
    let ports = json!([
        {"name": "http", "port": port(workload), "protocol": "TCP"},
        {"name": "metrics", "port": 9100, "protocol": "TCP"},
    ]);
    let mut subset = json!({"ports": ports});
    for (field, addresses) in [("addresses", ready), ("notReadyAddresses", other)] {
        if !addresses.is_empty() {
            subset[field] = Value::Array(addresses);
        }
    }
    let empty = subset.as_object().is_none_or(|subset| subset.len() == 1);
    let draft = draft(cluster, workload, "v1", "Endpoints", "endpts")
        .labels(json!({"endpoints.kubernetes.io/managed-by": "endpoint-controller"}));
    draft.body(if empty { json!({}) } else { map([("subsets", Value::Array(vec![subset]))]) })
}

/// How many slices a workload's endpoints need: slices are filled by the ordinal of the pods, so that a
/// pod stays in its slice.
pub(crate) fn slice_count(workload: &Workload) -> u32 {
    workload.pods().map(|pod| pod.ordinal / SLICE + 1).max().unwrap_or(1)
}

/// The name of the slice that holds an ordinal.
pub(crate) fn slice_name(cluster: &Cluster, workload: &Workload, nth: u32) -> String {
    format!("{}-{}", workload.name, cluster.dice(workload.id, "slicenam", nth).suffix(5))
}

/// One slice of a workload's endpoints.
pub(crate) fn endpoint_slice(cluster: &Cluster, workload: &Workload, nth: u32) -> Value {
    let endpoints: Vec<Value> = reachable(workload)
        .filter(|(_, pod)| pod.ordinal / SLICE == nth)
        .map(|(set, pod)| {
            let address = Address::of(cluster, workload, set, pod);
            let terminating = pod.deleted.is_some();
            let conditions = json!({
                "ready": pod.ready() && !terminating, "serving": pod.ready(), "terminating": terminating,
            });
            let mut endpoint = map([
                ("addresses", Value::Array(vec![address.ip.into()])),
                ("conditions", conditions),
                ("nodeName", address.node.into()),
                ("targetRef", address.target),
                ("zone", address.zone.into()),
                ("hints", json!({"forZones": [{"name": address.zone}]})),
            ]);
            if matches!(workload.kind, Kind::StatefulSet { .. }) {
                endpoint["hostname"] = pod_name(cluster, workload, set, pod).into();
            }
            endpoint
        })
        .collect();
    let name = slice_name(cluster, workload, nth);
    let mut labels = selector(workload);
    labels["kubernetes.io/service-name"] = workload.name.as_str().into();
    labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io".into();
    let uid = cluster.uid(workload.id, "slice", nth);
    Draft::new("discovery.k8s.io/v1", "EndpointSlice", &name, uid, workload.created)
        .namespace(cluster.namespace_of(workload))
        .labels(labels)
        .with("generateName", format!("{}-", workload.name))
        .controlled_by("v1", "Service", &workload.name, &cluster.uid(workload.id, "service", 0))
        .body(map([
            ("addressType", "IPv4".into()),
            ("endpoints", Value::Array(endpoints)),
            (
                "ports",
                json!([
                    {"name": "http", "port": port(workload), "protocol": "TCP", "appProtocol": "http"},
                    {"name": "metrics", "port": 9100, "protocol": "TCP"},
                ]),
            ),
        ]))
}

/// A workload's way in from outside.
pub(crate) fn ingress(cluster: &Cluster, workload: &Workload) -> Value {
    let host = format!("{}.example.com", workload.name);
    let backend = json!({"service": {"name": workload.name, "port": {"name": "http"}}});
    let by_number = json!({"service": {"name": workload.name, "port": {"number": 80}}});
    draft(cluster, workload, "networking.k8s.io/v1", "Ingress", "ingress")
        .annotations(json!({
            "cert-manager.io/cluster-issuer": "letsencrypt",
            "nginx.ingress.kubernetes.io/proxy-body-size": "8m",
        }))
        .generation(1)
        .body(json!({
            "spec": {
                "ingressClassName": "nginx",
                "rules": [{"host": host, "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": backend},
                    {"path": "/api", "pathType": "Prefix", "backend": by_number},
                ]}}],
                "tls": [{"hosts": [host], "secretName": format!("{}-tls", workload.name)}],
            },
            "status": {"loadBalancer": {"ingress": [{"hostname": "ingress.elb.example.com"}]}},
        }))
}

/// What a namespace lets in.
pub(crate) fn network_policy(cluster: &Cluster, namespace: &Namespace) -> Value {
    let uid = cluster.uid(namespace.id, "netpol", 0);
    Draft::new("networking.k8s.io/v1", "NetworkPolicy", "default-deny", uid, namespace.created)
        .namespace(&namespace.name)
        .generation(1)
        .body(json!({"spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": namespace.team}}}]}],
            "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}]}],
        }}))
}

fn reachable(workload: &Workload) -> impl Iterator<Item = (&PodSet, &Pod)> {
    workload.sets.iter().flat_map(|set| set.pods.iter().map(move |pod| (set, pod))).filter(|(_, pod)| pod.addressable())
}

/// Where a pod is reached.
struct Address {
    ip: String,
    node: String,
    zone: &'static str,
    target: Value,
}

impl Address {
    fn of(cluster: &Cluster, workload: &Workload, set: &PodSet, pod: &Pod) -> Self {
        let node = cluster.node_of(pod);
        let zone = node.map_or(ZONES[0], zone);
        let target = map([
            ("kind", "Pod".into()),
            ("namespace", cluster.namespace_of(workload).into()),
            ("name", pod_name(cluster, workload, set, pod).into()),
            ("uid", pod_uid(cluster, pod).into()),
        ]);
        let ip = pod.placement.map_or_else(String::new, |placement| pod_ip(cluster, placement).to_string());
        Self { ip, node: node.map_or_else(String::new, node_name), zone, target }
    }
}
