//! The permissions that the agent needs: `list` and `watch` on exactly what it watches.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ksm_core::Settings;
use ksm_core::catalog::{Kind, kinds};
use serde::Serialize;

const NAME: &str = "cluster-agent";
/// Where the agent is expected to run.
const NAMESPACE: &str = "cluster-agent";
const RBAC: &str = "rbac.authorization.k8s.io";

/// The Role for the Leases of nodes' metadata, beside the one for what is watched in their namespace.
const NODE_METADATA: &str = "cluster-agent-node-metadata";

/// The objects that allow the agent to watch `resources` within the settings' namespaces, and the Leases of `leases`, as
/// YAML documents.
pub(crate) fn yaml(resources: &[String], settings: &Settings, leases: Option<&str>) -> anyhow::Result<String> {
    let watched: Vec<Kind> =
        kinds().into_iter().filter(|kind| resources.iter().any(|name| name == kind.resource)).collect();
    let home = ObjectMeta { name: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() };
    let mut documents = vec![
        document(&Namespace { metadata: home, ..Namespace::default() })?,
        document(&ServiceAccount { metadata: named(Some(NAMESPACE)), ..ServiceAccount::default() })?,
    ];
    let (namespaced, cluster_wide): (Vec<Kind>, Vec<Kind>) =
        watched.into_iter().partition(|kind| kind.namespaced && !settings.namespaces.is_empty());
    if !cluster_wide.is_empty() {
        let rules = Some(rules(&cluster_wide));
        documents.push(document(&ClusterRole { metadata: named(None), rules, ..ClusterRole::default() })?);
        let (role_ref, subjects) = (role_ref("ClusterRole", NAME), Some(subjects()));
        documents.push(document(&ClusterRoleBinding { metadata: named(None), role_ref, subjects })?);
    }
    if !namespaced.is_empty() {
        for namespace in settings.namespaces.iter().filter(|name| !settings.namespaces_denylist.contains(name)) {
            documents.extend(role(named(Some(namespace)), rules(&namespaced))?);
        }
    }
    if let Some(namespace) = leases {
        let metadata = ObjectMeta { name: Some(NODE_METADATA.to_owned()), ..named(Some(namespace)) };
        documents.extend(role(metadata, vec![rule("coordination.k8s.io", vec!["leases".to_owned()])])?);
    }
    Ok(documents.join("---\n"))
}

/// A Role, and its binding to the agent.
fn role(metadata: ObjectMeta, rules: Vec<PolicyRule>) -> anyhow::Result<[String; 2]> {
    let role_ref = role_ref("Role", metadata.name.as_deref().unwrap_or_default());
    let role = document(&Role { metadata: metadata.clone(), rules: Some(rules) })?;
    Ok([role, document(&RoleBinding { metadata, role_ref, subjects: Some(subjects()) })?])
}

fn named(namespace: Option<&str>) -> ObjectMeta {
    let namespace = namespace.map(str::to_owned);
    ObjectMeta { name: Some(NAME.to_owned()), namespace, ..ObjectMeta::default() }
}

/// A rule per API group.
fn rules(kinds: &[Kind]) -> Vec<PolicyRule> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for kind in kinds {
        groups.entry(&kind.group).or_default().push(kind.plural.clone());
    }
    groups.into_iter().map(|(group, resources)| rule(group, resources)).collect()
}

fn rule(group: &str, resources: Vec<String>) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources),
        verbs: vec!["list".to_owned(), "watch".to_owned()],
        ..PolicyRule::default()
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: Some(RBAC.to_owned()), kind: kind.to_owned(), name: name.to_owned() }
}

fn subjects() -> Vec<Subject> {
    let namespace = Some(NAMESPACE.to_owned());
    vec![Subject { kind: "ServiceAccount".to_owned(), name: NAME.to_owned(), namespace, ..Subject::default() }]
}

