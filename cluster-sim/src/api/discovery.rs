//! Discovery: which groups, versions and resources there are, in the old form and the aggregated one.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use super::reviews::REVIEWS;
use super::route::Route;
use super::status::Status;
use crate::http::reply::{JSON, Reply};
use crate::resource::{Registry, Resource, Version};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const SUBRESOURCE_VERBS: [&str; 3] = ["get", "patch", "update"];

pub(crate) fn discover(registry: &Registry, route: &Route, aggregated: bool, host: &str) -> Result<Reply, Status> {
    let groups = groups(registry);
    let document = match route {
        Route::CoreVersions | Route::Groups if aggregated => {
            let core = *route == Route::CoreVersions;
            let items: Vec<Value> =
                groups.iter().filter(|(name, _)| name.is_empty() == core).map(aggregated_group).collect();
            let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items});
            return Ok(Reply::new(StatusCode::OK, AGGREGATED, list.to_string()));
        }
        Route::CoreVersions => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
        }),
        Route::Groups => {
            let named = groups.iter().filter(|(name, _)| !name.is_empty());
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": named.map(group).collect::<Vec<_>>()})
        }
        Route::Group(name) => {
            let found = groups.get_key_value(name.as_str()).filter(|(name, _)| !name.is_empty());
            let mut document = found.map(group).ok_or_else(Status::no_such_path)?;
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            document
        }
        Route::Resources { group, version } => {
            let versions = groups.get(group.as_str()).ok_or_else(Status::no_such_path)?;
            let (_, served) = versions.iter().find(|(name, _)| name == version).ok_or_else(Status::no_such_path)?;
            let group_version = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
            json!({
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": group_version,
                "resources": served.iter().flat_map(Served::flat).collect::<Vec<_>>(),
            })
        }
        _ => return Err(Status::no_such_path()),
    };
    Ok(Reply::new(StatusCode::OK, JSON, document.to_string()))
}

/// A group's versions, preferred first, each with what it serves.
type Versions<'a> = Vec<(String, Vec<Served<'a>>)>;

enum Served<'a> {
    Stored(&'a Resource, &'a Version),
    Review { plural: &'static str, kind: &'static str, namespaced: bool },
}

fn groups(registry: &Registry) -> BTreeMap<String, Versions<'_>> {
    let mut groups: BTreeMap<String, Versions<'_>> = BTreeMap::new();
    for resource in registry.iter() {
        let versions = groups.entry(resource.id.group.clone()).or_default();
        for version in &resource.versions {
            add(versions, &version.name, Served::Stored(resource, version));
        }
    }
    for (group, plural, kind, namespaced) in REVIEWS {
        let versions = groups.entry(group.to_owned()).or_default();
        add(versions, "v1", Served::Review { plural, kind, namespaced });
    }
    for versions in groups.values_mut() {
        versions.sort_by_key(|(name, _)| std::cmp::Reverse(crate::crd::priority(name)));
    }
    groups
}

fn add<'a>(versions: &mut Versions<'a>, name: &str, served: Served<'a>) {
    match versions.iter_mut().find(|(known, _)| known == name) {
        Some((_, all)) => all.push(served),
        None => versions.push((name.to_owned(), vec![served])),
    }
}

fn group((name, versions): (&String, &Versions<'_>)) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(version, _)| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn aggregated_group((name, versions): (&String, &Versions<'_>)) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(version, served)| {
            let resources: Vec<Value> = served.iter().map(|served| served.aggregated(name, version)).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if name.is_empty() { json!({}) } else { json!({"name": name}) };
    json!({"metadata": metadata, "versions": versions})
}

/// A subresource: its name and the kind it is read and written as (`None`: the resource's own).
type Subresource = (&'static str, Option<(&'static str, &'static str, &'static str)>, &'static [&'static str]);

impl Served<'_> {
    fn subresources(&self) -> Vec<Subresource> {
        let Self::Stored(resource, version) = self else { return Vec::new() };
        let mut subresources: Vec<Subresource> = Vec::new();
        if resource.is("", "pods") {
            subresources.push(("eviction", Some(("policy", "v1", "Eviction")), &["create"]));
        }
        if version.scale.is_some() {
            subresources.push(("scale", Some(("autoscaling", "v1", "Scale")), &SUBRESOURCE_VERBS));
        }
        if version.status {
            subresources.push(("status", None, &SUBRESOURCE_VERBS));
        }
        subresources
    }

    /// The entries of an `APIResourceList`: the resource and its subresources.
    fn flat(&self) -> Vec<Value> {
        let resource = match self {
            Self::Review { plural, kind, namespaced } => {
                return vec![json!({
                    "name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind,
                    "verbs": ["create"],
                })];
            }
            Self::Stored(resource, _) => resource,
        };
        let mut entry = json!({
            "name": resource.id.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": VERBS,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        let subresources = self.subresources().into_iter().map(|(name, kind, verbs)| {
            let mut entry = json!({
                "name": format!("{}/{name}", resource.id.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": verbs,
            });
            if let Some((group, version, kind)) = kind {
                entry["group"] = group.into();
                entry["version"] = version.into();
                entry["kind"] = kind.into();
            }
            entry
        });
        std::iter::once(entry).chain(subresources).collect()
    }

    fn aggregated(&self, group: &str, version: &str) -> Value {
        let scope = |namespaced: bool| if namespaced { "Namespaced" } else { "Cluster" };
        let resource = match self {
            Self::Review { plural, kind, namespaced } => {
                return json!({
                    "resource": plural,
                    "responseKind": {"group": group, "version": version, "kind": kind},
                    "scope": scope(*namespaced),
                    "singularResource": kind.to_lowercase(),
                    "verbs": ["create"],
                });
            }
            Self::Stored(resource, _) => resource,
        };
        let subresources: Vec<Value> = self
            .subresources()
            .into_iter()
            .map(|(name, kind, verbs)| {
                let (group, version, kind) = kind.unwrap_or((group, version, &resource.kind));
                json!({
                    "subresource": name,
                    "responseKind": {"group": group, "version": version, "kind": kind},
                    "verbs": verbs,
                })
            })
            .collect();
        let mut entry = json!({
            "resource": resource.id.plural,
            "responseKind": {"group": group, "version": version, "kind": resource.kind},
            "scope": scope(resource.namespaced),
            "singularResource": resource.singular,
            "verbs": VERBS,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        if !subresources.is_empty() {
            entry["subresources"] = json!(subresources);
        }
        entry
    }
}
