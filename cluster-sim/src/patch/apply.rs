//! Server-side apply: merge a configuration into an object, and take what its manager no longer names out of it
//! ([description](https://kubernetes.io/docs/reference/using-api/server-side-apply/)).

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::fields::{FieldSet, key};
use super::managed::{self, Manager, Operation};
use super::schema::{ListType, Schema};
use crate::api::status::{Cause, Status};
use crate::object::Object;

/// `live` with `config` applied, or the conflicts with other managers.
pub(crate) fn apply(
    schema: Schema<'_>,
    live: &Object,
    config: &Object,
    manager: &Manager,
    force: bool,
    now: Timestamp,
) -> Result<Object, Status> {
    let before = managed::plain(live);
    let mut config = managed::plain(config);
    drop_nulls(&mut config);
    let named = managed::owned(FieldSet::named_by(&config, schema));
    let mut merged = merge(before.clone(), &config, schema);
    let changed = managed::owned(FieldSet::changed(&before, &merged, schema));

    let own = manager.applied(named.clone(), now);
    let (mut own_before, mut others): (Vec<_>, Vec<_>) = managed::read_for_apply(live, schema, &own.api_version)
        .into_iter()
        .partition(|entry| entry.is_same_manager(&own));
    let conflicts: Vec<Cause> = others
        .iter()
        .flat_map(|entry| entry.fields.overlap(&changed).into_iter().map(|field| (entry.describe(), field)))
        .map(|(message, field)| Cause { reason: "FieldManagerConflict", field, message })
        .collect();
    if !conflicts.is_empty() {
        if !force {
            return Err(Status::apply_conflict(&conflicts));
        }
        for entry in &mut others {
            entry.fields.subtract(&changed);
        }
    }

    if let Some(entry) = own_before.pop() {
        let mut dropped = entry.fields;
        dropped.subtract(&named);
        let mut kept = named;
        for entry in &others {
            kept.add(&entry.fields);
        }
        prune(&mut merged, &dropped, &kept, schema);
    }

    let (_, mut object) = Object::from_value(merged.clone()).map_err(Status::bad_request)?;
    let mut entries = others;
    let first_update = entries.iter().position(|entry| entry.operation == Operation::Update).unwrap_or(entries.len());
    entries.insert(first_update, own);
    managed::write(&mut object, entries, &merged, schema);
    Ok(object)
}

fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}

/// `config` wins, member by member.
fn merge(live: Value, config: &Value, schema: Schema<'_>) -> Value {
    match (live, config) {
        (Value::Object(mut live), Value::Object(config)) if !schema.is_atomic_map() => {
            for (name, value) in config {
                let before = live.remove(name).unwrap_or(Value::Null);
                live.insert(name.clone(), merge(before, value, schema.member(name)));
            }
            Value::Object(live)
        }
        (Value::Array(live), Value::Array(config)) => match schema.list_type() {
            ListType::Atomic => Value::Array(config.clone()),
            ListType::Set => Value::Array(union(live, config)),
            ListType::Map(keys) => Value::Array(merge_items(live, config, &keys, schema)),
        },
        (_, config) => config.clone(),
    }
}

fn union(mut live: Vec<Value>, config: &[Value]) -> Vec<Value> {
    for value in config {
        if !live.contains(value) {
            live.push(value.clone());
        }
    }
    live
}

fn merge_items(mut live: Vec<Value>, config: &[Value], keys: &[String], schema: Schema<'_>) -> Vec<Value> {
    for item in config {
        let wanted = key(item, keys);
        match live.iter_mut().find(|live| wanted.is_some() && key(live, keys) == wanted) {
            Some(found) => *found = merge(found.take(), item, schema.item()),
            None => live.push(item.clone()),
        }
    }
    live
}

/// Take out of `value` what is in `dropped` and not in `kept`.
fn prune(value: &mut Value, dropped: &FieldSet, kept: &FieldSet, schema: Schema<'_>) {
    let nothing = FieldSet::default();
    match value {
        Value::Object(fields) => prune_fields(fields, dropped, kept, schema),
        Value::Array(items) => match schema.list_type() {
            ListType::Atomic => {}
            ListType::Set => items.retain(|item| {
                let name = format!("v:{item}");
                !dropped.members.contains_key(&name) || kept.members.contains_key(&name)
            }),
            ListType::Map(keys) => items.retain_mut(|item| {
                let Some(name) = key(item, &keys).map(|key| format!("k:{key}")) else { return true };
                let Some(below) = dropped.members.get(&name) else { return true };
                let kept = kept.members.get(&name);
                if below.owned && kept.is_none() {
                    return false;
                }
                prune(item, below, kept.unwrap_or(&nothing), schema.item());
                true
            }),
        },
        _ => {}
    }
}

