//! The older versions of Kubernetes' own resources that the newest version's types read.
//!
//! Only versions that say the same are here, with what is called otherwise converted. What has no counterpart in the
//! newest version stays unread, so that its series are missing: the metric targets of an `autoscaling/v2beta1`
//! HorizontalPodAutoscaler. Not here, since they say too little: `autoscaling/v1`, `extensions/v1beta1`, and everything
//! that no cluster has needed since Kubernetes 1.16.

use serde_json::{Map, Value, json};

/// Makes an object of an older version one that the newest version's type reads.
pub(super) type Convert = fn(&mut Value);

/// A version that stands in for the newest one.
#[derive(Debug)]
pub(super) struct Older {
    pub(super) version: &'static str,
    pub(super) convert: Option<Convert>,
}

const fn same(version: &'static str) -> Older {
    Older { version, convert: None }
}

/// The versions to look for where a cluster lacks the newest one, best first.
pub(super) fn older(group: &str, plural: &str) -> &'static [Older] {
    const BETA: &[Older] = &[same("v1beta1")];
    match (group, plural) {
        ("batch", "cronjobs")
        | ("policy", "poddisruptionbudgets")
        | ("certificates.k8s.io", "certificatesigningrequests")
        | ("coordination.k8s.io", "leases")
        | ("networking.k8s.io", "ingressclasses")
        | ("storage.k8s.io", "volumeattachments")
        | ("admissionregistration.k8s.io", "mutatingwebhookconfigurations" | "validatingwebhookconfigurations") => BETA,
        (
            "admissionregistration.k8s.io",
            "validatingadmissionpolicies"
            | "validatingadmissionpolicybindings"
            | "mutatingadmissionpolicies"
            | "mutatingadmissionpolicybindings",
        ) => const { &[same("v1beta1"), same("v1alpha1")] },
        ("autoscaling", "horizontalpodautoscalers") => const { &[same("v2beta2"), same("v2beta1")] },
        ("networking.k8s.io", "ingresses") => const { &[Older { version: "v1beta1", convert: Some(ingress) }] },
        ("discovery.k8s.io", "endpointslices") => {
            const { &[Older { version: "v1beta1", convert: Some(endpoint_slice) }] }
        }
        _ => &[],
    }
}

/// `spec.backend` was renamed, and a backend's service became an object of its own.
fn ingress(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    rename(spec, "backend", "defaultBackend");
    if let Some(backend) = spec.get_mut("defaultBackend") {
        ingress_backend(backend);
    }
    let rules = spec.get_mut("rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let paths = rule.pointer_mut("/http/paths").and_then(Value::as_array_mut);
        paths.into_iter().flatten().filter_map(|path| path.get_mut("backend")).for_each(ingress_backend);
    }
}

fn ingress_backend(backend: &mut Value) {
    let Some(backend) = backend.as_object_mut() else { return };
    let port = backend.remove("servicePort");
    if let Some(name) = backend.remove("serviceName") {
        let port = match port {
            Some(name @ Value::String(_)) => json!({"name": name}),
            Some(number @ Value::Number(_)) => json!({"number": number}),
            _ => Value::Null,
        };
        backend.insert("service".to_owned(), json!({"name": name, "port": port}));
    }
}

/// What stands in `topology` has fields of its own by now.
fn endpoint_slice(object: &mut Value) {
    let endpoints = object.get_mut("endpoints").and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten().filter_map(Value::as_object_mut) {
        let Some(Value::Object(mut topology)) = endpoint.remove("topology") else { continue };
        for (label, field) in [("kubernetes.io/hostname", "nodeName"), ("topology.kubernetes.io/zone", "zone")] {
            if let (Some(value), None) = (topology.remove(label), endpoint.get(field)) {
                endpoint.insert(field.to_owned(), value);
            }
        }
        endpoint.insert("deprecatedTopology".to_owned(), Value::Object(topology));
    }
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = fields.remove(from) {
        fields.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(group: &str, plural: &str, mut object: Value) -> Value {
        older(group, plural)[0].convert.unwrap()(&mut object);
        object
    }

    #[test]
    fn an_old_ingress_names_its_services_as_a_new_one() {
        let old = json!({"spec": {
            "backend": {"serviceName": "d", "servicePort": "web"},
            "rules": [
                {"http": {"paths": [{"path": "/a", "backend": {"serviceName": "a", "servicePort": 80}}]}},
                {"http": {"paths": [{"backend": {"resource": {"kind": "Bucket", "name": "b"}}}, {"backend": 5}, 5]}},
                {"host": "c"},
            ],
        }});
        let new = json!({"spec": {
            "defaultBackend": {"service": {"name": "d", "port": {"name": "web"}}},
            "rules": [
                {"http": {"paths": [{"path": "/a", "backend": {"service": {"name": "a", "port": {"number": 80}}}}]}},
                {"http": {"paths": [{"backend": {"resource": {"kind": "Bucket", "name": "b"}}}, {"backend": 5}, 5]}},
                {"host": "c"},
            ],
        }});
        assert_eq!(converted("networking.k8s.io", "ingresses", old), new);
        assert_eq!(converted("networking.k8s.io", "ingresses", json!({"spec": null})), json!({"spec": null}));
    }

    #[test]
    fn an_old_endpoint_slice_knows_node_and_zone() {
        let topology = json!({"kubernetes.io/hostname": "n", "topology.kubernetes.io/zone": "z", "x": "y"});
        let old = json!({"endpoints": [{"topology": topology}, {"nodeName": "own", "topology": topology}, {}, 5]});
        let rest = json!({"x": "y"});
        let new = json!({"endpoints": [
            {"nodeName": "n", "zone": "z", "deprecatedTopology": rest},
            {"nodeName": "own", "zone": "z", "deprecatedTopology": rest}, {}, 5,
        ]});
        assert_eq!(converted("discovery.k8s.io", "endpointslices", old), new);
    }
}
