//! What the server serves: one [`Resource`] per group and plural, built-in or defined by a custom resource definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::api::status::About;
use crate::kinds::{KINDS, Kind, NameRule, SelectableField};
use crate::object::TypeMeta;

/// A group and a plural, the identity of a resource across its versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupResource {
    pub(crate) group: String,
    pub(crate) plural: String,
}

impl GroupResource {
    pub(crate) fn new(group: &str, plural: &str) -> Self {
        Self { group: group.to_owned(), plural: plural.to_owned() }
    }
}

/// A resource as the server serves it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, in the API's own words")]
pub(crate) struct Resource {
    pub(crate) id: GroupResource,
    /// Where the objects are kept; differs from `id` only for the second door to Events.
    pub(crate) storage: GroupResource,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    /// Served versions, preferred first.
    pub(crate) versions: Vec<Version>,
    pub(crate) generation: bool,
    pub(crate) conditional_update: bool,
    pub(crate) create_on_update: bool,
    pub(crate) name_rule: NameRule,
    pub(crate) fields: Vec<SelectableField<String>>,
    /// Defined by a custom resource definition.
    pub(crate) custom: bool,
}

/// One served version of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) status: bool,
    pub(crate) scale: Option<Scale>,
    /// The OpenAPI schema of a custom resource.
    pub(crate) schema: Option<Arc<Value>>,
}

/// Where the scale subresource finds its numbers (JSON pointers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) spec_replicas: String,
    pub(crate) status_replicas: String,
    pub(crate) selector: String,
}

impl Resource {
    fn built_in(kind: &Kind) -> Self {
        let id = GroupResource::new(kind.group, kind.plural);
        let scale = kind.scale.then(|| Scale {
            spec_replicas: "/spec/replicas".to_owned(),
            status_replicas: "/status/replicas".to_owned(),
            selector: "/spec/selector".to_owned(),
        });
        let version =
            |name: &&str| Version { name: (*name).to_owned(), status: kind.status, scale: scale.clone(), schema: None };
        Self {
            storage: id.clone(),
            id,
            singular: kind.singular.to_owned(),
            kind: kind.kind.to_owned(),
            list_kind: format!("{}List", kind.kind),
            namespaced: kind.namespaced,
            short_names: owned(kind.short_names),
            categories: owned(kind.categories),
            versions: kind.versions.iter().map(version).collect(),
            generation: kind.generation,
            conditional_update: kind.conditional_update,
            create_on_update: kind.create_on_update,
            name_rule: kind.name_rule,
            fields: kind.fields.iter().map(own_field).collect(),
            custom: false,
        }
    }

    /// A built-in resource in other versions than usual; `None` if there is no such one.
    pub(crate) fn in_versions(group: &str, plural: &str, versions: &[String]) -> Option<Self> {
        let kind = KINDS.iter().find(|kind| kind.group == group && kind.plural == plural)?;
        let mut resource = Self::built_in(kind);
        let usual = resource.versions.first().cloned()?;
        resource.versions = versions.iter().map(|name| Version { name: name.clone(), ..usual.clone() }).collect();
        Some(resource)
    }

    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// `apps/v1`, or `v1` for the core group.
    pub(crate) fn api_version(&self, version: &str) -> String {
        if self.id.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.id.group) }
    }

    pub(crate) fn type_meta(&self, version: &str) -> TypeMeta {
        TypeMeta { api_version: self.api_version(version), kind: self.kind.clone() }
    }

    pub(crate) fn about<'a>(&'a self, name: &'a str) -> About<'a> {
        About { group: &self.id.group, resource: &self.id.plural, name }
    }

    /// Is this the resource of that group and plural?
    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.id.group == group && self.id.plural == plural
    }

    /// Where an object is kept within the resource: keys sort as the server's own do.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced { format!("{namespace}/{name}") } else { name.to_owned() }
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn own_field(field: &SelectableField) -> SelectableField<String> {
    SelectableField {
        label: field.label.to_owned(),
        pointer: field.pointer.to_owned(),
        absent: field.absent.to_owned(),
    }
}

/// Every resource that is served.
#[derive(Debug)]
pub(crate) struct Registry {
    resources: BTreeMap<GroupResource, Arc<Resource>>,
    /// From a group and kind to its resource, as objects name themselves.
    kinds: BTreeMap<(String, String), GroupResource>,
}

impl Registry {
    pub(crate) fn with_built_ins() -> Self {
        let mut registry = Self { resources: BTreeMap::new(), kinds: BTreeMap::new() };
        for kind in KINDS {
            let resource = Resource::built_in(kind);
            if resource.is("", "events") {
                registry.insert(Resource { id: GroupResource::new(EVENTS_GROUP, "events"), ..resource.clone() });
            }
            registry.insert(resource);
        }
        registry
    }

    pub(crate) fn insert(&mut self, resource: Resource) {
        self.remove(&resource.id);
        self.kinds.insert((resource.id.group.clone(), resource.kind.clone()), resource.id.clone());
        self.resources.insert(resource.id.clone(), Arc::new(resource));
    }

    pub(crate) fn remove(&mut self, id: &GroupResource) {
        if let Some(old) = self.resources.remove(id) {
            self.kinds.remove(&(old.id.group.clone(), old.kind.clone()));
        }
    }

    pub(crate) fn get(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&GroupResource::new(group, plural))
    }

    pub(crate) fn of_kind(&self, type_meta: &TypeMeta) -> Option<&Arc<Resource>> {
        let id = self.kinds.get(&(type_meta.group().to_owned(), type_meta.kind.clone()))?;
        self.resources.get(id).filter(|resource| resource.version(type_meta.version()).is_some())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }
}

/// The group of the second door to core Events.
pub(crate) const EVENTS_GROUP: &str = "events.k8s.io";
