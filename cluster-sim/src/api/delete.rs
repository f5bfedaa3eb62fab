//! Delete and deletecollection.

use std::sync::Arc;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::query::Query;
use super::status::Status;
use super::{Call, body, read};
use crate::chores;
use crate::http::reply::Reply;
use crate::object::Object;
use crate::object::strategy::rfc3339;
use crate::resource::Resource;
use crate::store::State;
use crate::store::entry::{Entry, Form};

/// How an object is to be deleted
/// ([reference](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/)).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeleteOptions {
    grace_period_seconds: Option<i64>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    preconditions: Option<Preconditions>,
    dry_run: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    /// After the dependents.
    pub(crate) fn foreground() -> Self {
        Self { propagation_policy: Some("Foreground".to_owned()), ..Self::default() }
    }

    /// From the body, or for want of one from the query.
    pub(crate) fn of(call: &Call) -> Result<Self, Status> {
        let mut options =
            if call.body.trim_ascii().is_empty() { Self::from_query(&call.query)? } else { body::options(&call.body)? };
        match (options.orphan_dependents, options.propagation_policy.as_deref()) {
            (Some(_), Some(_)) => {
                return Err(Status::bad_request("orphanDependents and propagationPolicy cannot be both set"));
            }
            (Some(true), None) => options.propagation_policy = Some("Orphan".to_owned()),
            (_, None | Some("Background" | "Foreground" | "Orphan")) => {}
            (_, Some(other)) => {
                return Err(Status::bad_request(format!(
                    "propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\""
                )));
            }
        }
        if options.grace_period_seconds.is_some_and(|seconds| seconds < 0) {
            // Upstream: negative means one second.
            options.grace_period_seconds = Some(1);
        }
        if let Some(mode) = options.dry_run.iter().find(|mode| *mode != "All") {
            return Err(Status::bad_request(format!("dryRun: Unsupported value: {mode:?}: supported values: \"All\"")));
        }
        Ok(options)
    }

    fn from_query(query: &Query) -> Result<Self, Status> {
        let policy = query.get("propagationPolicy");
        Ok(Self {
            grace_period_seconds: query.number("gracePeriodSeconds")?,
            propagation_policy: (!policy.is_empty()).then(|| policy.to_owned()),
            orphan_dependents: query.has("orphanDependents").then(|| query.flag("orphanDependents")),
            preconditions: None,
            dry_run: if query.dry_run()? { vec!["All".to_owned()] } else { Vec::new() },
        })
    }

    fn is_dry_run(&self) -> bool {
        self.dry_run.iter().any(|mode| mode == "All")
    }
}

/// What a delete led to.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object is gone; this was its last state.
    Gone(Arc<Entry>),
    /// The object waits for its grace period or its finalizers.
    Waiting(Arc<Entry>),
}

pub(crate) fn delete(call: &Call) -> Result<Reply, Status> {
    let options = DeleteOptions::of(call)?;
    let termination = call.server.settings.pod_termination;
    let deleted = {
        let mut state = call.server.store.state.write();
        delete_object(&mut state, &call.resource, &call.key(), &options, call.server.clock.now(), termination)?
    };
    call.server.chores.wake();
    match deleted {
        Deleted::Waiting(entry) => Ok(read::show(call, StatusCode::OK, &entry)),
        Deleted::Gone(entry) if call.resource.is("", "pods") => Ok(read::show(call, StatusCode::OK, &entry)),
        Deleted::Gone(entry) => Ok(success(&call.resource, &entry)),
    }
}

fn success(resource: &Resource, entry: &Entry) -> Reply {
    let mut details = json!({"name": entry.name(), "kind": resource.id.plural, "uid": entry.object().meta("uid")});
    if let (false, Value::Object(details)) = (resource.id.group.is_empty(), &mut details) {
        details.insert("group".into(), resource.id.group.as_str().into());
    }
    Reply::json(
        StatusCode::OK,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
    )
}

