//! What a cluster does by itself after a delete: pods end, namespaces empty, dependents follow their owners.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::delete::{DeleteOptions, delete_object};
use crate::object::{Object, TypeMeta};
use crate::resource::{GroupResource, Resource};
use crate::server::Server;
use crate::store::State;
use crate::store::entry::Entry;

/// The finalizer that keeps an owner until its dependents are gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that keeps an owner until its dependents no longer name it.
pub(crate) const ORPHAN: &str = "orphan";

/// Wakes the task that does what is pending.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    notify: Notify,
}

/// What is to be done. Each entry stands for an object that exists or has just gone, which bounds the sets.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Pods that end, by when, with their key and uid.
    pods: BTreeSet<(Instant, String, String)>,
    /// Namespaces to empty and remove.
    namespaces: BTreeSet<String>,
    /// Objects with a finalizer of the garbage collector.
    owners: BTreeSet<(GroupResource, String)>,
    /// The uids of owners that are gone.
    gone: BTreeSet<String>,
}

impl Pending {
    /// An object has been marked for deletion.
    pub(crate) fn deleting(&mut self, resource: &Resource, entry: &Entry, grace: i64, termination: Option<Duration>) {
        if resource.is("", "namespaces") {
            self.namespaces.insert(entry.key.to_string());
        } else if grace > 0
            && let Some(termination) = termination
        {
            let grace = Duration::from_secs(u64::try_from(grace).unwrap_or_default());
            let end = Instant::now() + grace.min(termination);
            self.pods.insert((end, entry.key.to_string(), entry.object().meta("uid").to_owned()));
        }
        if entry.object().finalizers().any(|finalizer| matches!(finalizer, FOREGROUND | ORPHAN)) {
            self.owners.insert((resource.id.clone(), entry.key.to_string()));
        }
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.namespaces.is_empty()
            && self.owners.is_empty()
            && self.gone.is_empty()
            && self.next_pod().is_none_or(|at| at > now)
    }

    fn next_pod(&self) -> Option<Instant> {
        self.pods.first().map(|(at, ..)| *at)
    }
}

impl Chores {
    /// Something was written: see whether there is something to do.
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }
}

/// Remove an object for good, with what follows from that.
pub(crate) fn remove(state: &mut State, resource: &Resource, key: &str) -> Option<Arc<Entry>> {
    let last = state.remove(resource, key)?;
    let object = last.object();
    if resource.is(crate::kinds::CRDS.0, crate::kinds::CRDS.1)
        && let Ok(defined) = crate::crd::resource(&object)
    {
        state.withdraw(&defined.id);
    }
    state.pending.gone.insert(object.meta("uid").to_owned());
    Some(last)
}

/// Do what is pending, whenever something is, until cancelled.
pub(crate) async fn run(server: Arc<Server>, cancelled: CancellationToken) {
    loop {
        let idle = server.store.state.read().pending.is_idle(Instant::now());
        if !idle {
            work(&mut server.store.state.write(), server.settings.pod_termination);
        }
        let next = server.store.state.read().pending.next_pod();
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = cancelled.cancelled() => return,
            () = server.chores.notify.notified() => {}
            () = due => {}
        }
    }
}

/// One round; repeated while it led to more work.
fn work(state: &mut State, termination: Option<Duration>) {
    loop {
        let before = state.version();
        end_pods(state);
        collect_garbage(state, termination);
        release_owners(state, termination);
        empty_namespaces(state, termination);
        if state.version() == before {
            return;
        }
    }
}

fn end_pods(state: &mut State) {
    let now = Instant::now();
    let Some(pods) = state.registry.get("", "pods").cloned() else { return };
    while state.pending.next_pod().is_some_and(|at| at <= now) {
        let Some((_, key, uid)) = state.pending.pods.pop_first() else { return };
        let Some(entry) = state.get(&pods, &key) else { continue };
        let mut pod = entry.object();
        if pod.meta("uid") != uid || !pod.is_being_deleted() {
            continue;
        }
        if pod.finalizers().next().is_none() {
            remove(state, &pods, &key);
        } else {
            pod.set_meta("deletionGracePeriodSeconds", 0);
            state.put(&pods, pod);
        }
    }
}

/// Delete the dependents of owners that are gone, unless another owner remains.
fn collect_garbage(state: &mut State, termination: Option<Duration>) {
    let gone = std::mem::take(&mut state.pending.gone);
    if gone.is_empty() {
        return;
    }
    for (resource, key) in dependents(state, |uid| gone.contains(uid)) {
        let Some(entry) = state.get(&resource, &key) else { continue };
        let object = entry.object();
        if !has_living_owner(state, &object, &gone) {
            // Whatever stands in the way (it went meanwhile) needs no deletion.
            let _ = delete_object(state, &resource, &key, &DeleteOptions::default(), state.clock.now(), termination);
        }
    }
}

/// The objects that name an owner by one of the uids.
fn dependents(state: &State, is_owner: impl Fn(&str) -> bool) -> Vec<(Arc<Resource>, String)> {
    let mut found = Vec::new();
    for (id, table) in state.tables() {
        let Some(resource) = state.registry.get(&id.group, &id.plural) else { continue };
        let owned = table.iter().filter(|entry| entry.owners().any(&is_owner));
        found.extend(owned.map(|entry| (Arc::clone(resource), entry.key.to_string())));
    }
    found
}