fn prune_fields(fields: &mut Map<String, Value>, dropped: &FieldSet, kept: &FieldSet, schema: Schema<'_>) {
    let nothing = FieldSet::default();
    for (name, below) in &dropped.members {
        let Some(field) = name.strip_prefix("f:") else { continue };
        let kept = kept.members.get(name);
        if below.owned && kept.is_none() {
            fields.remove(field);
            continue;
        }
        let Some(value) = fields.get_mut(field) else { continue };
        prune(value, below, kept.unwrap_or(&nothing), schema.member(field));
        let is_empty = match value {
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if is_empty && kept.is_none() {
            fields.remove(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROOT: Schema<'_> = Schema::BuiltIn { parent: "", field: "", is_item: false };

    fn object(value: Value) -> Object {
        Object::from_value(value).unwrap().1
    }

    fn by(name: &str, live: &Object, config: Value, force: bool) -> Result<Object, Status> {
        let manager = Manager::new(name, "", "apps/v1", "");
        apply(ROOT, live, &object(config), &manager, force, Timestamp::UNIX_EPOCH)
    }

    fn created(name: &str, config: Value) -> Object {
        let mut live = object(config.clone());
        Manager::new(name, "", "apps/v1", "").record_apply(ROOT, &object(config), &mut live, Timestamp::UNIX_EPOCH);
        live
    }

    #[test]
    fn fields_that_are_no_longer_applied_go() {
        let live = created("a", json!({"data": {"x": "1", "y": "2"}}));
        let applied = by("a", &live, json!({"data": {"x": "1"}}), false).unwrap();
        assert_eq!(applied.rest["data"], json!({"x": "1"}));
        let applied = by("a", &applied, json!({}), false).unwrap();
        assert_eq!(applied.rest.get("data"), None);
    }

    #[test]
    fn fields_of_others_stay() {
        let live = created("a", json!({"data": {"x": "1"}}));
        let both = by("b", &live, json!({"data": {"x": "1", "z": "3"}}), false).unwrap();
        let applied = by("a", &both, json!({}), false).unwrap();
        assert_eq!(applied.rest["data"], json!({"x": "1", "z": "3"}));
        let applied = by("b", &applied, json!({"data": {"z": "3"}}), false).unwrap();
        assert_eq!(applied.rest["data"], json!({"z": "3"}));
    }

    #[test]
    fn conflicts_name_manager_and_field() {
        let live = created("a", json!({"spec": {"replicas": 1}}));
        let status = by("b", &live, json!({"spec": {"replicas": 2}}), false).unwrap_err();
        assert_eq!(status.code(), 409);
        assert_eq!(status.message(), "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas");
        let forced = by("b", &live, json!({"spec": {"replicas": 2}}), true).unwrap();
        assert_eq!(forced.rest["spec"]["replicas"], 2);
        let managers: Vec<_> = managed::read(&forced).into_iter().map(|entry| entry.manager).collect();
        assert_eq!(managers, ["b"]);
    }

    #[test]
    fn list_items_are_merged_and_removed_by_key() {
        let pods = |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let live = created("a", pods(json!([{"name": "x", "image": "1"}, {"name": "y", "image": "1"}])));
        let with_b = by("b", &live, pods(json!([{"name": "x", "command": ["run"]}])), false).unwrap();
        let applied = by("a", &with_b, pods(json!([{"name": "z", "image": "1"}])), false).unwrap();
        assert_eq!(
            applied.rest["spec"]["template"]["spec"]["containers"],
            json!([{"name": "x", "command": ["run"]}, {"name": "z", "image": "1"}])
        );
    }

    #[test]
    fn atomic_lists_have_one_owner() {
        let live = created("a", json!({"spec": {"tolerations": [{"key": "x"}]}}));
        let status = by("b", &live, json!({"spec": {"tolerations": [{"key": "y"}]}}), false).unwrap_err();
        assert!(status.message().ends_with(".spec.tolerations"), "{status}");
    }

    #[test]
    fn what_was_there_before_is_somebodys() {
        let live = object(json!({"spec": {"replicas": 1}}));
        let status = by("a", &live, json!({"spec": {"replicas": 2}}), false).unwrap_err();
        assert!(status.message().contains("conflict with \"before-first-apply\" using apps/v1"), "{status}");
    }
}
