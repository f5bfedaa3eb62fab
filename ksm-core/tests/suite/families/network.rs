//! Ingresses and their classes, Endpoints, EndpointSlices and NetworkPolicies.

use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use serde_json::{Value, json};

use super::{lines, lines_of};

#[test]
fn an_ingress_names_what_answers_at_each_path() {
    let service = |port: Value| json!({"service": {"name": "web", "port": port}});
    let resource = json!({"resource": {"apiGroup": "k8s.example.com", "kind": "Bucket", "name": "static"}});
    let path = |path: &str, backend: Value| json!({"path": path, "pathType": "Prefix", "backend": backend});
    let paths = [
        path("/a", service(json!({"number": 80}))),
        // Upstream gives 0 for a port by name; a name says more.
        path("/b", service(json!({"name": "https"}))),
        path("/c", service(json!(null))),
        path("/d", resource),
        path("/nowhere", json!({})),
    ];
    let ingress = json!({
        "metadata": {"namespace": "shop", "name": "in", "resourceVersion": "17"},
        "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["a.example.com"], "secretName": "cert"}],
                 "rules": [{"host": "a.example.com", "http": {"paths": paths}}, {"host": "no paths"},
                           {"http": {"paths": [path("/e", service(json!({"number": 1})))]}}]},
    });
    let want = r#"
