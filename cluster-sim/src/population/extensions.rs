//! What extends the API server, as objects: admission, a custom resource, and the controllers' leases.

use serde_json::{Value, json};

use super::dice::Id;
use super::draft::{Draft, micro_time};
use super::model::Cluster;
use super::names::{ENVIRONMENTS, TEAMS};

const ADMISSION: &str = "admissionregistration.k8s.io/v1";

fn draft(cluster: &Cluster, api_version: &'static str, kind: &'static str, name: &str, facet: &str, nth: u32) -> Draft {
    Draft::new(api_version, kind, name, cluster.uid(Id(0), facet, nth), cluster.founded())
}

/// The definition of the custom resource; goes first, so that a server knows it when its objects come.
pub(crate) fn custom_resource_definition(cluster: &Cluster) -> Value {
    let mut definition = draft(
        cluster,
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "releases.delivery.example.com",
        "crd",
        0,
    )
    .generation(1)
    .body(json!({"spec": {
        "group": "delivery.example.com",
        "scope": "Namespaced",
        "names": {"plural": "releases", "singular": "release", "kind": "Release", "listKind": "ReleaseList",
            "shortNames": ["rel"], "categories": ["all"]},
        "conversion": {"strategy": "None"},
        "versions": [{
            "name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}},
            "additionalPrinterColumns": [{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {
                    "version": {"type": "string"}, "replicas": {"type": "integer"},
                    "channels": {"type": "array", "items": {"type": "string"}},
                }},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }}},
        }],
    }}));
    let names = definition["spec"]["names"].clone();
    let condition = |kind: &str, reason: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": "",
            "lastTransitionTime": super::draft::time(cluster.founded() + 1)})
    };
    definition["status"] = json!({
        "acceptedNames": names,
        "storedVersions": ["v1"],
        "conditions": [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")],
    });
    definition
}

/// A few objects of the custom resource.
pub(crate) fn custom_resources(cluster: &Cluster) -> Vec<Value> {
    let namespace = cluster.namespaces.last().map_or("default", |namespace| &namespace.name);
    (0..)
        .zip(ENVIRONMENTS)
        .map(|(nth, environment)| {
            let at = super::draft::time(cluster.founded() + 100);
            draft(cluster, "delivery.example.com/v1", "Release", environment, "release", nth)
                .namespace(namespace)
                .generation(3)
                .labels(json!({"environment": environment}))
                .body(json!({
                    "spec": {"version": format!("2.{nth}.0"), "replicas": 3 + nth, "channels": ["stable", "beta"]},
                    "status": {
                        "phase": if nth == 1 { "Degraded" } else { "Ready" },
                        "observedGeneration": 3,
                        "uptime": 43.21 + f64::from(nth),
                        "updatedAt": at,
                        "conditions": [{"type": "Ready", "status": if nth == 1 { "False" } else { "True" },
                            "reason": "Checked", "lastTransitionTime": at}],
                    },
                }))
        })
        .collect()
}

/// Webhooks, policies and their bindings.
pub(crate) fn admission(cluster: &Cluster) -> Vec<Value> {
    let webhook = |name: &str, service: &str| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 10,
            "failurePolicy": "Ignore", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "clientConfig": {"caBundle": "c2ltdWxhdGVk",
                "service": {"name": service, "namespace": "kube-system", "path": "/admit", "port": 443}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*"}],
        })
    };
    let mut mutating = webhook("inject.sidecar.example.com", "sidecar-injector");
    mutating["reinvocationPolicy"] = "Never".into();
    let constraints = json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["deployments"], "scope": "*"}]});
    let object = |kind: &'static str, name: &str, facet: &str, generation: u32| {
        draft(cluster, ADMISSION, kind, name, facet, 0).generation(generation)
    };
    vec![
        object("MutatingWebhookConfiguration", "sidecar-injector", "mwc", 1).body(json!({"webhooks": [mutating]})),
        object("ValidatingWebhookConfiguration", "image-policy", "vwc", 1)
            .body(json!({"webhooks": [webhook("check.image.example.com", "image-policy")]})),
        object("ValidatingAdmissionPolicy", "replica-limit", "vap", 1).body(json!({"spec": {
            "failurePolicy": "Fail",
            "matchConstraints": constraints,
            "validations": [{"expression": "object.spec.replicas <= 1000", "reason": "Invalid"}],
        }, "status": {"observedGeneration": 1}})),
        object("ValidatingAdmissionPolicyBinding", "replica-limit", "vapb", 1)
            .body(json!({"spec": {"policyName": "replica-limit", "validationActions": ["Deny", "Audit"]}})),
        object("MutatingAdmissionPolicy", "add-owner-label", "map", 1).body(json!({"spec": {
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": constraints,
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {
                "expression": "Object{metadata: Object.metadata{labels: {\"owner\": \"platform\"}}}"}}],
        }})),
        object("MutatingAdmissionPolicyBinding", "add-owner-label", "mapb", 1)
            .body(json!({"spec": {"policyName": "add-owner-label"}})),
    ]
}

/// The class of ingresses.
pub(crate) fn ingress_class(cluster: &Cluster) -> Value {
    draft(cluster, "networking.k8s.io/v1", "IngressClass", "nginx", "iclass", 0)
        .annotations(json!({"ingressclass.kubernetes.io/is-default-class": "true"}))
        .generation(1)
        .body(json!({"spec": {"controller": "k8s.io/ingress-nginx"}}))
}

/// Who leads among the replicas of the controllers.
pub(crate) const LEADERS: [&str; 4] =
    ["kube-controller-manager", "kube-scheduler", "ebs-csi-aws-com", "cert-manager-controller"];

/// The lease of one of the [`LEADERS`], renewed at a moment.
pub(crate) fn leader_lease(cluster: &Cluster, nth: u32, renewed: i64) -> Value {
    let name = usize::try_from(nth).ok().and_then(|nth| LEADERS.get(nth)).copied().unwrap_or(TEAMS[0]);
    let holder = format!("{name}_{}", cluster.uid(Id(0), "holder", nth));
    draft(cluster, "coordination.k8s.io/v1", "Lease", name, "lease", nth).namespace("kube-system").body(json!({
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": nth + 1,
            "acquireTime": micro_time(cluster.founded() + 30), "renewTime": micro_time(renewed),
        },
    }))
}