fn document(object: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string(object)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_namespaces_need_one_cluster_role() {
        let resources = ["pods", "nodes", "deployments"].map(str::to_owned);
        let text = yaml(&resources, &Settings::default(), None).unwrap();
        let documents: Vec<&str> = text.split("---\n").collect();
        assert_eq!(documents.len(), 4);
        let role: ClusterRole = serde_saphyr::from_str(documents[2]).unwrap();
        let rules: Vec<_> = role
            .rules
            .unwrap()
            .into_iter()
            .map(|rule| (rule.api_groups.unwrap(), rule.resources.unwrap(), rule.verbs))
            .collect();
        let both = vec!["list".to_owned(), "watch".to_owned()];
        assert_eq!(
            rules,
            [
                (vec![String::new()], vec!["nodes".to_owned(), "pods".to_owned()], both.clone()),
                (vec!["apps".to_owned()], vec!["deployments".to_owned()], both)
            ]
        );
        let binding: ClusterRoleBinding = serde_saphyr::from_str(documents[3]).unwrap();
        assert_eq!(binding.role_ref.kind, "ClusterRole");
        assert_eq!(binding.subjects.unwrap()[0].namespace.as_deref(), Some(NAMESPACE));
    }

    #[test]
    fn every_resource_is_in_its_group() {
        let all: Vec<String> = kinds().iter().map(|kind| kind.resource.to_string()).collect();
        let text = yaml(&all, &Settings::default(), None).unwrap();
        let role: ClusterRole = serde_saphyr::from_str(text.split("---\n").nth(2).unwrap()).unwrap();
        let rules = role.rules.unwrap().into_iter();
        let rules: Vec<String> = rules
            .map(|rule| format!("{}: {}", rule.api_groups.unwrap().join(","), rule.resources.unwrap().join(" ")))
            .collect();
        let want = [
            ": configmaps endpoints limitranges namespaces nodes persistentvolumeclaims persistentvolumes pods \
             replicationcontrollers resourcequotas secrets serviceaccounts services",
            "admissionregistration.k8s.io: mutatingadmissionpolicies mutatingadmissionpolicybindings \
             mutatingwebhookconfigurations validatingadmissionpolicies validatingadmissionpolicybindings \
             validatingwebhookconfigurations",
            "apps: daemonsets deployments replicasets statefulsets",
            "autoscaling: horizontalpodautoscalers",
            "batch: cronjobs jobs",
            "certificates.k8s.io: certificatesigningrequests",
            "coordination.k8s.io: leases",
            "discovery.k8s.io: endpointslices",
            "networking.k8s.io: ingressclasses ingresses networkpolicies",
            "policy: poddisruptionbudgets",
            "rbac.authorization.k8s.io: clusterrolebindings clusterroles rolebindings roles",
            "storage.k8s.io: storageclasses volumeattachments",
        ];
        assert_eq!(rules, want);
    }

    #[test]
    fn named_namespaces_need_a_role_each_and_no_more() {
        let settings = Settings { namespaces: vec!["web".into(), "shop".into()], ..Settings::default() };
        let text = yaml(&["pods".to_owned(), "nodes".to_owned()], &settings, None).unwrap();
        let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
        assert_eq!(
            kinds,
            [
                "Namespace",
                "ServiceAccount",
                "ClusterRole",
                "ClusterRoleBinding",
                "Role",
                "RoleBinding",
                "Role",
                "RoleBinding"
            ]
        );
        let role: ClusterRole = serde_saphyr::from_str(text.split("---\n").nth(2).unwrap()).unwrap();
        assert_eq!(role.rules.unwrap()[0].resources.as_deref(), Some(&["nodes".to_owned()][..]));
    }

    #[test]
    fn leases_of_nodes_have_a_role_of_their_own() {
        let settings = Settings { namespaces: vec!["amazon-cloudwatch".into()], ..Settings::default() };
        let text = yaml(&["leases".to_owned()], &settings, Some("amazon-cloudwatch")).unwrap();
        let documents: Vec<&str> = text.split("---\n").collect();
        let role: Role = serde_saphyr::from_str(documents[documents.len() - 2]).unwrap();
        let binding: RoleBinding = serde_saphyr::from_str(documents[documents.len() - 1]).unwrap();
        assert_eq!(role.metadata.namespace.as_deref(), Some("amazon-cloudwatch"));
        assert_eq!(role.metadata.name.as_deref(), Some(binding.role_ref.name.as_str()));
        let rules = role.rules.unwrap();
        assert_eq!((rules.len(), rules[0].verbs.join(",").as_str()), (1, "list,watch"));
        assert_eq!(rules[0].resources.as_deref(), Some(&["leases".to_owned()][..]));
        // The one for what is watched there is another.
        assert!(text.matches("name: cluster-agent\n").count() > 1 && text.contains(NODE_METADATA), "{text}");
    }
}
