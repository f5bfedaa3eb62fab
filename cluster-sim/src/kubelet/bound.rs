//! Which pods are bound to which node, known without reading them all for each question.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::object::selector::Scope;
use crate::resource::Resource;
use crate::store::State;
use crate::store::entry::Entry;
use crate::store::table::Change;

/// The pods of each node, in key order. It follows the store when it is asked, by the changes since the last time; a
/// pod costs one pointer.
#[derive(Debug, Default)]
pub(super) struct Bound {
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    /// The store's version that this is the state of; no state has version 0.
    version: u64,
    nodes: HashMap<Box<str>, Vec<Arc<Entry>>>,
}

impl Bound {
    /// The pods bound to a node now.
    pub(super) fn of(&self, state: &State, node: &str) -> Vec<Arc<Entry>> {
        let mut index = self.index.lock();
        index.follow(state);
        index.nodes.get(node).cloned().unwrap_or_default()
    }
}

impl Index {
    fn follow(&mut self, state: &State) {
        if self.version == state.version() {
            return;
        }
        let pods = state.registry.get("", "pods");
        let table = pods.and_then(|pods| Some((pods, node_field(pods)?, state.table(pods)?)));
        let Some((_, field, table)) = table else {
            *self = Self { version: state.version(), nodes: HashMap::new() };
            return;
        };
        match table.since(self.version, &Scope::default()).filter(|_| self.version > 0) {
            Some(changes) => changes.iter().for_each(|change| self.apply(change, field)),
            None => {
                self.nodes.clear();
                table.iter().for_each(|entry| self.insert(entry, field));
            }
        }
        self.version = state.version();
    }

    fn apply(&mut self, change: &Change, field: usize) {
        if let Some(before) = &change.before {
            self.remove(before, field);
        }
        if !change.deleted {
            self.insert(&change.now, field);
        }
    }

    fn insert(&mut self, entry: &Arc<Entry>, field: usize) {
        let node = entry.field(field);
        if node.is_empty() {
            return;
        }
        if !self.nodes.contains_key(node) {
            self.nodes.insert(node.into(), Vec::new());
        }
        let Some(pods) = self.nodes.get_mut(node) else { return };
        match pods.binary_search_by(|known| known.key.cmp(&entry.key)) {
            Ok(at) => {
                if let Some(known) = pods.get_mut(at) {
                    *known = Arc::clone(entry);
                }
            }
            Err(at) => pods.insert(at, Arc::clone(entry)),
        }
    }

    fn remove(&mut self, entry: &Entry, field: usize) {
        let node = entry.field(field);
        let Some(pods) = self.nodes.get_mut(node) else { return };
        if let Ok(at) = pods.binary_search_by(|known| known.key.cmp(&entry.key)) {
            pods.remove(at);
        }
        if pods.is_empty() {
            self.nodes.remove(node);
        }
    }
}

fn node_field(pods: &Resource) -> Option<usize> {
    pods.fields.iter().position(|field| field.label == "spec.nodeName")
}
