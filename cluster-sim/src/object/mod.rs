//! An API object, and the rules that every kind shares.

pub(crate) mod defaults;
pub(crate) mod events;
pub(crate) mod names;
pub(crate) mod selector;
pub(crate) mod shard;
pub(crate) mod strategy;
pub(crate) mod validate;

use serde_json::{Map, Value};

/// A JSON object's fields.
pub(crate) type Fields = Map<String, Value>;

/// An object without its `apiVersion` and `kind`, which its resource knows: the metadata, and every other top-level
/// field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object {
    pub(crate) metadata: Fields,
    pub(crate) rest: Fields,
}

/// What an object says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TypeMeta {
    pub(crate) api_version: String,
    pub(crate) kind: String,
}

impl TypeMeta {
    /// The API group: `apps` of `apps/v1`, the empty string of `v1`.
    pub(crate) fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// The version within the group: `v1` of `apps/v1`.
    pub(crate) fn version(&self) -> &str {
        self.api_version.rsplit_once('/').map_or(self.api_version.as_str(), |(_, version)| version)
    }
}

impl Object {
    /// Take an object apart; what is wrong with it otherwise.
    pub(crate) fn from_value(value: Value) -> Result<(TypeMeta, Self), String> {
        let Value::Object(rest) = value else {
            return Err("the object is not a JSON object".to_owned());
        };
        Self::from_fields(rest)
    }

    pub(crate) fn from_fields(mut rest: Fields) -> Result<(TypeMeta, Self), String> {
        let mut text = |field: &str| match rest.remove(field) {
            Some(Value::String(text)) => Ok(text),
            None | Some(Value::Null) => Ok(String::new()),
            Some(_) => Err(format!("{field} is not a string")),
        };
        let type_meta = TypeMeta { api_version: text("apiVersion")?, kind: text("kind")? };
        let metadata = match rest.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            None | Some(Value::Null) => Fields::new(),
            Some(_) => return Err("metadata is not an object".to_owned()),
        };
        for field in ["name", "namespace", "uid", "resourceVersion", "generateName"] {
            if metadata.get(field).is_some_and(|value| !value.is_string() && !value.is_null()) {
                return Err(format!("metadata.{field} is not a string"));
            }
        }
        for field in ["labels", "annotations"] {
            match metadata.get(field) {
                None | Some(Value::Null) => {}
                Some(Value::Object(entries)) if entries.values().all(Value::is_string) => {}
                Some(_) => return Err(format!("metadata.{field} is not a map of strings")),
            }
        }
        Ok((type_meta, Self { metadata, rest }))
    }

    /// Put the object together again.
    pub(crate) fn into_value(self, type_meta: &TypeMeta) -> Value {
        let mut value = self.rest;
        value.insert("apiVersion".into(), type_meta.api_version.as_str().into());
        value.insert("kind".into(), type_meta.kind.as_str().into());
        value.insert("metadata".into(), Value::Object(self.metadata));
        Value::Object(value)
    }

    /// A string of the metadata; empty if absent.
    pub(crate) fn meta(&self, field: &str) -> &str {
        self.metadata.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.meta("name")
    }

    pub(crate) fn namespace(&self) -> &str {
        self.meta("namespace")
    }

    pub(crate) fn set_meta(&mut self, field: &str, value: impl Into<Value>) {
        self.metadata.insert(field.to_owned(), value.into());
    }

    /// Make one field of the metadata what it is in `other`, absence included.
    pub(crate) fn copy_meta(&mut self, field: &str, other: &Self) {
        copy(&mut self.metadata, field, &other.metadata);
    }

    /// Make one top-level field what it is in `other`, absence included.
    pub(crate) fn copy_field(&mut self, field: &str, other: &Self) {
        copy(&mut self.rest, field, &other.rest);
    }

    /// A map of strings in the metadata (`labels`, `annotations`).
    pub(crate) fn entries(&self, field: &str) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.metadata.get(field).and_then(Value::as_object);
        entries.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    pub(crate) fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.metadata.get("finalizers").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The uids of the owners.
    pub(crate) fn owner_uids(&self) -> impl Iterator<Item = &str> {
        let owners = self.metadata.get("ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().filter_map(|owner| owner.get("uid")?.as_str())
    }

    pub(crate) fn is_being_deleted(&self) -> bool {
        !self.meta("deletionTimestamp").is_empty()
    }

    /// The value at a JSON pointer, metadata included.
    pub(crate) fn pointer(&self, pointer: &str) -> Option<&Value> {
        let path = pointer.strip_prefix('/')?;
        let (first, tail) = path.find('/').map_or((path, ""), |at| path.split_at(at));
        if first == "metadata" {
            let (field, tail) =
                tail.strip_prefix('/').map(|tail| tail.find('/').map_or((tail, ""), |at| tail.split_at(at)))?;
            return self.metadata.get(field)?.pointer(tail);
        }
        self.rest.get(first)?.pointer(tail)
    }
}

fn copy(to: &mut Fields, field: &str, from: &Fields) {
    match from.get(field) {
        Some(value) => to.insert(field.to_owned(), value.clone()),
        None => to.remove(field),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        Object::from_value(value).unwrap().1
    }

    #[test]
    fn pointers_reach_metadata_and_the_rest() {
        let object = object(json!({"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"nodeName": "n"}}));
        assert_eq!(object.pointer("/metadata/name"), Some(&json!("a")));
        assert_eq!(object.pointer("/metadata/labels/x"), Some(&json!("y")));
        assert_eq!(object.pointer("/spec/nodeName"), Some(&json!("n")));
        assert_eq!(object.pointer("/spec/nothing"), None);
    }

    #[test]
    fn taking_apart_and_putting_together_changes_nothing() {
        let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {}});
        let (type_meta, object) = Object::from_value(value.clone()).unwrap();
        assert_eq!(object.into_value(&type_meta), value);
    }

    #[test]
    fn metadata_of_the_wrong_shape_is_refused() {
        assert_eq!(
            Object::from_value(json!({"metadata": {"labels": {"a": 1}}})).unwrap_err(),
            "metadata.labels is not a map of strings"
        );
        assert_eq!(Object::from_value(json!({"metadata": []})).unwrap_err(), "metadata is not an object");
    }
}