kube_ingress_info{namespace="shop",ingress="in",ingressclass="nginx"} 1
kube_ingress_metadata_resource_version{namespace="shop",ingress="in"} 17
kube_ingress_path{namespace="shop",ingress="in",host="a.example.com",path="/a",path_type="Prefix",service_name="web",service_port="80"} 1
kube_ingress_path{namespace="shop",ingress="in",host="a.example.com",path="/b",path_type="Prefix",service_name="web",service_port="https"} 1
kube_ingress_path{namespace="shop",ingress="in",host="a.example.com",path="/c",path_type="Prefix",service_name="web",service_port="0"} 1
kube_ingress_path{namespace="shop",ingress="in",host="a.example.com",path="/d",path_type="Prefix",resource_api_group="k8s.example.com",resource_kind="Bucket",resource_name="static"} 1
kube_ingress_path{namespace="shop",ingress="in",host="",path="/e",path_type="Prefix",service_name="web",service_port="1"} 1
kube_ingress_tls{namespace="shop",ingress="in",tls_host="a.example.com",secret="cert"} 1
"#;
    assert_eq!(lines::<Ingress>(&ingress), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn the_annotation_names_an_ingresses_class_before_its_spec() {
    let class = |annotations: Value, class: Value| {
        let ingress =
            json!({"metadata": {"name": "in", "annotations": annotations}, "spec": {"ingressClassName": class}});
        let line = lines_of::<Ingress>("kube_ingress_info", &ingress).pop().unwrap();
        line.split("ingressclass=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    assert_eq!(class(json!({"kubernetes.io/ingress.class": "old"}), json!("new")), "old");
    assert_eq!(class(json!({"kubernetes.io/ingress.class": ""}), json!(null)), "");
    assert_eq!(class(json!({}), json!("new")), "new");
    assert_eq!(class(json!(null), json!(null)), "_default");
}

#[test]
fn a_resource_version_that_is_no_number_yields_no_sample() {
    for version in [json!(null), json!(""), json!("abcdef"), json!("nan"), json!("1e999")] {
        let ingress = json!({"metadata": {"name": "in", "resourceVersion": version}});
        assert!(lines_of::<Ingress>("kube_ingress_metadata_resource_version", &ingress).is_empty(), "{version}");
    }
}

#[test]
fn an_ingress_class() {
    let class = json!({"metadata": {"name": "nginx"}, "spec": {"controller": "example.com/nginx"}});
    let want = r#"kube_ingressclass_info{ingressclass="nginx",controller="example.com/nginx"} 1"#;
    assert_eq!(lines::<IngressClass>(&class), [want]);
}

#[test]
fn endpoints_pair_each_address_with_each_port() {
    let endpoints = json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "subsets": [
            {"addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}],
             "ports": [{"port": 80, "name": "http", "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
            {"addresses": [{"ip": "without ports"}]},
        ],
    });
    let want = r#"
kube_endpoint_info{namespace="shop",endpoint="web"} 1
kube_endpoint_address{namespace="shop",endpoint="web",port_protocol="TCP",port_number="80",port_name="http",ip="10.0.0.1",ready="true"} 1
kube_endpoint_address{namespace="shop",endpoint="web",port_protocol="TCP",port_number="80",port_name="http",ip="10.0.0.2",ready="false"} 1
kube_endpoint_address{namespace="shop",endpoint="web",port_protocol="UDP",port_number="53",port_name="",ip="10.0.0.1",ready="true"} 1
kube_endpoint_address{namespace="shop",endpoint="web",port_protocol="UDP",port_number="53",port_name="",ip="10.0.0.2",ready="false"} 1
kube_endpoint_ports{namespace="shop",endpoint="web",port_name="http",port_protocol="TCP",port_number="80"} 1
kube_endpoint_ports{namespace="shop",endpoint="web",port_name="",port_protocol="UDP",port_number="53"} 1
"#;
    assert_eq!(lines::<Endpoints>(&endpoints), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn an_endpoint_slice_tells_what_is_known_of_each_address() {
    let slice = json!({
        "metadata": {"namespace": "shop", "name": "web-x"},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.0.0.1", "10.0.0.2"], "conditions": {"ready": true, "serving": false},
             "hints": {"forZones": [{"name": "a"}, {"name": "b"}]}, "nodeName": "n1", "zone": "a",
             "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1"}},
            {"addresses": [], "hints": {"forZones": [{"name": "a"}]}},
            {"addresses": ["10.0.0.3"], "hints": {"forZones": []}, "conditions": {"terminating": true}},
        ],
        "ports": [{"port": 80, "name": "", "protocol": "TCP"}, {}],
    });
    let want = r#"
kube_endpointslice_info{endpointslice="web-x",namespace="shop",addresstype="IPv4"} 1
kube_endpointslice_endpoints_hints{endpointslice="web-x",namespace="shop",address="10.0.0.1",for_zone="a"} 1
kube_endpointslice_endpoints_hints{endpointslice="web-x",namespace="shop",address="10.0.0.1",for_zone="b"} 1
kube_endpointslice_endpoints{endpointslice="web-x",namespace="shop",ready="true",serving="false",hostname="",terminating="",targetref_kind="Pod",targetref_name="web-1",targetref_namespace="shop",endpoint_nodename="n1",endpoint_zone="a",address="10.0.0.1"} 1
kube_endpointslice_endpoints{endpointslice="web-x",namespace="shop",ready="true",serving="false",hostname="",terminating="",targetref_kind="Pod",targetref_name="web-1",targetref_namespace="shop",endpoint_nodename="n1",endpoint_zone="a",address="10.0.0.2"} 1
kube_endpointslice_endpoints{endpointslice="web-x",namespace="shop",ready="",serving="",hostname="",terminating="true",targetref_kind="",targetref_name="",targetref_namespace="",endpoint_nodename="",endpoint_zone="",address="10.0.0.3"} 1
kube_endpointslice_ports{endpointslice="web-x",namespace="shop",port_name="",port_protocol="TCP",port_number="80"} 1
kube_endpointslice_ports{endpointslice="web-x",namespace="shop",port_name="",port_protocol="",port_number=""} 1
"#;
    assert_eq!(lines::<EndpointSlice>(&slice), want.trim().lines().collect::<Vec<_>>());
}

#[test]
fn a_network_policy_without_rules_has_none_and_one_without_a_creation_time_yields_none() {
    let want = [
        r#"kube_networkpolicy_spec_ingress_rules{namespace="",networkpolicy="deny"} 0"#,
        r#"kube_networkpolicy_spec_egress_rules{namespace="",networkpolicy="deny"} 0"#,
    ];
    assert_eq!(lines::<NetworkPolicy>(&json!({"metadata": {"name": "deny"}})), want);
}
