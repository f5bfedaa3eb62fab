//! Values as texts, as JSON, and by their parts.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::{Outcome, error};
use crate::layout::scope::{Scope, Time};

/// Values within values.
const MAX_DEPTH: usize = 32;

/// As Go prints it (`%v`). What isn't there is `<no value>`.
pub(super) fn print(value: &Value) -> String {
    print_at(value, 0)
}

fn print_at(value: &Value, depth: usize) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    if let Some(time) = value.downcast_object_ref::<Time>() {
        return time.go();
    }
    if let Some(scope) = value.downcast_object_ref::<Scope>() {
        return scope.to_json().to_string();
    }
    if depth > MAX_DEPTH {
        return "…".to_owned();
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => "<no value>".to_owned(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Map => {
            let entries = entries(value);
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{key}:{}", print_at(value, depth + 1))).collect();
            format!("map[{}]", entries.join(" "))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let elements: Vec<_> = elements(value).iter().map(|value| print_at(value, depth + 1)).collect();
            format!("[{}]", elements.join(" "))
        }
        _ => value.to_string(),
    }
}

/// As an argument that is a text: what isn't there is empty.
pub(super) fn text(value: &Value) -> String {
    if value.is_none() || value.is_undefined() { String::new() } else { print(value) }
}

/// The entries of a map, by their keys' order.
pub(super) fn entries(value: &Value) -> Vec<(String, Value)> {
    let keys = value.try_iter().into_iter().flatten();
    let mut entries: Vec<(String, Value)> =
        keys.map(|key| (text(&key), value.get_item(&key).unwrap_or_default())).collect();
    entries.sort_by(|(one, _), (two, _)| one.cmp(two));
    entries
}

pub(super) fn elements(value: &Value) -> Vec<Value> {
    value.try_iter().into_iter().flatten().collect()
}

pub(in crate::layout) fn to_json(value: &Value) -> serde_json::Value {
    json_at(value, 0)
}

fn json_at(value: &Value, depth: usize) -> serde_json::Value {
    if let Some(time) = value.downcast_object_ref::<Time>() {
        return if time.0.is_some() { serde_json::Value::from(value.to_string()) } else { serde_json::Value::Null };
    }
    if let Some(scope) = value.downcast_object_ref::<Scope>() {
        return scope.to_json();
    }
    if depth > MAX_DEPTH {
        return serde_json::Value::Null;
    }
    match value.kind() {
        ValueKind::Map => entries(value).into_iter().map(|(key, value)| (key, json_at(&value, depth + 1))).collect(),
        ValueKind::Seq | ValueKind::Iterable => {
            elements(value).iter().map(|value| json_at(value, depth + 1)).collect::<Vec<_>>().into()
        }
        ValueKind::Undefined => serde_json::Value::Null,
        _ => serde_json::to_value(value).unwrap_or_default(),
    }
}

/// Serde_json reads no more than 128 levels, so this ends.
pub(super) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => {
            number.as_i64().map(Value::from).or_else(|| number.as_f64().map(Value::from)).unwrap_or_default()
        }
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(list) => list.iter().map(from_json).collect(),
        serde_json::Value::Object(map) => {
            Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), from_json(value))))
        }
    }
}

/// As Go's `json.Marshal` writes it, which keeps the letters of HTML out of texts.
pub(super) fn go_json(value: &Value, pretty: bool) -> Result<String, Error> {
    let json = to_json(value);
    let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
    let mut text = text.map_err(|problem| error(problem.to_string()))?;
    // Outside of texts JSON has none of these.
    for (letter, escape) in
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")]
    {
        if text.contains(letter) {
            text = text.replace(letter, escape);
        }
    }
    Ok(text)
}

/// A field by the name that Go has for it, of a value whose type wasn't known: the key itself, else the key in the
/// spelling of JSON.
pub(super) fn field(base: &Value, name: &str) -> Outcome {
    let get = |key: &str| base.get_attr(key).ok().filter(|value| !value.is_undefined());
    let json = || {
        let lower = match name {
            "UID" => "uid".to_owned(),
            "APIVersion" => "apiVersion".to_owned(),
            _ => {
                let mut letters = name.chars();
                letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
            }
        };
        get(&lower)
    };
    if base.is_undefined() || base.is_none() {
        return Err(error(format!("`{name}` is asked of a value that isn't there")));
    }
    Ok(get(name).or_else(json).unwrap_or(Value::UNDEFINED))
}

/// Pairs of index and element, or of key and value.
pub(super) fn pairs(base: &Value) -> Outcome {
    Ok(match base.kind() {
        ValueKind::Map => {
            entries(base).into_iter().map(|(key, value)| Value::from(vec![Value::from(key), value])).collect()
        }
        ValueKind::Seq | ValueKind::Iterable => elements(base)
            .into_iter()
            .enumerate()
            .map(|(index, value)| Value::from(vec![Value::from(index), value]))
            .collect(),
        // So many times.
        ValueKind::Number => {
            let count = base.as_usize().unwrap_or(0);
            if count > super::MAX_ELEMENTS {
                return Err(error(format!("`range` over more than {}", super::MAX_ELEMENTS)));
            }
            (0..count).map(|index| Value::from(vec![Value::from(index), Value::from(index)])).collect()
        }
        ValueKind::Undefined | ValueKind::None => Value::from(Vec::<Value>::new()),
        _ => return Err(error("`range` is over a value that has no elements")),
    })
}
