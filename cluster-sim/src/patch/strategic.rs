//! Strategic merge patch: a merge patch whose lists of things with a name merge by that name, with directives.

use serde_json::{Map, Value};

use super::schema::{ListType, Schema};
use crate::api::status::Status;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Merge `patch` into `object`.
pub(super) fn merge(object: &mut Value, patch: &Value, schema: Schema<'_>) -> Result<(), Status> {
    let Value::Object(patch) = patch else {
        object.clone_from(patch);
        return Ok(());
    };
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            let mut replacement = patch.clone();
            replacement.remove(DIRECTIVE);
            *object = Value::Object(replacement);
            return Ok(());
        }
        Some("delete") => {
            *object = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(unknown_directive(other)),
    }
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Value::Object(fields) = object else { return Ok(()) };
    for (name, values) in patch {
        if let (Some(list), Some(values)) = (name.strip_prefix(DELETE_PRIMITIVES), values.as_array())
            && let Some(Value::Array(items)) = fields.get_mut(list)
        {
            items.retain(|item| !values.contains(item));
        }
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        merge_field(fields, name, value, schema.member(name))?;
    }
    if let Some(retained) = patch.get(RETAIN_KEYS).and_then(Value::as_array) {
        fields.retain(|name, _| retained.iter().any(|retained| retained == name));
    }
    for (name, order) in patch {
        if let (Some(list), Some(order)) = (name.strip_prefix(ELEMENT_ORDER), order.as_array())
            && let Some(Value::Array(items)) = fields.get_mut(list)
        {
            reorder(items, order, merge_key(schema.member(list)).as_deref());
        }
    }
    Ok(())
}

fn merge_field(fields: &mut Map<String, Value>, name: &str, value: &Value, schema: Schema<'_>) -> Result<(), Status> {
    match value {
        Value::Null => {
            fields.remove(name);
        }
        Value::Object(patch) => {
            if patch.get(DIRECTIVE).and_then(Value::as_str) == Some("delete") {
                fields.remove(name);
            } else {
                merge(fields.entry(name).or_insert_with(|| Value::Object(Map::new())), value, schema)?;
            }
        }
        Value::Array(patch) => {
            let slot = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            match slot {
                Value::Array(items) => merge_list(items, patch, schema)?,
                _ => slot.clone_from(value),
            }
        }
        _ => {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    Ok(())
}

fn merge_list(items: &mut Vec<Value>, patch: &[Value], schema: Schema<'_>) -> Result<(), Status> {
    match schema.list_type() {
        ListType::Atomic => *items = patch.to_vec(),
        ListType::Set => items.extend(patch.iter().filter(|value| !items.contains(value)).cloned().collect::<Vec<_>>()),
        ListType::Map(_) => {
            let Some(key) = merge_key(schema) else { return Ok(()) };
            if patch.iter().any(|item| directive(item) == Some("replace")) {
                *items = patch.iter().filter(|item| directive(item) != Some("replace")).cloned().collect();
                return Ok(());
            }
            for item in patch {
                let wanted = item.get(&key).ok_or_else(|| {
                    Status::bad_request(format!("map: {item} does not contain declared merge key: {key}"))
                })?;
                let found = items.iter().position(|item| item.get(&key) == Some(wanted));
                match (directive(item), found) {
                    (Some("delete"), Some(_)) => items.retain(|item| item.get(&key) != Some(wanted)),
                    (Some("delete"), None) => {}
                    (None | Some("merge"), Some(at)) => {
                        if let Some(found) = items.get_mut(at) {
                            merge(found, item, schema.item())?;
                        }
                    }
                    (None | Some("merge"), None) => {
                        let mut new = Value::Object(Map::new());
                        merge(&mut new, item, schema.item())?;
                        items.push(new);
                    }
                    (Some(other), _) => return Err(unknown_directive(other)),
                }
            }
        }
    }
    Ok(())
}

fn directive(item: &Value) -> Option<&str> {
    item.get(DIRECTIVE)?.as_str()
}

fn unknown_directive(directive: &str) -> Status {
    Status::bad_request(format!("Unknown patch directive {directive:?}: expected replace, merge or delete"))
}

/// Strategic merge tells items apart by one key, even where apply takes two.
fn merge_key(schema: Schema<'_>) -> Option<String> {
    match schema.list_type() {
        ListType::Map(keys) => keys.into_iter().next(),
        ListType::Atomic | ListType::Set => None,
    }
}

/// Items named in `order` come in that order; the others keep their places behind the item they followed.
fn reorder(items: &mut [Value], order: &[Value], key: Option<&str>) {
    let identity = |value: &Value| match key {
        Some(key) => value.get(key).cloned().unwrap_or(Value::Null),
        None => value.clone(),
    };
    let position = |item: &Value| order.iter().position(|ordered| identity(ordered) == identity(item));
    let mut last = 0;
    let mut ranked: Vec<(usize, usize, Value)> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        last = position(item).unwrap_or(last);
        ranked.push((last, index, item.clone()));
    }
    ranked.sort_by_key(|(rank, index, _)| (*rank, *index));
    for (slot, (_, _, item)) in items.iter_mut().zip(ranked) {
        *slot = item;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "json!(…) reads best where it is used")]
    fn merged(mut object: Value, patch: Value) -> Value {
        merge(&mut object, &patch, Schema::BuiltIn { parent: "", field: "", is_item: false }).unwrap();
        object
    }

    #[test]
    fn containers_merge_by_name() {
        assert_eq!(
            merged(
                json!({"spec": {"containers": [{"name": "a", "image": "1", "args": ["x"]}, {"name": "b"}]}}),
                json!({"spec": {"containers": [
                    {"name": "a", "image": "2", "args": null}, {"name": "b", "$patch": "delete"}, {"name": "c"}
                ]}})
            ),
            json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "c"}]}})
        );
    }

    #[test]
    fn directives() {
        assert_eq!(
            merged(
                json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}}),
                json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})
            ),
            json!({"spec": {"strategy": {"type": "Recreate"}}})
        );
        assert_eq!(
            merged(
                json!({"metadata": {"finalizers": ["a", "b"]}}),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}})
            ),
            json!({"metadata": {"finalizers": ["b", "c"]}})
        );
        assert_eq!(
            merged(json!({"data": {"a": "1"}}), json!({"data": {"$patch": "replace", "b": "2"}})),
            json!({"data": {"b": "2"}})
        );
        assert_eq!(
            merged(
                json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
                json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}})
            ),
            json!({"spec": {"containers": [{"name": "b"}, {"name": "a"}]}})
        );
        assert_eq!(
            merged(json!({"spec": {"tolerations": [{"key": "a"}]}}), json!({"spec": {"tolerations": [{"key": "b"}]}})),
            json!({"spec": {"tolerations": [{"key": "b"}]}})
        );
    }
}
