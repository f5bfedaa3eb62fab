//! The `scale` subresource: replicas, and nothing else, of whatever has them.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::route::Verb;
use super::status::Status;
use super::write::Write;
use super::{Call, body};
use crate::http::reply::Reply;
use crate::object::Object;
use crate::patch::Patch;
use crate::patch::schema::Schema;
use crate::resource::Scale;

pub(crate) fn scale(call: &Call, verb: Verb) -> Result<Reply, Status> {
    let paths = call.version.scale.as_ref().ok_or_else(Status::no_such_path)?;
    let about = call.resource.about(call.name());
    let mut state = call.server.store.state.write();
    let entry = state.get(&call.resource, &call.key()).cloned().ok_or_else(|| Status::not_found(about))?;
    let mut object = entry.object();
    let shown = show(paths, &object);
    let asked = match verb {
        Verb::Get => return Ok(Reply::json(StatusCode::OK, &shown)),
        Verb::Update => body::typed_document(&call.content_type, &call.body)?,
        Verb::Patch => {
            let patch = Patch::parse(body::media_type(&call.content_type), &call.body)?;
            match patch {
                Patch::Apply(config) => Patch::Merge(config).apply_to(shown, Schema::unknown())?,
                patch => patch.apply_to(shown, Schema::unknown())?,
            }
        }
        _ => return Err(Status::method_not_allowed()),
    };
    let replicas = asked.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or_default();
    if replicas < 0 {
        let cause =
            super::status::Cause::invalid("spec.replicas", &replicas.into(), "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", call.name(), &[cause]));
    }
    if let Some(version) = asked.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
        object.set_meta("resourceVersion", version);
    }
    set(&mut object.rest, &paths.spec_replicas, replicas.into());
    let write: Write<'_> = call.write(call.name())?;
    let written = write.update(&mut state, object)?;
    Ok(Reply::json(StatusCode::OK, &show(paths, &written.entry.object())))
}

fn show(paths: &Scale, object: &Object) -> Value {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.metadata.get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let mut status = json!({"replicas": number(&paths.status_replicas)});
    if let (Some(selector), Value::Object(status)) = (selector(object.pointer(&paths.selector)), &mut status) {
        status.insert("selector".into(), selector.into());
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": number(&paths.spec_replicas)},
        "status": status,
    })
}

/// A label selector in its string form: a custom resource has it as such, a built-in one as a structure.
fn selector(value: Option<&Value>) -> Option<String> {
    let value = value?;
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let labels = value.get("matchLabels").unwrap_or(value).as_object()?;
    let equalities = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let expressions = value.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    let expressions = expressions.filter_map(|expression| {
        let key = expression["key"].as_str()?;
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        Some(match expression["operator"].as_str()? {
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            operator => format!("{key} {} ({})", operator.to_lowercase(), values.join(",")),
        })
    });
    Some(equalities.chain(expressions).collect::<Vec<_>>().join(","))
}

/// Write a value at a JSON pointer, making the objects on the way.
fn set(fields: &mut Map<String, Value>, pointer: &str, value: Value) {
    let path = pointer.trim_start_matches('/');
    match path.split_once('/') {
        None => {
            fields.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = fields.entry(first).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}
