//! Which lists are maps in disguise, which are sets, and which values are replaced as a whole.
//!
//! The rules are those of the `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and `x-kubernetes-map-type`
//! markers of the Kubernetes API: from the table below for built-in kinds, from their definition for custom resources.
//! A list without a rule is atomic.

use serde_json::Value;

use crate::resource::{Resource, Version};

/// How the elements of a list are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListType {
    /// Not at all: the list is one value.
    Atomic,
    /// By their values.
    Set,
    /// By these fields.
    Map(Vec<String>),
}

/// What is known about a place within an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Schema<'a> {
    /// A field of a built-in kind, with the field it is in.
    BuiltIn { parent: &'a str, field: &'a str, is_item: bool },
    /// A custom resource's OpenAPI schema, if there is one for this place.
    Custom(Option<&'a Value>),
}

/// (the field that holds the list, `*` for any; the list; its keys), the first match counts.
const MAPS: &[(&str, &str, &[&str])] = &[
    ("*", "containers", &["name"]),
    ("*", "initContainers", &["name"]),
    ("*", "ephemeralContainers", &["name"]),
    ("containers", "ports", &["containerPort", "protocol"]),
    ("initContainers", "ports", &["containerPort", "protocol"]),
    ("ephemeralContainers", "ports", &["containerPort", "protocol"]),
    ("containers", "env", &["name"]),
    ("initContainers", "env", &["name"]),
    ("ephemeralContainers", "env", &["name"]),
    ("*", "volumeMounts", &["mountPath"]),
    ("*", "volumeDevices", &["devicePath"]),
    ("resources", "claims", &["name"]),
    ("spec", "volumes", &["name"]),
    ("spec", "imagePullSecrets", &["name"]),
    ("spec", "hostAliases", &["ip"]),
    ("spec", "topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("spec", "schedulingGates", &["name"]),
    ("spec", "resourceClaims", &["name"]),
    ("spec", "ports", &["port", "protocol"]),
    ("status", "conditions", &["type"]),
    ("status", "podIPs", &["ip"]),
    ("status", "addresses", &["type"]),
    ("metadata", "ownerReferences", &["uid"]),
    ("", "secrets", &["name"]),
    ("", "webhooks", &["name"]),
    ("*", "matchConditions", &["name"]),
    ("spec", "variables", &["name"]),
];

const SETS: &[(&str, &str)] = &[("metadata", "finalizers"), ("spec", "podCIDRs")];

/// Maps that are replaced as a whole: label selectors, and references to other objects.
const ATOMIC_MAPS: &[&str] = &[
    "selector",
    "labelSelector",
    "namespaceSelector",
    "objectSelector",
    "podSelector",
    "nodeSelector",
    "fieldRef",
    "resourceFieldRef",
    "configMapKeyRef",
    "secretKeyRef",
    "roleRef",
    "involvedObject",
    "regarding",
    "related",
    "targetRef",
];

impl<'a> Schema<'a> {
    /// The schema of a resource's objects.
    pub(crate) fn of(resource: &'a Resource, version: &'a Version) -> Self {
        if resource.custom {
            Self::Custom(version.schema.as_deref())
        } else {
            Self::BuiltIn { parent: "", field: "", is_item: false }
        }
    }

    /// Nothing is known: every list is atomic.
    pub(crate) const fn unknown() -> Self {
        Self::Custom(None)
    }

    pub(crate) fn is_custom(self) -> bool {
        matches!(self, Self::Custom(Some(_)))
    }

    /// The schema of a member.
    pub(crate) fn member<'b>(self, name: &'b str) -> Schema<'b>
    where
        'a: 'b,
    {
        match self {
            Self::BuiltIn { field, .. } => Schema::BuiltIn { parent: field, field: name, is_item: false },
            // The metadata's rules are the same for all kinds; definitions leave them out.
            Self::Custom(_) if name == "metadata" => Schema::BuiltIn { parent: "", field: name, is_item: false },
            Self::Custom(schema) => Schema::Custom(schema.and_then(|schema| {
                schema
                    .get("properties")
                    .and_then(|properties| properties.get(name))
                    .or_else(|| schema.get("additionalProperties").filter(|additional| additional.is_object()))
            })),
        }
    }

    /// The schema of a list's items.
    pub(crate) fn item(self) -> Self {
        match self {
            Self::BuiltIn { parent, field, .. } => Self::BuiltIn { parent, field, is_item: true },
            Self::Custom(schema) => Self::Custom(schema.and_then(|schema| schema.get("items"))),
        }
    }

    pub(crate) fn list_type(self) -> ListType {
        match self {
            Self::BuiltIn { parent, field, .. } => {
                let known = |rule: &str| rule == "*" || rule == parent;
                if let Some((.., keys)) = MAPS.iter().find(|(rule, name, _)| *name == field && known(rule)) {
                    return ListType::Map(keys.iter().map(|key| (*key).to_owned()).collect());
                }
                let is_set = SETS.iter().any(|(rule, name)| *name == field && known(rule));
                if is_set { ListType::Set } else { ListType::Atomic }
            }
            Self::Custom(schema) => {
                let marker = |name: &str| schema.and_then(|schema| schema.get(name));
                match marker("x-kubernetes-list-type").and_then(Value::as_str) {
                    Some("set") => ListType::Set,
                    Some("map") => {
                        let keys = marker("x-kubernetes-list-map-keys").and_then(Value::as_array);
                        let keys = keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
                        ListType::Map(keys.collect())
                    }
                    _ => ListType::Atomic,
                }
            }
        }
    }

    /// Is a map at this place replaced as a whole?
    pub(crate) fn is_atomic_map(self) -> bool {
        match self {
            Self::BuiltIn { parent: "metadata", field: "ownerReferences", is_item } => is_item,
            Self::BuiltIn { field, is_item: false, .. } => ATOMIC_MAPS.contains(&field),
            Self::BuiltIn { .. } => false,
            Self::Custom(schema) => {
                schema.and_then(|schema| schema.get("x-kubernetes-map-type")).and_then(Value::as_str) == Some("atomic")
            }
        }
    }
}

