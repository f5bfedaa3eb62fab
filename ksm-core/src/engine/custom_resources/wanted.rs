//! A configuration and the kinds that there are → the resources to watch.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{ApiResource, GroupVersionKind};

use super::definitions::Kind;
use crate::custom_resource::{CustomResourceConfig, Object, ResourceMetrics};
use crate::engine::resource::ResourceBuilder;

/// A kind that the configuration is for, and what it says of it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    kind: Kind,
    metrics: ResourceMetrics,
}

impl Wanted {
    /// The resource's name: plural, version and group, which no two kinds have in common.
    fn name(kind: &Kind) -> String {
        let GroupVersionKind { group, version, .. } = &kind.gvk;
        let plural = &kind.plural;
        if group.is_empty() { format!("{plural}.{version}") } else { format!("{plural}.{version}.{group}") }
    }

    /// Whether the running resource is this one.
    pub(super) fn is(&self, running: &Self) -> bool {
        let (new, old) = (&self.kind, &running.kind);
        let same_definition = new.definition == old.definition || new.definition.is_none() || old.definition.is_none();
        let same_kind = (&new.gvk, &new.plural, new.namespaced) == (&old.gvk, &old.plural, old.namespaced);
        same_definition && same_kind && self.metrics == running.metrics
    }

    pub(super) fn resource(&self) -> ResourceBuilder<Object> {
        let Kind { gvk, plural, namespaced, .. } = &self.kind;
        let api = ApiResource::from_gvk_with_plural(gvk, plural);
        let metrics = self.metrics.clone();
        let walk = move |object: &Object, samples: &mut crate::Samples<'_>| metrics.collect(object, samples);
        let families = self.metrics.families().to_vec();
        ResourceBuilder::with_type(self.metrics.name().to_owned(), api, !namespaced, families, walk)
    }
}

/// The resources to watch, by name. Kinds that definitions define come before those of the same name that discovery
/// found.
pub(super) fn wanted<'k>(
    config: &CustomResourceConfig,
    kinds: impl IntoIterator<Item = &'k Kind>,
) -> BTreeMap<String, Wanted> {
    let mut wanted = BTreeMap::new();
    for kind in kinds {
        let Some(metrics) = config.for_kind(&kind.gvk) else { continue };
        let name = Wanted::name(kind);
        let metrics = metrics.named(&name);
        wanted.entry(name).or_insert_with(|| Wanted { kind: kind.clone(), metrics });
    }
    wanted
}

/// The kinds that are named in full, and that no definition defines.
pub(super) fn undefined(config: &CustomResourceConfig, defined: &[Kind]) -> BTreeSet<Exact> {
    let exact = config.resources().iter().filter_map(|resource| resource.pattern().exact());
    exact
        .filter(|gvk| !defined.iter().any(|kind| kind.gvk == *gvk))
        .map(|GroupVersionKind { group, version, kind }| Exact { group, version, kind })
        .collect()
}

/// A kind's full name, ordered by group and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Exact {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entries: &[(&str, &str, &str)]) -> CustomResourceConfig {
        let entries = entries.iter().enumerate().map(|(at, (group, version, kind))| {
            serde_json::json!({
                "groupVersionKind": {"group": group, "version": version, "kind": kind},
                "metrics": [{"name": format!("m{at}"), "help": "", "each": {"type": "Gauge", "gauge": {"path": ["spec"]}}}],
            })
        });
        let text = serde_json::json!({"spec": {"resources": entries.collect::<Vec<_>>()}}).to_string();
        CustomResourceConfig::from_yaml(&text, "test").unwrap()
    }

    fn kind(group: &str, version: &str, kind: &str, definition: Option<&str>) -> Kind {
        let plural = format!("{}s", kind.to_lowercase());
        let gvk = GroupVersionKind::gvk(group, version, kind);
        Kind { gvk, plural, namespaced: true, definition: definition.map(Into::into) }
    }

    #[test]
    fn one_plural_in_two_groups_is_two_resources() {
        let kinds =
            [kind("a.io", "v1", "Foo", Some("1")), kind("b.io", "v1", "Foo", Some("2")), kind("", "v1", "Pod", None)];
        let config = config(&[("a.io", "*", "*"), ("b.io", "v1", "Foo"), ("", "v1", "Pod"), ("c.io", "*", "*")]);
        assert_eq!(
            wanted(&config, &kinds).into_keys().collect::<Vec<_>>(),
            ["foos.v1.a.io", "foos.v1.b.io", "pods.v1"]
        );
    }

    #[test]
    fn what_is_named_in_full_and_not_defined_is_looked_up() {
        let config = config(&[("a.io", "v1", "Foo"), ("a.io", "v1", "Bar"), ("a.io", "*", "Baz"), ("", "v1", "Pod")]);
        let names: Vec<String> =
            undefined(&config, &[kind("a.io", "v1", "Foo", Some("1"))]).into_iter().map(|exact| exact.kind).collect();
        assert_eq!(names, ["Pod", "Bar"]);
    }

    #[test]
    fn only_what_differs_is_another_one() {
        let of = |config: &CustomResourceConfig, kind: &Kind| wanted(config, [kind]).into_values().next().unwrap();
        let (one, two) = (config(&[("a.io", "v1", "Foo")]), config(&[("a.io", "v1", "Foo"), ("a.io", "v1", "Bar")]));
        let foo = kind("a.io", "v1", "Foo", Some("1"));
        let running = of(&one, &foo);
        assert!(of(&two, &foo).is(&running), "an entry for another kind");
        assert!(!of(&config(&[("a.io", "*", "Foo"), ("a.io", "v1", "Foo")]), &foo).is(&running), "one more entry");
        assert!(of(&one, &kind("a.io", "v1", "Foo", None)).is(&running), "found by discovery");
        assert!(!of(&one, &kind("a.io", "v1", "Foo", Some("2"))).is(&running), "defined anew");
        assert!(!of(&one, &Kind { namespaced: false, ..foo.clone() }).is(&running), "another scope");
        assert!(!of(&one, &Kind { plural: "fooes".to_owned(), ..foo }).is(&running), "another plural");
    }
}
