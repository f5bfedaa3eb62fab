//! What one rule of a role allows
//! ([reference](https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources)).

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::Right;
use crate::access::{Act, Attempt};

const ALL: &str = "*";

pub(crate) fn allows(rule: &PolicyRule, attempt: &Attempt<'_>) -> bool {
    match attempt {
        Attempt::Resource(act) => allows_act(rule, act),
        Attempt::Path { verb, path } => {
            names(&rule.verbs, verb)
                && list(rule.non_resource_urls.as_ref()).iter().any(|known| matches_path(known, path))
        }
    }
}

fn allows_act(rule: &PolicyRule, act: &Act<'_>) -> bool {
    let only = list(rule.resource_names.as_ref());
    names(&rule.verbs, act.verb)
        && names(list(rule.api_groups.as_ref()), act.group)
        && list(rule.resources.as_ref()).iter().any(|known| matches_resource(known, act.resource))
        // An act without a name, a list or a create, is about none of them.
        && (only.is_empty() || only.iter().any(|name| name == act.name))
}

/// The rights that a rule grants, one by one; of paths there are none.
pub(crate) fn rights(rule: &PolicyRule) -> impl Iterator<Item = Right> {
    rule.verbs.iter().flat_map(move |verb| {
        list(rule.api_groups.as_ref()).iter().flat_map(move |group| {
            list(rule.resources.as_ref()).iter().map(move |resource| Right::new(verb, group, resource))
        })
    })
}

fn list(list: Option<&Vec<String>>) -> &[String] {
    list.map_or(&[], Vec::as_slice)
}

fn names(list: &[String], value: &str) -> bool {
    list.iter().any(|known| known == ALL || known == value)
}

/// `*` is every resource with every subresource, `*/scale` one subresource of every resource.
fn matches_resource(pattern: &str, resource: &str) -> bool {
    pattern == ALL
        || pattern == resource
        || pattern
            .strip_prefix("*/")
            .is_some_and(|pattern| resource.split_once('/').is_some_and(|(_, subresource)| subresource == pattern))
}

/// A `*` at the end stands for anything.
fn matches_path(pattern: &str, path: &str) -> bool {
    pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(value: Value) -> PolicyRule {
        serde_json::from_value(value).unwrap()
    }

    const GET_POD: Act<'_> = Act { verb: "get", group: "", resource: "pods", namespace: Some("a"), name: "p" };

    #[test]
    fn verbs_groups_and_resources_are_named_or_all() {
        let exact = rule(json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "nodes/proxy"]}));
        assert!(allows_act(&exact, &GET_POD));
        assert!(allows_act(&exact, &Act { resource: "nodes/proxy", ..GET_POD }));
        for other in [
            Act { verb: "watch", ..GET_POD },
            Act { group: "apps", ..GET_POD },
            Act { resource: "nodes", ..GET_POD },
            Act { resource: "pods/log", ..GET_POD },
        ] {
            assert!(!allows_act(&exact, &other), "{other:?}");
        }
        let all = rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        assert!(allows_act(&all, &Act { verb: "impersonate", group: "x", resource: "pods/log", ..GET_POD }));
        assert!(!allows_act(&rule(json!({"verbs": ["*"]})), &GET_POD));
    }

    #[test]
    fn one_subresource_of_all_resources() {
        let scale = rule(json!({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["*/scale"]}));
        let act = Act { group: "apps", ..GET_POD };
        assert!(allows_act(&scale, &Act { resource: "deployments/scale", ..act }));
        assert!(!allows_act(&scale, &Act { resource: "deployments", ..act }));
        assert!(!allows_act(&scale, &Act { resource: "deployments/status", ..act }));
        let below = rule(json!({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments/*"]}));
        assert!(!allows_act(&below, &Act { resource: "deployments/scale", ..act }));
    }

    #[test]
    fn resource_names_need_a_name() {
        let named =
            rule(json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p", "q"]}));
        assert!(allows_act(&named, &GET_POD));
        assert!(!allows_act(&named, &Act { name: "r", ..GET_POD }));
        assert!(!allows_act(&named, &Act { verb: "list", name: "", ..GET_POD }));
    }

    #[test]
    fn paths_may_end_in_anything() {
        let rule = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/version", "/apis/*"]}));
        let get = |path| allows(&rule, &Attempt::Path { verb: "get", path });
        assert!(get("/version") && get("/apis/apps/v1"));
        assert!(!get("/version/") && !get("/apis") && !get("/metrics"));
        assert!(!allows(&rule, &Attempt::Path { verb: "post", path: "/version" }));
        assert!(!allows(&rule, &Attempt::Resource(GET_POD)));
    }

    #[test]
    fn rights_are_every_combination() {
        let rule = rule(json!({"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["a", "b/c"]}));
        let rights: Vec<String> = rights(&rule).map(|right| right.to_string()).collect();
        assert_eq!(
            rights,
            ["get a", "get b/c", "get a.apps", "get b/c.apps", "list a", "list b/c", "list a.apps", "list b/c.apps"]
        );
    }
}
