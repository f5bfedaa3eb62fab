//! The Rust API's way to the objects: whole objects in one go, past the API's rules for clients.

use std::sync::Arc;

use serde_json::Value;

use crate::error::SimError;
use crate::kubelet;
use crate::mutation::Mutation;
use crate::object::strategy::{new_uid, rfc3339};
use crate::object::{Object, TypeMeta, events};
use crate::reference::ObjectRef;
use crate::resource::{EVENTS_GROUP, Resource};
use crate::store::State;
use crate::store::entry::Entry;

/// An object with the resource that serves its kind.
pub(crate) fn read(state: &State, value: Value) -> Result<(Arc<Resource>, TypeMeta, Object), SimError> {
    let (type_meta, object) = Object::from_value(value).map_err(SimError::Object)?;
    let resource = resource(state, &type_meta)?;
    if resource.namespaced && object.namespace().is_empty() {
        let why = format!("{} {:?} has no metadata.namespace", type_meta.kind, object.name());
        return Err(SimError::Object(why));
    }
    Ok((resource, type_meta, object))
}

fn resource(state: &State, type_meta: &TypeMeta) -> Result<Arc<Resource>, SimError> {
    state.registry.of_kind(type_meta).cloned().ok_or_else(|| SimError::UnknownKind {
        api_version: type_meta.api_version.clone(),
        kind: type_meta.kind.clone(),
    })
}

/// Write metadata, spec and status in one go. What the server gives and the object lacks is kept from the object it
/// replaces, or made.
pub(crate) fn upsert(state: &mut State, value: Value) -> Result<(Arc<Resource>, TypeMeta, Arc<Entry>), SimError> {
    let (resource, type_meta, mut object) = read(state, value)?;
    if object.name().is_empty() {
        return Err(SimError::Object(format!("a {} has no metadata.name", type_meta.kind)));
    }
    if resource.id.group == EVENTS_GROUP {
        object = events::from_events_group(object);
    }
    if !resource.namespaced {
        object.metadata.remove("namespace");
    }
    if let (true, Some(address)) = (resource.is("", "nodes"), state.kubelets.get(object.name())) {
        kubelet::builder::tell(&mut object.rest, *address);
    }
    let key = resource.key(object.namespace(), object.name());
    let complete = !object.meta("uid").is_empty()
        && !object.meta("creationTimestamp").is_empty()
        && (!resource.generation || object.metadata.contains_key("generation"));
    if !complete {
        let old = state.get(&resource, &key).map(|entry| entry.object());
        for field in ["uid", "creationTimestamp", "generation"] {
            if let (true, Some(old)) = (object.metadata.get(field).is_none_or(Value::is_null), &old) {
                object.copy_meta(field, old);
            }
        }
        if object.meta("uid").is_empty() {
            object.set_meta("uid", new_uid());
        }
        if object.meta("creationTimestamp").is_empty() {
            object.set_meta("creationTimestamp", rfc3339(state.clock.now()));
        }
        if resource.generation && !object.metadata.contains_key("generation") {
            object.set_meta("generation", 1);
        }
    }
    let defined = if resource.is(crate::kinds::CRDS.0, crate::kinds::CRDS.1) {
        crate::crd::accept(&mut object, &rfc3339(state.clock.now()));
        Some(crate::crd::resource(&object).map_err(SimError::Object)?)
    } else {
        None
    };
    let entry = state.put(&resource, object).ok_or_else(|| SimError::UnknownKind {
        api_version: type_meta.api_version.clone(),
        kind: type_meta.kind.clone(),
    })?;
    if let Some(defined) = defined {
        state.serve(defined);
    }
    Ok((resource, type_meta, entry))
}

/// Remove an object, whatever its grace period and finalizers say. `None` if there is none.
pub(crate) fn remove(state: &mut State, reference: &ObjectRef) -> Result<Option<Value>, SimError> {
    let (resource, type_meta) = locate(state, reference)?;
    let key = key(&resource, reference);
    let Some(last) = state.remove(&resource, &key) else { return Ok(None) };
    let object = last.object();
    if resource.is(crate::kinds::CRDS.0, crate::kinds::CRDS.1)
        && let Ok(defined) = crate::crd::resource(&object)
    {
        state.withdraw(&defined.id);
    }
    Ok(Some(show(&resource, &type_meta, &last)))
}

pub(crate) fn get(state: &State, reference: &ObjectRef) -> Result<Option<Value>, SimError> {
    let (resource, type_meta) = locate(state, reference)?;
    Ok(state.get(&resource, &key(&resource, reference)).map(|entry| show(&resource, &type_meta, entry)))
}

fn locate(state: &State, reference: &ObjectRef) -> Result<(Arc<Resource>, TypeMeta), SimError> {
    let type_meta = TypeMeta { api_version: reference.api_version.clone(), kind: reference.kind.clone() };
    Ok((resource(state, &type_meta)?, type_meta))
}

fn key(resource: &Resource, reference: &ObjectRef) -> String {
    resource.key(reference.namespace.as_deref().unwrap_or_default(), &reference.name)
}

/// An entry as a JSON value, with its `apiVersion` and `kind`.
pub(crate) fn show(resource: &Resource, type_meta: &TypeMeta, entry: &Entry) -> Value {
    let object = entry.object();
    let object = if resource.id.group == EVENTS_GROUP { events::to_events_group(object) } else { object };
    object.into_value(type_meta)
}

pub(crate) fn mutate(state: &mut State, mutation: Mutation) -> Result<(), SimError> {
    match mutation {
        Mutation::Upsert(object) => upsert(state, object).map(drop),
        Mutation::Delete { api_version, kind, namespace, name } => {
            remove(state, &ObjectRef { api_version, kind, namespace, name }).map(drop)
        }
    }
}
