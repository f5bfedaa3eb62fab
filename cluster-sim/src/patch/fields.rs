//! Sets of fields, as `fieldsV1` writes them
//! ([format](https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management)).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schema::{ListType, Schema, key_default};

/// A set of fields: a tree of members, named as in `fieldsV1` (`f:name`, `k:{"name":"a"}`, `v:"a"`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// The place itself is in the set, not only what is below it.
    pub(crate) owned: bool,
    pub(crate) members: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    fn leaf() -> Self {
        Self { owned: true, members: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.owned && self.members.is_empty()
    }

    pub(crate) fn from_json(fields: &Value) -> Self {
        let mut set = Self::members_from_json(fields);
        set.owned = false;
        set
    }

    fn members_from_json(fields: &Value) -> Self {
        let Some(fields) = fields.as_object().filter(|fields| !fields.is_empty()) else { return Self::leaf() };
        let members = fields.iter().filter(|(name, _)| *name != ".");
        Self {
            owned: fields.contains_key("."),
            members: members.map(|(name, below)| (name.clone(), Self::members_from_json(below))).collect(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut fields = Map::new();
        if self.owned && !self.members.is_empty() {
            fields.insert(".".into(), json!({}));
        }
        for (name, below) in &self.members {
            fields.insert(name.clone(), below.to_json());
        }
        Value::Object(fields)
    }

    /// The fields that an applied configuration names.
    pub(crate) fn named_by(value: &Value, schema: Schema<'_>) -> Self {
        Self::of(value, schema, false)
    }

    fn of(value: &Value, schema: Schema<'_>, with_containers: bool) -> Self {
        let Some(members) = members(value, schema) else { return Self::leaf() };
        if members.is_empty() {
            return Self::leaf();
        }
        let mut set = Self { owned: with_containers, members: BTreeMap::new() };
        for member in members {
            let mut below = Self::of(member.value, member.schema, with_containers);
            below.owned |= member.name.starts_with("k:");
            set.members.insert(member.name, below);
        }
        set
    }

    /// The fields of `new` that `old` has not, or has with another value.
    pub(crate) fn changed(old: &Value, new: &Value, schema: Schema<'_>) -> Self {
        if old == new {
            return Self::default();
        }
        let (Some(before), Some(after)) = (members(old, schema), members(new, schema)) else {
            return Self::of(new, schema, true);
        };
        let before: BTreeMap<String, &Value> = before.into_iter().map(|member| (member.name, member.value)).collect();
        let mut set = Self::default();
        if after.is_empty() {
            return Self::leaf();
        }
        for member in after {
            let below = match before.get(&member.name) {
                Some(old) => Self::changed(old, member.value, member.schema),
                None => Self::of(member.value, member.schema, true),
            };
            if !below.is_empty() {
                set.members.insert(member.name, below);
            }
        }
        set
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.owned |= other.owned;
        for (name, below) in &other.members {
            self.members.entry(name.clone()).or_default().add(below);
        }
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.owned &= !other.owned;
        for (name, below) in &other.members {
            if let Some(own) = self.members.get_mut(name) {
                own.subtract(below);
                if own.is_empty() {
                    self.members.remove(name);
                }
            }
        }
    }

    /// Leave out what `value` does not have.
    pub(crate) fn keep_existing(&mut self, value: &Value, schema: Schema<'_>) {
        let Some(present) = members(value, schema) else {
            self.owned |= !self.members.is_empty();
            self.members.clear();
            return;
        };
        let mut kept = BTreeMap::new();
        for member in present {
            if let Some(mut below) = self.members.remove(&member.name) {
                below.keep_existing(member.value, member.schema);
                if !below.is_empty() {
                    kept.insert(member.name, below);
                }
            }
        }
        self.members = kept;
    }

    /// The values that both sets have, as paths for people: `.spec.containers[name="a"].image`.
    pub(crate) fn overlap(&self, other: &Self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_overlap(other, "", &mut paths);
        paths
    }

    fn collect_overlap(&self, other: &Self, path: &str, paths: &mut Vec<String>) {
        let whole = self.members.is_empty() || other.members.is_empty();
        if self.owned && other.owned && whole {
            paths.push(path.to_owned());
            return;
        }
        for (name, below) in &self.members {
            if let Some(other) = other.members.get(name) {
                below.collect_overlap(other, &format!("{path}{}", step(name)), paths);
            }
        }
    }

    /// Leave out a field and everything below it.
    pub(crate) fn remove(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        if rest.is_empty() {
            self.members.remove(*first);
        } else if let Some(below) = self.members.get_mut(*first) {
            below.remove(rest);
            if below.is_empty() {
                self.members.remove(*first);
            }
        }
    }
}

/// One step of a path.
fn step(name: &str) -> String {
    match name.split_once(':') {
        Some(("f", field)) => format!(".{field}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        _ => name.to_owned(),
    }
}

/// A member of a map, or of a list whose elements are told apart.
struct Member<'a> {
    name: String,
    value: &'a Value,
    schema: Schema<'a>,
}

/// The members of a value; `None` if it is one value that is only ever replaced.
fn members<'a>(value: &'a Value, schema: Schema<'a>) -> Option<Vec<Member<'a>>> {
    match value {
        Value::Object(fields) if !schema.is_atomic_map() => Some(
            fields
                .iter()
                .map(|(name, value)| Member { name: format!("f:{name}"), value, schema: schema.member(name) })
                .collect(),
        ),
        Value::Array(items) => match schema.list_type() {
            ListType::Atomic => None,
            ListType::Set => Some(
                items
                    .iter()
                    .map(|value| Member { name: format!("v:{value}"), value, schema: Schema::unknown() })
                    .collect(),
            ),
            ListType::Map(keys) => items
                .iter()
                .map(|value| Some(Member { name: format!("k:{}", key(value, &keys)?), value, schema: schema.item() }))
                .collect(),
        },
        _ => None,
    }
}

/// What tells an item of a map-like list apart, as canonical JSON.
pub(crate) fn key(item: &Value, keys: &[String]) -> Option<Value> {
    let item = item.as_object()?;
    let value = |key: &String| item.get(key).cloned().or_else(|| key_default(key));
    keys.iter().map(|key| Some((key.clone(), value(key)?))).collect::<Option<Map<_, _>>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: Schema<'_> = Schema::BuiltIn { parent: "", field: "", is_item: false };

    #[test]
    fn sets_read_and_write_fields_v1() {
        let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {}}}}});
        assert_eq!(FieldSet::from_json(&fields).to_json(), fields);
        let config =
            json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
        assert_eq!(
            FieldSet::named_by(&config, POD).to_json(),
            json!({"f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {}}}}})
        );
    }

    #[test]
    fn changes_are_told_by_field() {
        let old = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}});
        let new = json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "b", "image": "1"}],
            "tolerations": [{"key": "x"}]}});
        let changed = FieldSet::changed(&old, &new, POD);
        assert_eq!(
            changed.to_json(),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}, "f:tolerations": {}}})
        );
        let owned = FieldSet::named_by(&old, POD);
        assert_eq!(owned.overlap(&changed), [".spec.containers[name=\"a\"].image"]);
    }

    #[test]
    fn what_is_gone_is_owned_no_longer() {
        let object = json!({"data": {"a": "1", "b": "2"}});
        let mut set = FieldSet::named_by(&object, POD);
        set.keep_existing(&json!({"data": {"b": "3"}}), POD);
        assert_eq!(set.to_json(), json!({"f:data": {"f:b": {}}}));
        set.keep_existing(&json!({}), POD);
        assert!(set.is_empty());
    }
}
