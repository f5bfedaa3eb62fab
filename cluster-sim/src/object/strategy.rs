//! What the server itself writes into objects on create and update, and what it does not let a client change.

use jiff::Timestamp;
use rand::RngExt;
use serde_json::{Value, json};

use super::{Object, defaults};
use crate::api::status::{Cause, Status};
use crate::resource::{Resource, Version};

/// The alphabet of generated names: no vowels and nothing that looks like one, as upstream.
const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;

/// The fields of the metadata that only the server writes.
const SERVER_FIELDS: [&str; 4] = ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// Seconds since the epoch, as metadata tells times.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn new_uid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Choose a name if the client left that to the server.
pub(crate) fn generate_name(object: &mut Object) {
    let prefix = object.meta("generateName");
    if !object.name().is_empty() || prefix.is_empty() {
        return;
    }
    let mut name: String = prefix.chars().take(63 - SUFFIX).collect();
    let mut rng = rand::rng();
    for _ in 0..SUFFIX {
        let letter = SAFE.get(rng.random_range(0..SAFE.len())).copied().unwrap_or(b'x');
        name.push(char::from(letter));
    }
    object.set_meta("name", name);
}

/// Make `object` what a create stores.
pub(crate) fn before_create(resource: &Resource, version: &Version, object: &mut Object, now: Timestamp) {
    for field in SERVER_FIELDS.into_iter().chain(["resourceVersion", "selfLink", "generation"]) {
        object.metadata.remove(field);
    }
    object.set_meta("uid", new_uid());
    object.set_meta("creationTimestamp", rfc3339(now));
    if resource.generation {
        object.set_meta("generation", 1);
    }
    // A node registers itself together with its status; every other status is written by itself.
    if version.status && !resource.is("", "nodes") {
        object.rest.remove("status");
    }
    defaults::on_write(resource, object);
    defaults::on_create(resource, object, now);
}

/// Make `object` what an update of `old` stores, or say why the update is refused.
pub(crate) fn before_update(
    resource: &Resource,
    version: &Version,
    old: &Object,
    object: &mut Object,
) -> Result<(), Status> {
    keep_identity(resource, old, object)?;
    if version.status {
        object.copy_field("status", old);
    }
    defaults::on_write(resource, object);
    keep_assigned(resource, old, object);
    if old.is_being_deleted() {
        let added: Vec<&str> =
            object.finalizers().filter(|finalizer| !old.finalizers().any(|old| old == *finalizer)).collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
            );
            let cause = Cause::forbidden("metadata.finalizers", &why);
            return Err(Status::invalid(&resource.id.group, &resource.kind, object.name(), &[cause]));
        }
    }
    check_immutable(resource, old, object)?;
    object.copy_meta("generation", old);
    if resource.generation && desired_state_differs(version, old, object) {
        let generation = old.metadata.get("generation").and_then(Value::as_i64).unwrap_or_default();
        object.set_meta("generation", generation + 1);
    }
    Ok(())
}

/// Make `object` what an update of `old`'s status stores.
pub(crate) fn before_status_update(resource: &Resource, old: &Object, object: &mut Object) -> Result<(), Status> {
    keep_identity(resource, old, object)?;
    let mut stored = old.clone();
    stored.copy_field("status", object);
    stored.copy_meta("managedFields", object);
    // Kubelets label and annotate through the status of nodes and pods.
    if resource.is("", "nodes") || resource.is("", "pods") {
        stored.copy_meta("labels", object);
        stored.copy_meta("annotations", object);
    }
    *object = stored;
    Ok(())
}

/// What no write changes: who the object is, and since when it exists or is being deleted.
fn keep_identity(resource: &Resource, old: &Object, object: &mut Object) -> Result<(), Status> {
    let uid = object.meta("uid");
    if !uid.is_empty() && uid != old.meta("uid") {
        let cause = Cause::invalid("metadata.uid", &uid.into(), "field is immutable");
        return Err(Status::invalid(&resource.id.group, &resource.kind, old.name(), &[cause]));
    }
    for field in SERVER_FIELDS {
        object.copy_meta(field, old);
    }
    object.copy_meta("generateName", old);
    object.metadata.remove("selfLink");
    Ok(())
}