fn has_living_owner(state: &State, object: &Object, gone: &BTreeSet<String>) -> bool {
    let owners = object.metadata.get("ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| {
        let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default();
        let type_meta = TypeMeta { api_version: text("apiVersion").to_owned(), kind: text("kind").to_owned() };
        !gone.contains(text("uid"))
            && state.registry.of_kind(&type_meta).is_some_and(|resource| {
                let key = resource.key(object.namespace(), text("name"));
                state.get(resource, &key).is_some_and(|entry| entry.object().meta("uid") == text("uid"))
            })
    })
}

/// Take the garbage collector's finalizers off the owners whose dependents are dealt with.
fn release_owners(state: &mut State, termination: Option<Duration>) {
    for (id, key) in state.pending.owners.clone() {
        let Some(resource) = state.registry.get(&id.group, &id.plural).cloned() else {
            state.pending.owners.remove(&(id, key));
            continue;
        };
        let Some(mut owner) = state.get(&resource, &key).map(|entry| entry.object()) else {
            state.pending.owners.remove(&(id, key));
            continue;
        };
        let uid = owner.meta("uid").to_owned();
        if owner.finalizers().any(|finalizer| finalizer == ORPHAN) {
            for (dependent, key) in dependents(state, |owner| owner == uid) {
                disown(state, &dependent, &key, &uid);
            }
            drop_finalizer(&mut owner, ORPHAN);
        }
        if owner.finalizers().any(|finalizer| finalizer == FOREGROUND) {
            let mut blocked = false;
            for (dependent, key) in dependents(state, |owner| owner == uid) {
                blocked |= blocks(state, &dependent, &key, &uid);
                let is_marked = state.get(&dependent, &key).is_some_and(|entry| entry.object().is_being_deleted());
                if !is_marked {
                    let options = DeleteOptions::foreground();
                    let deleted = delete_object(state, &dependent, &key, &options, state.clock.now(), termination);
                    blocked |= deleted.is_ok();
                }
            }
            if blocked {
                continue;
            }
            drop_finalizer(&mut owner, FOREGROUND);
        }
        state.pending.owners.remove(&(id, key.clone()));
        let finished = owner.finalizers().next().is_none();
        state.put(&resource, owner);
        if finished {
            remove(state, &resource, &key);
        }
    }
}

/// Does the dependent keep its owner from going?
fn blocks(state: &State, resource: &Resource, key: &str, uid: &str) -> bool {
    let Some(entry) = state.get(resource, key) else { return false };
    let object = entry.object();
    let owners = object.metadata.get("ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| {
        owner.get("uid").and_then(Value::as_str) == Some(uid)
            && owner.get("blockOwnerDeletion") == Some(&Value::Bool(true))
    })
}

fn disown(state: &mut State, resource: &Resource, key: &str, uid: &str) {
    let Some(mut object) = state.get(resource, key).map(|entry| entry.object()) else { return };
    if let Some(Value::Array(owners)) = object.metadata.get_mut("ownerReferences") {
        owners.retain(|owner| owner.get("uid").and_then(Value::as_str) != Some(uid));
        if owners.is_empty() {
            object.metadata.remove("ownerReferences");
        }
    }
    state.put(resource, object);
}

fn drop_finalizer(object: &mut Object, finalizer: &str) {
    let rest: Vec<String> = object.finalizers().filter(|known| *known != finalizer).map(str::to_owned).collect();
    if rest.is_empty() {
        object.metadata.remove("finalizers");
    } else {
        object.set_meta("finalizers", rest);
    }
}

/// Delete what is in the namespaces that are to go, and then the namespaces.
fn empty_namespaces(state: &mut State, termination: Option<Duration>) {
    let Some(namespaces) = state.registry.get("", "namespaces").cloned() else { return };
    for namespace in state.pending.namespaces.clone() {
        let mut content = Vec::new();
        for resource in state.registry.iter().filter(|resource| resource.namespaced && resource.id == resource.storage)
        {
            let view = state.table(resource).and_then(|table| table.at(state.version()));
            let keys = view.into_iter().flat_map(|view| view.range(Some(&namespace), None).collect::<Vec<_>>());
            content.extend(keys.map(|entry| (Arc::clone(resource), Arc::clone(entry))));
        }
        let empty = content.is_empty();
        for (resource, entry) in content {
            if !entry.object().is_being_deleted() {
                let _ = delete_object(
                    state,
                    &resource,
                    &entry.key,
                    &DeleteOptions::default(),
                    state.clock.now(),
                    termination,
                );
            }
        }
        let finalizers = state.get(&namespaces, &namespace).map(|entry| entry.object().finalizers().count());
        match finalizers {
            Some(0) if empty => {
                state.pending.namespaces.remove(&namespace);
                remove(state, &namespaces, &namespace);
            }
            None => {
                state.pending.namespaces.remove(&namespace);
            }
            Some(_) => {}
        }
    }
}
