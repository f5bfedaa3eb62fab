//! The permissions that the agent needs: `list` and `watch` on exactly what it watches, and what each part needs beside.

use std::collections::BTreeMap;

use example_host::checkpoint::Place;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ksm_core::Settings;
use ksm_core::catalog::kinds;
use ksm_core::options::ShardChoice;
use serde::Serialize;

use crate::options::Options;
use crate::usage::Way;

const NAME: &str = "cluster-agent";
/// Where the agent is expected to run.
const NAMESPACE: &str = "cluster-agent";
const RBAC: &str = "rbac.authorization.k8s.io";

/// The Role for the Leases of nodes' metadata, beside the one for what is watched in their namespace.
const NODE_METADATA: &str = "cluster-agent-node-metadata";

/// The Role for the ConfigMap that keeps how far events were sent.
const POSITION: &str = "cluster-agent-position";

/// The Role for the agent's own StatefulSet, which says which shard it is.
const SHARDS: &str = "cluster-agent-shards";

/// What the agent needs rights for.
#[derive(Debug, Default)]
struct Needs {
    /// What is listed and watched, and whether that lives in namespaces.
    watched: Vec<(String, String, bool)>,
    /// The namespaces that are watched; all if there are none.
    namespaces: Vec<String>,
    /// The namespace of the Leases of nodes' metadata.
    leases: Option<String>,
    /// The subresource of nodes by which kubelets are asked.
    kubelets: Option<&'static str>,
    /// What events are about is looked up, for where they are sent.
    objects: bool,
    /// The ConfigMap that keeps how far events were sent: its namespace and name.
    position: Option<(String, String)>,
    /// The namespace of the agent's StatefulSet.
    shards: Option<String>,
}

/// The objects that allow the agent what these options ask of it, as YAML documents.
pub(crate) fn yaml(options: &Options) -> anyhow::Result<String> {
    Needs::of(options).yaml()
}

