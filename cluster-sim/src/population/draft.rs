//! Putting an object together: metadata that every kind has, and the record of who manages which field.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// An object in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    api_version: &'static str,
    kind: &'static str,
    created: i64,
    metadata: Map<String, Value>,
    managers: Option<Managers>,
}

/// Who writes an object, and who its status.
#[derive(Debug)]
struct Managers {
    writer: &'static str,
    /// What the writer manages, where that is not simply all there is.
    fields: Option<Value>,
    status: &'static str,
    status_at: i64,
}

impl Draft {
    pub(crate) fn new(api_version: &'static str, kind: &'static str, name: &str, uid: String, created: i64) -> Self {
        let mut metadata = Map::new();
        metadata.insert("name".into(), name.into());
        metadata.insert("uid".into(), uid.into());
        metadata.insert("creationTimestamp".into(), time(created).into());
        Self { api_version, kind, created, metadata, managers: None }
    }

    pub(crate) fn namespace(self, namespace: &str) -> Self {
        self.with("namespace", namespace)
    }

    pub(crate) fn labels(self, labels: Value) -> Self {
        self.with("labels", labels)
    }

    pub(crate) fn annotations(self, annotations: Value) -> Self {
        self.with("annotations", annotations)
    }

    pub(crate) fn generation(self, generation: u32) -> Self {
        self.with("generation", generation)
    }

    /// Any other field of the metadata; null leaves it out.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.metadata.insert(field.into(), value);
        }
        self
    }

    /// The one controller of this object.
    pub(crate) fn controlled_by(self, api_version: &str, kind: &str, name: &str, uid: &str) -> Self {
        let owner = json!({
            "apiVersion": api_version, "kind": kind, "name": name, "uid": uid,
            "controller": true, "blockOwnerDeletion": true,
        });
        self.with("ownerReferences", json!([owner]))
    }

    /// Records `writer` as the manager of the object and `status` as that of its status, last written at
    /// `status_at`.
    pub(crate) fn managed_by(mut self, writer: &'static str, status: &'static str, status_at: i64) -> Self {
        self.managers = Some(Managers { writer, fields: None, status, status_at });
        self
    }

    /// Narrows what the writer manages to these fields, as [`Draft::fields`] made them.
    pub(crate) fn managing(mut self, fields: Value) -> Self {
        if let Some(managers) = &mut self.managers {
            managers.fields = Some(fields);
        }
        self
    }

    /// The fields a writer of this draft with this body manages.
    pub(crate) fn fields(&self, body: &Map<String, Value>) -> Value {
        let mut fields = Map::new();
        let metadata: Map<String, Value> = self
            .metadata
            .iter()
            .filter(|(field, _)| matches!(field.as_str(), "labels" | "annotations" | "ownerReferences"))
            .map(|(field, value)| (format!("f:{field}"), fields_of(field, value, true)))
            .collect();
        if !metadata.is_empty() {
            fields.insert("f:metadata".into(), Value::Object(metadata));
        }
        for (field, value) in body.iter().filter(|(field, _)| *field != "status") {
            fields.insert(format!("f:{field}"), fields_of(field, value, false));
        }
        Value::Object(fields)
    }

    /// The object, with `body` as everything beside its metadata.
    pub(crate) fn body(mut self, body: Value) -> Value {
        let mut object = match body {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        if let Some(managers) = self.managers.take() {
            let managed = self.managed_fields(managers, &object);
            self.metadata.insert("managedFields".into(), managed);
        }
        object.insert("apiVersion".into(), self.api_version.into());
        object.insert("kind".into(), self.kind.into());
        object.insert("metadata".into(), Value::Object(self.metadata));
        Value::Object(object)
    }

    fn managed_fields(&self, managers: Managers, body: &Map<String, Value>) -> Value {
        let entry = |manager: &str, at: i64, fields: Value| {
            map([
                ("manager", manager.into()),
                ("operation", "Update".into()),
                ("apiVersion", self.api_version.into()),
                ("time", time(at).into()),
                ("fieldsType", "FieldsV1".into()),
                ("fieldsV1", fields),
            ])
        };
        let fields = managers.fields.unwrap_or_else(|| self.fields(body));
        let mut entries = vec![entry(managers.writer, self.created, fields)];
        if let Some(status) = body.get("status") {
            let fields = map([("f:status", fields_of("status", status, false))]);
            let mut status = entry(managers.status, managers.status_at.max(self.created), fields);
            status["subresource"] = "status".into();
            entries.push(status);
        }
        Value::Array(entries)
    }
}