/// Values that the server chose at the create are kept by an update that leaves them out.
fn keep_assigned(resource: &Resource, old: &Object, object: &mut Object) {
    let fields: &[&str] = if resource.is("", "services") {
        &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]
    } else if resource.is("", "pods") {
        &["nodeName", "serviceAccountName"]
    } else {
        return;
    };
    let Some(Value::Object(old)) = old.rest.get("spec") else { return };
    let Some(Value::Object(spec)) = object.rest.get_mut("spec") else { return };
    for field in fields {
        if let (None, Some(value)) = (spec.get(*field), old.get(*field)) {
            spec.insert((*field).to_owned(), value.clone());
        }
    }
}

/// A few fields that clients run into: a workload's selector, a bound pod's node, data marked immutable.
fn check_immutable(resource: &Resource, old: &Object, object: &Object) -> Result<(), Status> {
    let pinned: &[&str] = match (resource.id.group.as_str(), resource.id.plural.as_str()) {
        ("apps", "deployments" | "replicasets" | "daemonsets" | "statefulsets") => &["/spec/selector"],
        ("batch", "jobs") => &["/spec/selector", "/spec/completionMode"],
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => &["/roleRef"],
        ("", "secrets") => &["/type"],
        ("", "pods") => &["/spec/nodeName"],
        _ => &[],
    };
    let frozen = old.rest.get("immutable") == Some(&Value::Bool(true));
    let also: &[&str] = if frozen { &["/data", "/binaryData", "/immutable"] } else { &[] };
    let causes: Vec<Cause> = pinned
        .iter()
        .chain(also)
        .filter(|pointer| old.pointer(pointer).is_some() && old.pointer(pointer) != object.pointer(pointer))
        .map(|pointer| {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            let value = object.pointer(pointer).cloned().unwrap_or(json!(null));
            Cause::invalid(field, &value, "field is immutable")
        })
        .collect();
    if causes.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&resource.id.group, &resource.kind, object.name(), &causes))
}

/// Everything but metadata and a status that is written by itself is desired state.
fn desired_state_differs(version: &Version, old: &Object, new: &Object) -> bool {
    let desired = |object: &Object| {
        let mut fields = object.rest.clone();
        if version.status {
            fields.remove("status");
        }
        fields
    };
    desired(old) != desired(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Registry;

    #[expect(clippy::needless_pass_by_value, reason = "json!(…) reads best where it is used")]
    fn deployment(spec: Value) -> Object {
        Object::from_value(json!({"metadata": {"name": "web", "namespace": "a"}, "spec": spec})).unwrap().1
    }

    #[test]
    fn generation_counts_changes_of_the_desired_state_only() {
        let registry = Registry::with_built_ins();
        let resource = registry.get("apps", "deployments").unwrap();
        let version = resource.version("v1").unwrap();
        let mut old = deployment(json!({"replicas": 1}));
        before_create(resource, version, &mut old, Timestamp::UNIX_EPOCH);
        assert_eq!(old.metadata["generation"], 1);

        let mut relabelled = old.clone();
        relabelled.set_meta("labels", json!({"a": "b"}));
        relabelled.rest.insert("status".into(), json!({"replicas": 7}));
        before_update(resource, version, &old, &mut relabelled).unwrap();
        assert_eq!(relabelled.metadata["generation"], 1);
        assert_eq!(relabelled.rest.get("status"), old.rest.get("status"));

        let mut scaled = old.clone();
        scaled.rest["spec"]["replicas"] = json!(2);
        before_update(resource, version, &old, &mut scaled).unwrap();
        assert_eq!(scaled.metadata["generation"], 2);
    }

    #[test]
    fn a_workload_keeps_its_selector() {
        let registry = Registry::with_built_ins();
        let resource = registry.get("apps", "deployments").unwrap();
        let version = resource.version("v1").unwrap();
        let old = deployment(json!({"selector": {"matchLabels": {"a": "1"}}}));
        let mut new = deployment(json!({"selector": {"matchLabels": {"a": "2"}}}));
        let status = before_update(resource, version, &old, &mut new).unwrap_err();
        assert_eq!(status.code(), 422);
        assert!(status.message().contains("spec.selector: Invalid value"), "{status}");
    }

    #[test]
    fn generated_names_keep_their_prefix() {
        let mut object = Object::from_value(json!({"metadata": {"generateName": "a-"}})).unwrap().1;
        generate_name(&mut object);
        assert!(object.name().starts_with("a-") && object.name().len() == 7, "{}", object.name());
    }
}
