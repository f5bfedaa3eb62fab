//! The cluster's state: every object at its newest version, a window of recent changes, one version counter.

pub(crate) mod entry;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::chores::Pending;
use crate::clock::Clock;
use crate::object::Object;
use crate::resource::{GroupResource, Registry, Resource};
use entry::Entry;
use table::Table;

/// How much the store remembers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Changes kept per resource.
    pub(crate) history: usize,
    /// Changes that may wait for one watcher.
    pub(crate) watch_queue: usize,
}

/// Everything the cluster knows, behind one lock: a version counter orders all writes, as etcd's does.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) state: RwLock<State>,
}

/// The state behind the store's lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) registry: Registry,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    /// What the cluster's own controllers have yet to do.
    pub(crate) pending: Pending,
    /// Where the kubelets are that have ports of their own: what their nodes say.
    pub(crate) kubelets: BTreeMap<String, SocketAddr>,
    version: u64,
    tables: BTreeMap<GroupResource, Table>,
}

impl Store {
    pub(crate) fn new(limits: Limits, clock: Clock) -> Self {
        let registry = Registry::with_built_ins();
        // Version 0 means "any" to the API, so that the first state a client may see is version 1.
        let version = 1;
        let tables = registry.iter().map(|resource| (resource.storage.clone(), Table::new(version))).collect();
        let pending = Pending::default();
        let kubelets = BTreeMap::new();
        Self { state: RwLock::new(State { registry, limits, clock, pending, kubelets, version, tables }) }
    }
}

impl State {
    /// The version of the newest write.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Where the objects of a resource are. `None` once its definition is gone.
    pub(crate) fn table(&self, resource: &Resource) -> Option<&Table> {
        self.tables.get(&resource.storage)
    }

    pub(crate) fn table_mut(&mut self, resource: &Resource) -> Option<&mut Table> {
        self.tables.get_mut(&resource.storage)
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = (&GroupResource, &Table)> {
        self.tables.iter()
    }

    pub(crate) fn get(&self, resource: &Resource, key: &str) -> Option<&Arc<Entry>> {
        self.table(resource)?.get(key)
    }

    /// Store an object, as a new version. `None` if the resource is no longer served.
    pub(crate) fn put(&mut self, resource: &Resource, object: Object) -> Option<Arc<Entry>> {
        let table = self.tables.get_mut(&resource.storage)?;
        self.version += 1;
        let key = resource.key(object.namespace(), object.name());
        let entry = Arc::new(Entry::new(resource, &key, object, self.version));
        table.put(Arc::clone(&entry), self.limits.history);
        Some(entry)
    }

    /// Remove an object; its last state, at the version of its removal.
    pub(crate) fn remove(&mut self, resource: &Resource, key: &str) -> Option<Arc<Entry>> {
        let table = self.tables.get_mut(&resource.storage)?;
        let before = table.get(key)?;
        self.version += 1;
        let last = Arc::new(before.reissued(self.version));
        table.remove(Arc::clone(&last), self.limits.history);
        Some(last)
    }

    /// Serve a resource, from now on or in a new form.
    pub(crate) fn serve(&mut self, resource: Resource) {
        let version = self.version;
        self.tables.entry(resource.storage.clone()).or_insert_with(|| Table::new(version));
        self.registry.insert(resource);
    }

    /// Serve a built-in resource in these versions, preferred first, or not at all; `false` if there is no such one.
    pub(crate) fn serve_versions(&mut self, group: &str, plural: &str, versions: &[String]) -> bool {
        let Some(resource) = Resource::in_versions(group, plural, versions) else { return false };
        if versions.is_empty() {
            self.withdraw(&resource.id);
        } else {
            self.serve(resource);
        }
        true
    }

    /// Serve a resource no longer: its objects go, and their watches end.
    pub(crate) fn withdraw(&mut self, id: &GroupResource) {
        let Some(resource) = self.registry.get(&id.group, &id.plural).cloned() else { return };
        let keys: Vec<Box<str>> =
            self.table(&resource).into_iter().flat_map(Table::iter).map(|e| e.key.clone()).collect();
        for key in keys {
            self.remove(&resource, &key);
        }
        self.tables.remove(id);
        self.registry.remove(id);
    }

    /// Forget all history: continue tokens, exact lists and watches from before now are too old.
    pub(crate) fn compact(&mut self) {
        for table in self.tables.values_mut() {
            table.compact(self.version);
        }
    }
}
