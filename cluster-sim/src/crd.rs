//! Custom resource definitions: what a definition makes the server serve.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::{NameRule, SelectableField};
use crate::object::Object;
use crate::resource::{GroupResource, Resource, Scale, Version};

/// The resource that a definition defines; what is missing otherwise.
pub(crate) fn resource(definition: &Object) -> Result<Resource, String> {
    let spec = definition.rest.get("spec").ok_or("spec is missing")?;
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str);
    let required = |pointer: &str| {
        text(pointer)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| format!("spec{} is missing", pointer.replace('/', ".")))
    };
    let strings = |pointer: &str| -> Vec<String> {
        let list = spec.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let id = GroupResource::new(required("/group")?, required("/names/plural")?);
    let kind = required("/names/kind")?;
    let namespaced = match required("/scope")? {
        "Namespaced" => true,
        "Cluster" => false,
        other => return Err(format!("spec.scope is {other:?}, not Namespaced or Cluster")),
    };
    let expected = format!("{}.{}", id.plural, id.group);
    if definition.name() != expected {
        return Err(format!("metadata.name must be spec.names.plural+\".\"+spec.group: {expected:?}"));
    }
    let declared = spec.get("versions").and_then(Value::as_array).ok_or("spec.versions is missing")?;
    let stored = declared.iter().filter(|version| version["storage"] == true).count();
    if stored != 1 {
        return Err("spec.versions must have exactly one version marked as storage version".to_owned());
    }
    let mut served: Vec<&Value> = declared.iter().filter(|version| version["served"] == true).collect();
    served.sort_by_key(|version| std::cmp::Reverse(priority(version["name"].as_str().unwrap_or_default())));
    let fields = declared.iter().flat_map(selectable_fields).fold(Vec::new(), |mut unique, field| {
        if !unique.contains(&field) {
            unique.push(field);
        }
        unique
    });
    Ok(Resource {
        storage: id.clone(),
        singular: text("/names/singular")
            .filter(|name| !name.is_empty())
            .map_or_else(|| kind.to_lowercase(), str::to_owned),
        list_kind: text("/names/listKind")
            .filter(|name| !name.is_empty())
            .map_or_else(|| format!("{kind}List"), str::to_owned),
        kind: kind.to_owned(),
        namespaced,
        short_names: strings("/names/shortNames"),
        categories: strings("/names/categories"),
        versions: served.into_iter().map(version).collect(),
        generation: true,
        conditional_update: true,
        create_on_update: false,
        name_rule: NameRule::Subdomain,
        fields,
        custom: true,
        id,
    })
}

fn version(declared: &Value) -> Version {
    let scale = declared.pointer("/subresources/scale").map(|scale| {
        let pointer = |field: &str| scale[field].as_str().unwrap_or_default().replace('.', "/");
        Scale {
            spec_replicas: pointer("specReplicasPath"),
            status_replicas: pointer("statusReplicasPath"),
            selector: pointer("labelSelectorPath"),
        }
    });
    Version {
        name: declared["name"].as_str().unwrap_or_default().to_owned(),
        status: declared.pointer("/subresources/status").is_some(),
        scale,
        schema: declared.pointer("/schema/openAPIV3Schema").cloned().map(Arc::new),
    }
}

fn selectable_fields(declared: &Value) -> Vec<SelectableField<String>> {
    let list = declared["selectableFields"].as_array();
    list.into_iter()
        .flatten()
        .filter_map(|field| field["jsonPath"].as_str())
        .map(|path| SelectableField {
            label: path.trim_start_matches('.').to_owned(),
            pointer: path.replace('.', "/"),
            absent: String::new(),
        })
        .collect()
}

/// Versions sort as `v2 > v1 > v1beta2 > v1beta1 > v1alpha1 > anything else`
/// ([rule](https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-priority)).
pub(crate) fn priority(version: &str) -> (u8, u32, u32, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else { return other };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, suffix) = rest.split_at(digits);
    let Ok(major) = major.parse() else { return other };
    let (rank, minor) = match (suffix, suffix.strip_prefix("beta"), suffix.strip_prefix("alpha")) {
        ("", ..) => (3, Ok(0)),
        (_, Some(minor), _) => (2, minor.parse()),
        (_, _, Some(minor)) => (1, minor.parse()),
        _ => return other,
    };
    match minor {
        Ok(minor) => (rank, major, minor, std::cmp::Reverse(String::new())),
        Err(_) => other,
    }
}

/// Accepts a definition's names at once, as a server does soon.
pub(crate) fn accept(definition: &mut Object, now: &str) {
    let accepted = accepted_status(definition, now);
    let status = definition.rest.entry("status").or_insert_with(|| json!({}));
    if status.get("conditions").is_none_or(Value::is_null) {
        *status = accepted;
    } else {
        status["acceptedNames"] = accepted["acceptedNames"].clone();
    }
}

/// The status of a definition whose names are accepted and which is served.
pub(crate) fn accepted_status(definition: &Object, now: &str) -> Value {
    let spec = definition.rest.get("spec").cloned().unwrap_or_default();
    let stored: Vec<&Value> = spec["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["storage"] == true)
        .map(|version| &version["name"])
        .collect();
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now});
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": spec["names"],
        "storedVersions": stored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "json!(…) reads best where it is used")]
    fn definition(spec: Value) -> Object {
        Object::from_value(json!({"metadata": {"name": "foos.example.com"}, "spec": spec})).unwrap().1
    }

    #[test]
    fn served_versions_come_by_priority() {
        let names = ["v1alpha1", "v1", "v2beta1", "v10", "foo", "v2"];
        let versions: Vec<Value> =
            names.iter().map(|name| json!({"name": name, "served": *name != "v2", "storage": *name == "v1"})).collect();
        let resource = resource(&definition(json!({
            "group": "example.com", "scope": "Cluster", "names": {"plural": "foos", "kind": "Foo"},
            "versions": versions,
        })))
        .unwrap();
        let served: Vec<&str> = resource.versions.iter().map(|version| version.name.as_str()).collect();
        assert_eq!(served, ["v10", "v1", "v2beta1", "v1alpha1", "foo"]);
        assert_eq!((resource.singular.as_str(), resource.list_kind.as_str()), ("foo", "FooList"));
    }

    #[test]
    fn an_incomplete_definition_says_what_is_missing() {
        let why = resource(&definition(json!({"group": "example.com", "names": {"plural": "foos"}}))).unwrap_err();
        assert_eq!(why, "spec.names.kind is missing");
    }
}
