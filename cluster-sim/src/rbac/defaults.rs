//! The roles that every cluster is born with, as far as a client that is nobody in particular has them
//! ([reference](https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings)).

use serde_json::{Value, json};

use super::{CLUSTER_ROLE, GROUP};
use crate::direct;
use crate::error::SimError;
use crate::reference::ObjectRef;
use crate::store::State;

/// Marks the cluster's own roles.
pub(super) const DEFAULTS: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");

const API_VERSION: &str = "rbac.authorization.k8s.io/v1";

/// Store the default roles and bindings that are not there yet.
pub(crate) fn ensure(state: &mut State) -> Result<(), SimError> {
    for object in objects() {
        let known = match ObjectRef::of(&object) {
            Some(reference) => direct::get(state, &reference)?.is_some(),
            None => false,
        };
        if !known {
            direct::upsert(state, object)?;
        }
    }
    Ok(())
}

fn objects() -> Vec<Value> {
    let get = |paths: &[&str]| json!([{"verbs": ["get"], "nonResourceURLs": paths}]);
    let roles: [(&str, Value, &[&str]); 4] = [
        (
            "cluster-admin",
            json!([
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
            ]),
            &["system:masters"],
        ),
        (
            "system:basic-user",
            json!([
                {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
                 "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
                {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
            ]),
            &["system:authenticated"],
        ),
        (
            "system:discovery",
            get(&[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            ]),
            &["system:authenticated"],
        ),
        (
            "system:public-info-viewer",
            get(&["/healthz", "/livez", "/readyz", "/version", "/version/"]),
            &["system:authenticated", "system:unauthenticated"],
        ),
    ];
    roles.into_iter().flat_map(|(name, rules, groups)| [role(name, &rules), binding(name, groups)]).collect()
}

fn role(name: &str, rules: &Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": CLUSTER_ROLE, "metadata": metadata(name), "rules": rules})
}

fn binding(name: &str, groups: &[&str]) -> Value {
    let subject = |group: &&str| json!({"apiGroup": GROUP, "kind": "Group", "name": group});
    json!({
        "apiVersion": API_VERSION,
        "kind": "ClusterRoleBinding",
        "metadata": metadata(name),
        "roleRef": {"apiGroup": GROUP, "kind": CLUSTER_ROLE, "name": name},
        "subjects": groups.iter().map(subject).collect::<Vec<_>>(),
    })
}

fn metadata(name: &str) -> Value {
    json!({"name": name, "labels": {DEFAULTS.0: DEFAULTS.1}})
}
