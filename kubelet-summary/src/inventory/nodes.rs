//! The nodes that are known.

use std::collections::HashMap;
use std::sync::Arc;

use super::record::NodeRecord;
use crate::fetch::NodeTarget;
use crate::resources::Resources;

/// A node that the watch knows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KnownNode {
    /// Its name, and where its kubelet is.
    pub target: NodeTarget,
    /// Its uid: another one where a node was made anew under its name.
    pub uid: Option<Arc<str>>,
    /// Whether its kubelet says that it is well.
    pub ready: Option<bool>,
    /// What its pods may take together.
    pub allocatable: Resources,
}

impl KnownNode {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.target.name
    }
}

#[derive(Debug)]
struct Row {
    node: Arc<KnownNode>,
    feed: u16,
    list: u32,
}

/// All nodes that are known.
#[derive(Debug, Default)]
pub(super) struct NodeTable {
    rows: HashMap<Arc<str>, Row, foldhash::fast::RandomState>,
}

impl NodeTable {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A node that is new or changed; whether anything changed that is kept. None where it has no name.
    pub(super) fn put(&mut self, record: NodeRecord, feed: u16, list: u32) -> Option<bool> {
        let name = record.metadata.name.as_deref().filter(|name| !name.is_empty())?;
        let before = self.rows.get(name);
        let name = before.map_or_else(|| name.into(), |row| row.node.target.name.clone());
        let node = KnownNode {
            target: NodeTarget { name: name.clone(), ..record.target },
            uid: record.metadata.uid.map(Into::into),
            ready: record.ready,
            allocatable: record.allocatable,
        };
        let same = before.filter(|row| *row.node == node).map(|row| row.node.clone());
        let changed = same.is_none();
        self.rows.insert(name, Row { node: same.unwrap_or_else(|| Arc::new(node)), feed, list });
        Some(changed)
    }

    /// A node that is gone; whether it was known.
    pub(super) fn delete(&mut self, name: &str) -> bool {
        self.rows.remove(name).is_some()
    }

    /// A feed's list is complete: its nodes that were not in it are gone. How many those were.
    pub(super) fn end_list(&mut self, feed: u16, list: u32) -> usize {
        let before = self.rows.len();
        self.rows.retain(|_, row| row.feed != feed || row.list == list);
        before - self.rows.len()
    }

    pub(super) fn clear(&mut self) {
        self.rows = HashMap::default();
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<KnownNode>> {
        self.rows.get(name).map(|row| &row.node)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<KnownNode>> {
        self.rows.values().map(|row| &row.node)
    }
}