pub(crate) fn delete_collection(call: &Call) -> Result<Reply, Status> {
    let options = DeleteOptions::of(call)?;
    let scope = call.scope()?;
    let termination = call.server.settings.pod_termination;
    let now = call.server.clock.now();
    let mut state = call.server.store.state.write();
    let version = state.version();
    let matching: Vec<Arc<Entry>> = {
        let table = state.table(&call.resource).ok_or_else(Status::no_such_path)?;
        let view = table.at(version).ok_or_else(Status::no_such_path)?;
        view.range(scope.namespace.as_deref(), None).filter(|entry| scope.matches(entry)).cloned().collect()
    };
    for entry in &matching {
        delete_object(&mut state, &call.resource, &entry.key, &options, now, termination)?;
    }
    let version = state.version();
    drop(state);
    call.server.chores.wake();

    let head = json!({"kind": call.resource.list_kind, "apiVersion": call.resource.api_version(&call.version.name)});
    let form = Form::item(&call.resource, &call.version.name, call.metadata_only);
    let mut list = head.to_string().into_bytes();
    list.pop();
    list.extend_from_slice(format!(r#","metadata":{{"resourceVersion":"{version}"}},"items":["#).as_bytes());
    for (index, entry) in matching.iter().enumerate() {
        if index > 0 {
            list.push(b',');
        }
        entry.write(&form, &mut list);
    }
    list.extend_from_slice(b"]}\n");
    Ok(Reply::new(StatusCode::OK, crate::http::reply::JSON, list))
}

/// Delete an object as far as its grace period and finalizers allow. Pods on a node end `termination` later, if their
/// grace period is not over before.
pub(crate) fn delete_object(
    state: &mut State,
    resource: &Resource,
    key: &str,
    options: &DeleteOptions,
    now: Timestamp,
    termination: Option<std::time::Duration>,
) -> Result<Deleted, Status> {
    let name = key.split_once('/').filter(|_| resource.namespaced).map_or(key, |(_, name)| name);
    let about = resource.about(name);
    let entry = state.get(resource, key).cloned().ok_or_else(|| Status::not_found(about))?;
    let mut object = entry.object();
    if let Some(preconditions) = &options.preconditions {
        check(preconditions, &object).map_err(|why| Status::conflict(about, &why))?;
    }
    let grace = grace(resource, &object, options);
    let is_namespace = resource.is("", "namespaces");
    finalize_dependents(&mut object, options);
    let waits = grace > 0 || is_namespace || object.finalizers().next().is_some();
    if options.is_dry_run() {
        return Ok(if waits { Deleted::Waiting(entry) } else { Deleted::Gone(entry) });
    }
    if !waits {
        return chores::remove(state, resource, key).map(Deleted::Gone).ok_or_else(|| Status::not_found(about));
    }
    let shorter =
        object.metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64).is_none_or(|seconds| grace < seconds);
    if shorter {
        let end = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
        object.set_meta("deletionTimestamp", rfc3339(end));
        object.set_meta("deletionGracePeriodSeconds", grace);
        if let Some(generation) = object.metadata.get("generation").and_then(Value::as_i64) {
            object.set_meta("generation", generation + 1);
        }
    }
    if is_namespace && let Some(Value::Object(status)) = object.rest.get_mut("status") {
        status.insert("phase".into(), "Terminating".into());
    }
    let changed = object.metadata != entry.object().metadata || is_namespace;
    let stored = if changed { state.put(resource, object) } else { Some(entry) };
    let entry = stored.ok_or_else(Status::no_such_path)?;
    state.pending.deleting(resource, &entry, grace, termination);
    Ok(Deleted::Waiting(entry))
}

fn check(preconditions: &Preconditions, object: &Object) -> Result<(), String> {
    for (what, asked, field) in
        [("UID", &preconditions.uid, "uid"), ("ResourceVersion", &preconditions.resource_version, "resourceVersion")]
    {
        if let Some(asked) = asked.as_deref().filter(|asked| *asked != object.meta(field)) {
            return Err(format!(
                "Precondition failed: {what} in precondition: {asked}, {what} in object meta: {}",
                object.meta(field)
            ));
        }
    }
    Ok(())
}

/// Seconds until the object may go. Only pods that run on a node get any.
fn grace(resource: &Resource, object: &Object, options: &DeleteOptions) -> i64 {
    let phase = object.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    let runs = object.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|node| !node.is_empty());
    if !resource.is("", "pods") || !runs || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let own = object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    options.grace_period_seconds.or(own).unwrap_or(30)
}

fn finalize_dependents(object: &mut Object, options: &DeleteOptions) {
    let finalizer = match options.propagation_policy.as_deref() {
        Some("Foreground") => chores::FOREGROUND,
        Some("Orphan") => chores::ORPHAN,
        _ => return,
    };
    let mut finalizers: Vec<String> = object.finalizers().map(str::to_owned).collect();
    if !finalizers.iter().any(|known| known == finalizer) {
        finalizers.push(finalizer.to_owned());
        object.set_meta("finalizers", finalizers);
    }
}
