//! Who may do what, and with which secrets and settings, as objects.

use serde_json::{Value, json};

use super::draft::{Draft, time};
use super::model::{Cluster, Namespace, Workload};
use super::names::ENVIRONMENTS;
use super::template::{selector, service_account};

/// What every namespace is given: a service account, the cluster's root certificate, the registry's
/// credentials.
pub(crate) fn namespace_defaults(cluster: &Cluster, namespace: &Namespace) -> [Value; 3] {
    let draft = |kind, name, facet| {
        Draft::new("v1", kind, name, cluster.uid(namespace.id, facet, 0), namespace.created).namespace(&namespace.name)
    };
    [
        draft("ServiceAccount", "default", "account").body(json!({})),
        draft("ConfigMap", "kube-root-ca.crt", "root-ca")
            .annotations(json!({"kubernetes.io/description": "Contains a CA bundle that can verify the API server."}))
            .body(json!({"data": {"ca.crt": "-----BEGIN CERTIFICATE-----\nsimulated\n-----END CERTIFICATE-----\n"}})),
        draft("Secret", "registry-credentials", "registry").body(json!({
            "type": "kubernetes.io/dockerconfigjson",
            // {"auths":{}}
            "data": {".dockerconfigjson": "eyJhdXRocyI6e319"},
        })),
    ]
}

/// A namespace as its object.
pub(crate) fn namespace_object(cluster: &Cluster, namespace: &Namespace) -> Value {
    Draft::new("v1", "Namespace", &namespace.name, cluster.uid(namespace.id, "namespac", 0), namespace.created)
        .labels(json!({
            "kubernetes.io/metadata.name": namespace.name, "team": namespace.team,
            "environment": namespace.environment, "pod-security.kubernetes.io/enforce": "baseline",
        }))
        .annotations(json!({"owner.example.com/contact": format!("{}@example.com", namespace.team)}))
        .body(json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}))
}

/// What stands around a workload: its account, settings, secrets and rights.
pub(crate) fn workload_companions(cluster: &Cluster, workload: &Workload) -> Vec<Value> {
    let (name, namespace) = (&workload.name, cluster.namespace_of(workload));
    let draft = |api_version, kind, name: &str, facet| {
        Draft::new(api_version, kind, name, cluster.uid(workload.id, facet, 0), workload.created)
            .namespace(namespace)
            .labels(selector(workload))
    };
    let mut objects = Vec::new();
    if service_account(workload) == name {
        let account = draft("v1", "ServiceAccount", name, "account")
            .annotations(json!({"eks.amazonaws.com/role-arn": format!("arn:aws:iam::123456789012:role/{name}")}))
            .body(
                json!({"imagePullSecrets": [{"name": "registry-credentials"}], "automountServiceAccountToken": true}),
            );
        objects.push(account);
    }
    if workload.companions.config {
        let lines: Vec<String> = (0..20).map(|n| format!("option_{n}: value-{n}")).collect();
        let map = draft("v1", "ConfigMap", &format!("{name}-config"), "config")
            .managed_by("helm", "", workload.created)
            .body(json!({"data": {"config.yaml": lines.join("\n"), "log-level": "info"}}));
        objects.push(map);
    }
    if workload.companions.secret {
        let secret = draft("v1", "Secret", &format!("{name}-credentials"), "secret")
            // postgres://simulated
            .body(json!({"type": "Opaque", "data": {"url": "cG9zdGdyZXM6Ly9zaW11bGF0ZWQ="}}));
        objects.push(secret);
    }
    if workload.companions.ingress {
        let secret = draft("v1", "Secret", &format!("{name}-tls"), "tls")
            .body(json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "c2ltdWxhdGVk", "tls.key": "c2ltdWxhdGVk"}}));
        objects.push(secret);
    }
    if workload.companions.role {
        objects.push(draft("rbac.authorization.k8s.io/v1", "Role", name, "role").body(json!({"rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
        ]})));
        objects.push(draft("rbac.authorization.k8s.io/v1", "RoleBinding", name, "binding").body(json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        })));
    }
    objects
}

/// Roles that hold in the whole cluster, who has them, and requests for certificates.
pub(crate) fn cluster_wide(cluster: &Cluster) -> Vec<Value> {
    let founded = cluster.founded();
    let id = super::dice::Id(0);
    let mut objects = Vec::new();
    for (nth, (role, verbs)) in (0..).zip([("cluster-admin", "*"), ("view", "get"), ("system:node-reader", "list")]) {
        let draft = |kind, facet, nth| {
            Draft::new("rbac.authorization.k8s.io/v1", kind, role, cluster.uid(id, facet, nth), founded)
                .labels(json!({"kubernetes.io/bootstrapping": "rbac-defaults"}))
                .annotations(json!({"rbac.authorization.kubernetes.io/autoupdate": "true"}))
        };
        objects.push(
            draft("ClusterRole", "role", nth)
                .body(json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": [verbs]}]})),
        );
        objects.push(draft("ClusterRoleBinding", "binding", nth).body(json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": format!("team:{role}")}],
        })));
    }
    for (nth, environment) in (0..).zip(ENVIRONMENTS) {
        let name = format!("csr-{}", cluster.dice(id, "csr", nth).suffix(5));
        let created = cluster.now - 3600 * i64::from(nth + 1);
        let mut csr = Draft::new(
            "certificates.k8s.io/v1",
            "CertificateSigningRequest",
            &name,
            cluster.uid(id, "csr", nth),
            created,
        )
        .body(json!({
            "spec": {
                "signerName": "kubernetes.io/kubelet-serving",
                "username": format!("system:node:{environment}"),
                "groups": ["system:nodes", "system:authenticated"],
                "usages": ["digital signature", "server auth"],
                "request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0=",
            },
            "status": {},
        }));
        let decided = ["Approved", "Denied"].get(usize::try_from(nth).unwrap_or(2));
        if let Some(decision) = decided {
            csr["status"]["conditions"] = json!([{
                "type": decision, "status": "True", "reason": "AutoDecided", "message": "decided by policy",
                "lastUpdateTime": time(created + 2), "lastTransitionTime": time(created + 2),
            }]);
        }
        if decided == Some(&"Approved") {
            csr["status"]["certificate"] = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t".into();
        }
        objects.push(csr);
    }
    objects
}