impl Needs {
    fn of(options: &Options) -> Self {
        let Options { flags, resources, settings, .. } = options;
        let (usage, events) = (flags.usage.wanted.is_on(), flags.events.wanted.is_on());
        let mut needs = Self::watching(resources, settings);
        needs.leases = flags.nodes.namespace(resources).map(str::to_owned);
        if usage {
            needs.kubelets = Some(match flags.usage.via {
                Way::Proxy => "nodes/proxy",
                Way::Direct => "nodes/stats",
            });
            needs.watch("", "pods", true);
            needs.watch("", "nodes", false);
        }
        if events {
            needs.watch("", "events", true);
        }
        needs.objects = events && options.export.as_ref().is_some_and(|export| !export.config.omit_lookup);
        if let Some(Place::ConfigMap { namespace, name }) = &flags.events.checkpoint
            && events
            && options.export.is_some()
        {
            needs.position = Some((namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned()), name.clone()));
        }
        if let ShardChoice::ByPod { namespace, .. } = &options.shard {
            needs.shards = Some(namespace.clone());
        }
        needs
    }

    fn watching(resources: &[String], settings: &Settings) -> Self {
        let watched = kinds().into_iter().filter(|kind| resources.iter().any(|name| name == kind.resource));
        let watched = watched.map(|kind| (kind.group.clone(), kind.plural.clone(), kind.namespaced)).collect();
        let denied = |name: &String| settings.namespaces_denylist.contains(name);
        let namespaces = settings.namespaces.iter().filter(|name| !denied(name)).cloned().collect();
        Self { watched, namespaces, ..Self::default() }
    }

    fn watch(&mut self, group: &str, plural: &str, namespaced: bool) {
        if !self.watched.iter().any(|(known, name, _)| known == group && name == plural) {
            self.watched.push((group.to_owned(), plural.to_owned(), namespaced));
        }
    }

    fn yaml(&self) -> anyhow::Result<String> {
        let home = ObjectMeta { name: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() };
        let mut documents = vec![
            document(&Namespace { metadata: home, ..Namespace::default() })?,
            document(&ServiceAccount { metadata: named(Some(NAMESPACE)), ..ServiceAccount::default() })?,
        ];
        let within = |(_, _, namespaced): &&(String, String, bool)| *namespaced && !self.namespaces.is_empty();
        let (namespaced, cluster_wide): (Vec<_>, Vec<_>) = self.watched.iter().partition(within);
        let mut everywhere = rules(&cluster_wide);
        everywhere.extend(self.kubelets.map(|path| rule("", vec![path.to_owned()], &["get"])));
        if self.objects {
            // Events are about anything, and what can't be read is told as unknown.
            let of_anything = ["pods", "nodes", "namespaces"].map(str::to_owned).to_vec();
            everywhere.push(rule("", of_anything, &["get"]));
            let workloads = ["deployments", "replicasets", "statefulsets", "daemonsets"].map(str::to_owned).to_vec();
            everywhere.push(rule("apps", workloads, &["get"]));
            everywhere.push(rule("batch", ["jobs", "cronjobs"].map(str::to_owned).to_vec(), &["get"]));
        }
        if !everywhere.is_empty() {
            let rules = Some(everywhere);
            documents.push(document(&ClusterRole { metadata: named(None), rules, ..ClusterRole::default() })?);
            let (role_ref, subjects) = (role_ref("ClusterRole", NAME), Some(subjects()));
            documents.push(document(&ClusterRoleBinding { metadata: named(None), role_ref, subjects })?);
        }
        if !namespaced.is_empty() {
            for namespace in &self.namespaces {
                documents.extend(role(named(Some(namespace)), rules(&namespaced))?);
            }
        }
        let part = |name: &str, namespace: &str| ObjectMeta { name: Some(name.to_owned()), ..named(Some(namespace)) };
        if let Some(namespace) = &self.leases {
            let leases = rule("coordination.k8s.io", vec!["leases".to_owned()], WATCH);
            documents.extend(role(part(NODE_METADATA, namespace), vec![leases])?);
        }
        if let Some((namespace, name)) = &self.position {
            let kept = || vec!["configmaps".to_owned()];
            let named = PolicyRule { resource_names: Some(vec![name.clone()]), ..rule("", kept(), &["get", "patch"]) };
            // What is not there yet has no name that a rule could be for.
            documents.extend(role(part(POSITION, namespace), vec![rule("", kept(), &["create"]), named])?);
        }
        if let Some(namespace) = &self.shards {
            let own =
                [rule("", vec!["pods".to_owned()], &["get"]), rule("apps", vec!["statefulsets".to_owned()], WATCH)];
            documents.extend(role(part(SHARDS, namespace), own.to_vec())?);
        }
        Ok(documents.join("---\n"))
    }
}

const WATCH: &[&str] = &["list", "watch"];

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
fn rules(watched: &[&(String, String, bool)]) -> Vec<PolicyRule> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (group, plural, _) in watched {
        groups.entry(group).or_default().push(plural.clone());
    }
    groups.into_iter().map(|(group, resources)| rule(group, resources, WATCH)).collect()
}

fn rule(group: &str, resources: Vec<String>, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
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

    fn yaml(resources: &[String], settings: &Settings, leases: Option<&str>) -> anyhow::Result<String> {
        Needs { leases: leases.map(str::to_owned), ..Needs::watching(resources, settings) }.yaml()
    }

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

    #[test]
    fn each_part_needs_its_own() {
        let mut needs = Needs::watching(&["deployments".to_owned()], &Settings::default());
        needs.watch("", "events", true);
        needs.watch("apps", "deployments", true);
        needs.kubelets = Some("nodes/proxy");
        needs.objects = true;
        needs.shards = Some("agents".to_owned());
        let text = needs.yaml().unwrap();
        let documents: Vec<&str> = text.split("---\n").collect();
        let role: ClusterRole = serde_saphyr::from_str(documents[2]).unwrap();
        let rules = role.rules.unwrap().into_iter();
        let rules: Vec<String> =
            rules.map(|rule| format!("{} {}", rule.verbs.join(","), rule.resources.unwrap().join(","))).collect();
        let want = [
            "list,watch events",
            "list,watch deployments",
            "get nodes/proxy",
            "get pods,nodes,namespaces",
            "get deployments,replicasets,statefulsets,daemonsets",
            "get jobs,cronjobs",
        ];
        assert_eq!(rules, want);
        let role: Role = serde_saphyr::from_str(documents[4]).unwrap();
        assert_eq!(role.metadata.namespace.as_deref(), Some("agents"));
    }
}
