//! Create, update and patch.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use super::status::{Cause, Status};
use super::{Call, body, read};
use crate::http::reply::Reply;
use crate::object::strategy::rfc3339;
use crate::object::{Object, TypeMeta, events, strategy, validate};
use crate::patch::managed::Manager;
use crate::patch::{self, Patch};
use crate::resource::{EVENTS_GROUP, Resource, Version};
use crate::store::State;
use crate::store::entry::Entry;

/// A write, from whichever door.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) version: &'a Version,
    /// The namespace that the path names; empty for cluster-scoped resources.
    pub(crate) namespace: &'a str,
    /// The name that the path names; empty for creates.
    pub(crate) name: &'a str,
    /// Writes the status and nothing else.
    pub(crate) status_only: bool,
    pub(crate) dry_run: bool,
    pub(crate) manager: Manager,
    pub(crate) now: Timestamp,
    /// The request behind it, whose user must have the right to create what does not exist; `None`: the handle, which
    /// may do everything.
    pub(crate) call: Option<&'a Call>,
}

/// What a write led to.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) entry: Arc<Entry>,
    pub(crate) created: bool,
}

pub(crate) fn create(call: &Call) -> Result<Reply, Status> {
    let object = body::object(call)?;
    let write = call.write("")?;
    let written = write.create(&mut call.server.store.state.write(), object)?;
    call.server.chores.wake();
    Ok(show(call, &written))
}

pub(crate) fn update(call: &Call) -> Result<Reply, Status> {
    let object = body::object(call)?;
    let write = call.write(call.name())?;
    let written = write.update(&mut call.server.store.state.write(), object)?;
    call.server.chores.wake();
    Ok(show(call, &written))
}

pub(crate) fn patch(call: &Call) -> Result<Reply, Status> {
    let patch = Patch::parse(body::media_type(&call.content_type), &call.body)?;
    let write = call.write(call.name())?;
    let written = write.patch(&mut call.server.store.state.write(), &patch, call.query.flag("force"))?;
    call.server.chores.wake();
    Ok(show(call, &written))
}

fn show(call: &Call, written: &Written) -> Reply {
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    read::show(call, status, &written.entry)
}

impl Call {
    /// The write that the call asks for, to the object `name`.
    pub(crate) fn write<'a>(&'a self, name: &'a str) -> Result<Write<'a>, Status> {
        let status_only = self.target.subresource.as_deref() == Some("status");
        Ok(Write {
            resource: &self.resource,
            version: &self.version,
            namespace: self.namespace(),
            name,
            status_only,
            dry_run: self.query.dry_run()?,
            manager: Manager::new(
                self.query.get("fieldManager"),
                &self.user_agent,
                &self.resource.api_version(&self.version.name),
                self.target.subresource.as_deref().unwrap_or_default(),
            ),
            now: self.server.clock.now(),
            call: Some(self),
        })
    }
}