/// A map of values that are moved in; `json!` copies what it is given, which tells in what is large.
pub(crate) fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(member, value)| (member.to_owned(), value)).collect())
}

/// The set of fields of a value, as `fieldsV1` spells it. `itself` adds the member that says that the map
/// as such is managed too.
fn fields_of(field: &str, value: &Value, itself: bool) -> Value {
    let mut fields = Map::new();
    match value {
        Value::Object(_) if ATOMIC.contains(&field) => {}
        Value::Object(members) => {
            if itself {
                fields.insert(".".into(), json!({}));
            }
            for (member, value) in members {
                let nested = matches!(member.as_str(), "labels" | "annotations" | "resources" | "requests" | "limits");
                fields.insert(format!("f:{member}"), fields_of(member, value, nested));
            }
        }
        Value::Array(items) => {
            let keys = list_keys(field);
            for item in items.iter().filter(|_| !keys.is_empty()) {
                let key: Map<String, Value> =
                    keys.iter().filter_map(|key| Some(((*key).to_owned(), item.get(key)?.clone()))).collect();
                if key.len() == keys.len() {
                    fields.insert(format!("k:{}", Value::Object(key)), fields_of(field, item, true));
                }
            }
            if !fields.is_empty() {
                fields.insert(".".into(), json!({}));
            }
        }
        _ => {}
    }
    Value::Object(fields)
}

/// The names of the maps that are managed whole.
const ATOMIC: [&str; 6] =
    ["fieldRef", "secretKeyRef", "configMapKeyRef", "resourceFieldRef", "labelSelector", "selector"];

/// The keys of the lists that merge by key, by the name of their field; other lists are managed whole.
fn list_keys(field: &str) -> &'static [&'static str] {
    match field {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => &["name"],
        "ports" => &["containerPort", "protocol"],
        "volumeMounts" => &["mountPath"],
        "conditions" | "addresses" => &["type"],
        "ownerReferences" => &["uid"],
        "podIPs" | "hostIPs" => &["ip"],
        _ => &[],
    }
}

/// Unix seconds as the API writes a `Time`.
pub(crate) fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// Unix seconds as the API writes a `MicroTime`: always six digits of a second.
pub(crate) fn micro_time(seconds: i64) -> String {
    format!("{:.6}", Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_fields_name_keyed_list_items_by_their_keys() {
        let object = Draft::new("v1", "Pod", "a", "u".into(), 0)
            .labels(json!({"app": "a"}))
            .managed_by("writer", "kubelet", 60)
            .body(json!({
                "spec": {"containers": [{"name": "c", "args": ["x"], "ports": [{"containerPort": 1, "protocol": "TCP"}]}]},
                "status": {"phase": "Running"},
            }));
        let managed = &object["metadata"]["managedFields"];
        assert_eq!(
            managed[0]["fieldsV1"],
            json!({
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {"f:containers": {".": {}, "k:{\"name\":\"c\"}": {
                    ".": {}, "f:name": {}, "f:args": {},
                    "f:ports": {".": {}, "k:{\"containerPort\":1,\"protocol\":\"TCP\"}": {
                        ".": {}, "f:containerPort": {}, "f:protocol": {},
                    }},
                }}},
            })
        );
        assert_eq!(managed[1]["fieldsV1"], json!({"f:status": {"f:phase": {}}}));
        assert_eq!(managed[1]["subresource"], "status");
        assert_eq!(managed[1]["time"], "1970-01-01T00:01:00Z");
    }

    #[test]
    fn times_are_spelled_as_the_api_server_wants_them() {
        assert_eq!(time(1_500_000_000), "2017-07-14T02:40:00Z");
        assert_eq!(micro_time(1_500_000_000), "2017-07-14T02:40:00.000000Z");
    }
}
