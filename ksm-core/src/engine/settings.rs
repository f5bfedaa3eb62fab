//! What is watched and shown, and can be changed while it runs.

use std::collections::BTreeMap;

use crate::filter::FamilyFilter;
use crate::labels::{AllowLists, KeyAllowList};

/// Filters and scopes for all resources. [`Ksm::reconfigure`](crate::Ksm::reconfigure) changes them at run time.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Namespaces to watch; empty: all of them, in one watch.
    pub namespaces: Vec<String>,
    /// Namespaces to leave out, by field selector.
    pub namespaces_denylist: Vec<String>,
    /// Watch only the pods of this node; other resources stay as they are.
    pub node: Option<String>,
    /// Watch only pods that are on no node yet.
    pub unscheduled_pods: bool,
    /// Families by name.
    pub families: FamilyFilter,
    /// Label allowlists by resource; `*` stands for those that are not named.
    pub labels: BTreeMap<String, KeyAllowList>,
    /// Annotation allowlists by resource; `*` stands for those that are not named.
    pub annotations: BTreeMap<String, KeyAllowList>,
}

impl Settings {
    /// The allowlists of one resource. A `*` entry wins over the resource's own, as in kube-state-metrics.
    pub fn allow_lists(&self, resource: &str) -> AllowLists {
        let of = |map: &BTreeMap<String, KeyAllowList>| {
            map.get("*").or_else(|| map.get(resource)).cloned().unwrap_or_default()
        };
        AllowLists { labels: of(&self.labels), annotations: of(&self.annotations) }
    }

    /// The namespaces to watch one by one; none means all in one watch.
    pub(super) fn scopes(&self, cluster_scoped: bool) -> Vec<Option<String>> {
        if cluster_scoped || self.namespaces.is_empty() {
            return vec![None];
        }
        let mut scopes: Vec<Option<String>> = Vec::new();
        for namespace in self.namespaces.iter().filter(|name| !self.namespaces_denylist.contains(name)) {
            let scope = Some(namespace.clone());
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes
    }

    /// The field selector of a resource in one scope.
    pub(super) fn field_selector(
        &self,
        resource: &str,
        own: Option<&str>,
        cluster_scoped: bool,
        namespace: Option<&str>,
    ) -> Option<String> {
        let mut parts: Vec<String> = own.map(str::to_owned).into_iter().collect();
        if !cluster_scoped && namespace.is_none() {
            parts.extend(self.namespaces_denylist.iter().map(|name| format!("metadata.namespace!={name}")));
        }
        if resource == "pods" {
            if let Some(node) = &self.node {
                parts.push(format!("spec.nodeName={node}"));
            } else if self.unscheduled_pods {
                parts.push("spec.nodeName=".to_owned());
            }
        }
        (!parts.is_empty()).then(|| parts.join(","))
    }
}

/// What a change of settings led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconfigured {
    /// Resources that are listed anew, because the change needs their objects again. What they had stays visible until
    /// the list is complete.
    pub relisted: Vec<String>,
    /// Resources of a stream that the host gave, whose objects would be needed again: each gets its new samples with
    /// its next event.
    pub stale: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::ScopeFlags;

    #[test]
    fn selectors_join_and_fit_the_scope() {
        let settings = Settings {
            namespaces_denylist: vec!["a".into(), "b".into()],
            node: Some("n1".into()),
            ..Settings::default()
        };
        let selector =
            |resource, cluster_scoped, namespace| settings.field_selector(resource, None, cluster_scoped, namespace);
        assert_eq!(
            selector("pods", false, None).unwrap(),
            "metadata.namespace!=a,metadata.namespace!=b,spec.nodeName=n1"
        );
        assert_eq!(selector("nodes", true, None), None);
        assert_eq!(selector("services", false, Some("c")), None);
    }

    /// A case of upstream's about which namespaces are watched, or by which selector.
    #[derive(serde::Deserialize)]
    struct Case {
        id: String,
        level: String,
        input: serde_json::Value,
        want: Option<serde_json::Value>,
    }

    fn apply(input: &serde_json::Value) -> Settings {
        let names = |key: &str| serde_json::from_value(input[key].clone()).unwrap_or_default();
        let flags = ScopeFlags {
            namespaces: names("namespaces"),
            namespaces_denylist: names("namespaces_denylist"),
            node: input["node"].as_str().map(str::to_owned),
            ..ScopeFlags::default()
        };
        let mut settings = Settings::default();
        flags.apply(&mut settings).unwrap();
        settings
    }

    #[test]
    fn flags_select_what_upstreams_select() {
        let mut run = [0; 2];
        for line in include_str!("../../tests/data/parsers.jsonl").lines() {
            let case: Case = serde_json::from_str(line).unwrap();
            let Some(want) = case.want else { continue };
            match case.level.as_str() {
                "field_selector" => {
                    let settings = apply(&case.input);
                    for namespace in settings.scopes(false) {
                        let selector = settings.field_selector("pods", None, false, namespace.as_deref());
                        assert_eq!(selector.unwrap_or_default(), want.as_str().unwrap(), "{}", case.id);
                    }
                    run[0] += 1;
                }
                "effective_namespaces" => {
                    let scopes = apply(&serde_json::json!({ "namespaces": case.input })).scopes(false);
                    // Upstream's empty name is all namespaces.
                    let scopes: Vec<String> = scopes.into_iter().map(Option::unwrap_or_default).collect();
                    assert_eq!(serde_json::json!(scopes), want, "{}", case.id);
                    run[1] += 1;
                }
                _ => {}
            }
        }
        assert!(run.iter().all(|count| *count > 1), "{run:?}");
    }

    #[test]
    fn a_denied_namespace_is_no_scope_and_none_is_watched_twice() {
        let settings = Settings {
            namespaces: vec!["a".into(), "b".into(), "a".into()],
            namespaces_denylist: vec!["b".into()],
            ..Settings::default()
        };
        assert_eq!(settings.scopes(false), [Some("a".to_owned())]);
        assert_eq!(settings.scopes(true), [None]);
    }
}