impl Write<'_> {
    pub(crate) fn create(&self, state: &mut State, object: Object) -> Result<Written, Status> {
        let mut object = self.received(object);
        strategy::generate_name(&mut object);
        self.place(&mut object)?;
        validate::validate(self.resource, &self.version.name, &object)?;
        let key = self.resource.key(self.namespace, object.name());
        if state.get(self.resource, &key).is_some() {
            return Err(Status::already_exists(self.resource.about(object.name())));
        }
        self.admit(state, object.name())?;
        object.metadata.remove("managedFields");
        strategy::before_create(self.resource, self.version, &mut object, self.now);
        let empty = Object::default();
        self.manager.track(self.schema(), &empty, &mut object, self.now);
        Ok(Written { entry: self.store(state, object)?, created: true })
    }

    pub(crate) fn update(&self, state: &mut State, object: Object) -> Result<Written, Status> {
        let object = self.received(object);
        if !object.name().is_empty() && object.name() != self.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                object.name(),
                self.name
            )));
        }
        let current = state.get(self.resource, &self.key()).cloned();
        let uid = current.as_ref().map(|entry| entry.object().meta("uid").to_owned()).unwrap_or_default();
        if let Some(asked) = Some(object.meta("uid")).filter(|asked| !asked.is_empty() && *asked != uid) {
            let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {uid}");
            return Err(Status::conflict(self.about(), &why));
        }
        let Some(entry) = current else {
            if self.resource.create_on_update && !self.status_only {
                self.may_create(state)?;
                return self.create(state, object);
            }
            return Err(self.not_found());
        };
        if self.resource.conditional_update && object.meta("resourceVersion").is_empty() {
            let cause =
                Cause::invalid("metadata.resourceVersion", &Value::from("0x0"), "must be specified for an update");
            return Err(self.invalid(&[cause]));
        }
        self.replace(state, &entry, object)
    }

    pub(crate) fn patch(&self, state: &mut State, patch: &Patch, force: bool) -> Result<Written, Status> {
        let current = state.get(self.resource, &self.key()).cloned();
        if let Patch::Apply(config) = patch {
            return self.apply(state, current.as_ref(), config, force);
        }
        let entry = current.ok_or_else(|| self.not_found())?;
        let type_meta = self.resource.type_meta(&self.version.name);
        let before = self.shown(entry.object()).into_value(&type_meta);
        let patched = patch.apply_to(before, self.schema()).map_err(|status| status.about(self.about()))?;
        let object = taken_apart(patched, &type_meta)?;
        if object.name() != self.name || object.namespace() != self.namespace {
            let cause = Cause::invalid("metadata.name", &object.name().into(), "field is immutable");
            return Err(self.invalid(&[cause]));
        }
        let object = self.received(object);
        self.replace(state, &entry, object)
    }

    /// Server-side apply.
    fn apply(
        &self,
        state: &mut State,
        current: Option<&Arc<Entry>>,
        config: &Value,
        force: bool,
    ) -> Result<Written, Status> {
        if self.manager.name.is_empty() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[cause]));
        }
        let type_meta = self.resource.type_meta(&self.version.name);
        let config = taken_apart(config.clone(), &type_meta)?;
        if !config.name().is_empty() && config.name() != self.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                config.name(),
                self.name
            )));
        }
        if config.metadata.get("managedFields").is_some_and(|fields| !fields.is_null()) {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        let mut config = self.received(config);
        config.set_meta("name", self.name);
        self.place(&mut config)?;
        let Some(entry) = current else {
            if self.status_only {
                return Err(self.not_found());
            }
            if !config.meta("uid").is_empty() {
                let uid = config.meta("uid");
                let why =
                    format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
                return Err(Status::conflict(self.about(), &why));
            }
            validate::validate(self.resource, &self.version.name, &config)?;
            self.may_create(state)?;
            self.admit(state, self.name)?;
            let mut object = config.clone();
            strategy::before_create(self.resource, self.version, &mut object, self.now);
            self.manager.record_apply(self.schema(), &config, &mut object, self.now);
            return Ok(Written { entry: self.store(state, object)?, created: true });
        };
        let live = entry.object();
        let applied = patch::apply::apply(self.schema(), &live, &config, &self.manager, force, self.now)?;
        self.replace_as(state, entry, applied, false)
    }

    fn replace(&self, state: &mut State, entry: &Arc<Entry>, object: Object) -> Result<Written, Status> {
        self.replace_as(state, entry, object, true)
    }

    /// Store `object` in place of `entry`. `track`: record who changed what (an apply has done so itself).
    fn replace_as(
        &self,
        state: &mut State,
        entry: &Arc<Entry>,
        mut object: Object,
        track: bool,
    ) -> Result<Written, Status> {
        let asked = object.meta("resourceVersion");
        if !asked.is_empty() && asked != entry.version.to_string() {
            return Err(Status::modified(self.about()));
        }
        self.place(&mut object)?;
        object.set_meta("name", self.name);
        let old = entry.object();
        if track && object.metadata.get("managedFields").is_none_or(Value::is_null) {
            object.copy_meta("managedFields", &old);
        }
        if self.status_only {
            strategy::before_status_update(self.resource, &old, &mut object)?;
        } else {
            strategy::before_update(self.resource, self.version, &old, &mut object)?;
        }
        validate::validate(self.resource, &self.version.name, &object)?;
        object.copy_meta("resourceVersion", &old);
        if track {
            self.manager.track(self.schema(), &old, &mut object, self.now);
        }
        let unchanged = Written { entry: Arc::clone(entry), created: false };
        if is_same(&old, &object) {
            return Ok(unchanged);
        }
        let gone = object.is_being_deleted()
            && object.finalizers().next().is_none()
            && object.metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or_default() == 0
            && !self.dry_run;
        let entry = self.store(state, object)?;
        if gone {
            crate::chores::remove(state, self.resource, &entry.key);
        }
        Ok(Written { entry, created: false })
    }

    /// The last step: definitions change what is served; a dry run stops here.
    fn store(&self, state: &mut State, mut object: Object) -> Result<Arc<Entry>, Status> {
        let defined = if self.resource.is(crate::kinds::CRDS.0, crate::kinds::CRDS.1) {
            let defined = crate::crd::resource(&object).map_err(|why| {
                Status::invalid(
                    &self.resource.id.group,
                    &self.resource.kind,
                    object.name(),
                    &[Cause::invalid("spec", &Value::Null, &why)],
                )
            })?;
            crate::crd::accept(&mut object, &rfc3339(self.now));
            Some(defined)
        } else {
            None
        };
        if self.dry_run {
            let key = self.resource.key(self.namespace, object.name());
            return Ok(Arc::new(Entry::new(self.resource, &key, object, state.version())));
        }
        let entry = state.put(self.resource, object).ok_or_else(Status::no_such_path)?;
        if let Some(defined) = defined {
            state.serve(defined);
        }
        Ok(entry)
    }

    /// Put the object where the path says.
    fn place(&self, object: &mut Object) -> Result<(), Status> {
        let namespace = object.namespace();
        if !self.resource.namespaced {
            object.metadata.remove("namespace");
            return Ok(());
        }
        if !namespace.is_empty() && namespace != self.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        object.set_meta("namespace", self.namespace);
        Ok(())
    }

    fn may_create(&self, state: &State) -> Result<(), Status> {
        self.call.map_or(Ok(()), |call| call.may_create(state))
    }

    /// Nothing is created in a namespace that does not exist or is about to go.
    fn admit(&self, state: &State, name: &str) -> Result<(), Status> {
        if !self.resource.namespaced {
            return Ok(());
        }
        let Some(namespaces) = state.registry.get("", "namespaces") else { return Ok(()) };
        let Some(entry) = state.get(namespaces, self.namespace) else {
            return Err(Status::not_found(namespaces.about(self.namespace)));
        };
        if entry.object().is_being_deleted() {
            let why =
                format!("unable to create new content in namespace {} because it is being terminated", self.namespace);
            return Err(Status::forbidden(self.resource.about(name), &why));
        }
        Ok(())
    }

    fn received(&self, object: Object) -> Object {
        // Both doors to Events refuse the same times, whatever the fields are called.
        if self.resource.id.group == EVENTS_GROUP { events::from_events_group(object) } else { object }
    }

    fn shown(&self, object: Object) -> Object {
        if self.resource.id.group == EVENTS_GROUP { events::to_events_group(object) } else { object }
    }

    fn schema(&self) -> patch::schema::Schema<'_> {
        patch::schema::Schema::of(self.resource, self.version)
    }

    fn key(&self) -> String {
        self.resource.key(self.namespace, self.name)
    }

    fn about(&self) -> super::status::About<'_> {
        self.resource.about(self.name)
    }

    fn not_found(&self) -> Status {
        Status::not_found(self.about())
    }

    fn invalid(&self, causes: &[Cause]) -> Status {
        Status::invalid(&self.resource.id.group, &self.resource.kind, self.name, causes)
    }
}

/// A write that changes nothing makes no new version; when a manager last wrote is no change.
fn is_same(old: &Object, new: &Object) -> bool {
    let without_times = |object: &Object| {
        let mut metadata = object.metadata.clone();
        for entry in metadata.get_mut("managedFields").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Value::Object(entry) = entry {
                entry.remove("time");
            }
        }
        metadata
    };
    old.rest == new.rest && without_times(old) == without_times(new)
}

fn taken_apart(value: Value, expected: &TypeMeta) -> Result<Object, Status> {
    let (type_meta, object) = Object::from_value(value).map_err(Status::bad_request)?;
    if type_meta != *expected {
        return Err(Status::bad_request(format!(
            "the object is {} {}, expected {} {}",
            type_meta.api_version, type_meta.kind, expected.api_version, expected.kind
        )));
    }
    Ok(object)
}