/// The value of a key field that an item leaves out.
pub(crate) fn key_default(key: &str) -> Option<Value> {
    (key == "protocol").then(|| "TCP".into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROOT: Schema<'_> = Schema::BuiltIn { parent: "", field: "", is_item: false };

    #[test]
    fn built_in_lists() {
        let containers = ROOT.member("spec").member("template").member("spec").member("containers");
        assert_eq!(containers.list_type(), ListType::Map(vec!["name".into()]));
        let ports = containers.item().member("ports");
        assert_eq!(ports.list_type(), ListType::Map(vec!["containerPort".into(), "protocol".into()]));
        assert_eq!(containers.item().member("args").list_type(), ListType::Atomic);
        assert_eq!(ROOT.member("metadata").member("finalizers").list_type(), ListType::Set);
        assert!(ROOT.member("metadata").member("ownerReferences").item().is_atomic_map());
        assert!(ROOT.member("spec").member("selector").is_atomic_map());
        assert!(!ROOT.member("metadata").member("labels").is_atomic_map());
    }

    #[test]
    fn custom_lists_follow_their_markers() {
        let schema = json!({"properties": {"spec": {"properties": {
            "parts": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                      "items": {"properties": {"tags": {"x-kubernetes-list-type": "set"}}}},
            "plain": {}, "whole": {"x-kubernetes-map-type": "atomic"},
        }}}});
        let spec = Schema::Custom(Some(&schema)).member("spec");
        assert_eq!(spec.member("parts").list_type(), ListType::Map(vec!["id".into()]));
        assert_eq!(spec.member("parts").item().member("tags").list_type(), ListType::Set);
        assert_eq!(spec.member("plain").list_type(), ListType::Atomic);
        assert!(spec.member("whole").is_atomic_map());
    }
}
