//! What changed in a store since a reader was there last.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::labels::labels_of;
use super::object::ObjectRef;
use super::snapshot::Snapshot;
use super::{ObjectKey, Removed};

/// A place in the history of one store: see [`MemoryStore::changes_since`](super::MemoryStore::changes_since).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoreCursor {
    #[serde(rename = "s")]
    pub(super) store: u64,
    #[serde(rename = "g")]
    pub(super) generation: u64,
    #[serde(rename = "v")]
    pub(super) view: u64,
}

/// What a reader has to do to be up to date; see [`MemoryStore::changes_since`](super::MemoryStore::changes_since).
#[derive(Debug, Clone)]
pub enum Changes {
    /// Take over what changed.
    Delta(Delta),
    /// Forget what you know and take this over, as a whole: the cursor is none of this store (it was made anew since),
    /// or too old (more objects were removed since than are remembered), or other families are on.
    Resync(Arc<Snapshot>),
}

impl Changes {
    /// The state that the reader has then.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        match self {
            Self::Delta(delta) => &delta.snapshot,
            Self::Resync(snapshot) => snapshot,
        }
    }

    /// The cursor for the next call.
    pub fn cursor(&self) -> StoreCursor {
        self.snapshot().cursor()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Delta(delta) => delta.is_empty(),
            Self::Resync(_) => false,
        }
    }

    /// The objects to put in or replace: those that changed, or all of them.
    pub fn updated(&self) -> impl Iterator<Item = ObjectRef<'_>> {
        let since = match self {
            Self::Delta(delta) => delta.since,
            Self::Resync(_) => 0,
        };
        self.snapshot().changed_after(since)
    }
}

/// The difference between two published states of a store: exactly what a reader of the first needs to have the second.
///
/// An object is in it once, however often it changed; one that came and went in between is not in it.
#[derive(Debug, Clone)]
pub struct Delta {
    snapshot: Arc<Snapshot>,
    since: u64,
    removed: Vec<Removed>,
}

impl Delta {
    fn new(snapshot: Arc<Snapshot>, since: u64, mut gone: Vec<Removal>) -> Self {
        if !gone.is_empty() {
            // What came back under its key is an update.
            let there: HashSet<ObjectKey> = snapshot.changed_after(since).map(|object| object.key()).collect();
            gone.retain(|removal| !there.contains(&removal.key));
        }
        let removed =
            gone.into_iter().map(|removal| Removed { key: removal.key, identity: labels_of(&removal.identity) });
        Self { since, removed: removed.collect(), snapshot }
    }

    /// Objects that are new or whose samples or labels are others than before: all their samples replace the former.
    pub fn updated(&self) -> impl Iterator<Item = ObjectRef<'_>> {
        self.snapshot.changed_after(self.since)
    }

    /// Objects that are gone.
    pub fn removed(&self) -> &[Removed] {
        &self.removed
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.updated().next().is_none()
    }
}

/// An object that left.
#[derive(Debug, Clone)]
pub(super) struct Removal {
    pub(super) key: ObjectKey,
    pub(super) identity: Arc<[u8]>,
    /// The generation that showed it first.
    pub(super) added: u64,
    /// The generation that did not show it any more.
    pub(super) removed: u64,
}

/// The last removals, oldest first.
#[derive(Debug)]
pub(super) struct RemovalLog {
    entries: VecDeque<Removal>,
    limit: usize,
    /// No removal after this generation is missing.
    complete_after: u64,
}

impl RemovalLog {
    pub(super) fn new(limit: usize, complete_after: u64) -> Self {
        Self { entries: VecDeque::new(), limit, complete_after }
    }

    pub(super) fn extend(&mut self, removals: impl IntoIterator<Item = Removal>) {
        for removal in removals {
            self.entries.push_back(removal);
            if self.entries.len() > self.limit
                && let Some(oldest) = self.entries.pop_front()
            {
                self.complete_after = self.complete_after.max(oldest.removed);
            }
        }
    }

    /// What a reader at `cursor` needs to be at `snapshot`.
    pub(super) fn changes(&self, cursor: Option<StoreCursor>, snapshot: Arc<Snapshot>) -> Unfiltered {
        let now = snapshot.cursor();
        let known = cursor.filter(|cursor| {
            (cursor.store, cursor.view) == (now.store, now.view)
                && (self.complete_after..=now.generation).contains(&cursor.generation)
        });
        let gone = known.map(|cursor| {
            let since = cursor.generation;
            let first = self.entries.partition_point(|removal| removal.removed <= since);
            let seen = self.entries.range(first..).filter(|removal| removal.added <= since).cloned().collect();
            (since, seen)
        });
        Unfiltered { snapshot, gone }
    }

    /// The memory that it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        let texts: usize = self.entries.iter().map(|removal| removal.identity.len() + 16).sum();
        self.entries.capacity() * size_of::<Removal>() + texts
    }
}

/// What was taken from the log while it was locked.
pub(super) struct Unfiltered {
    snapshot: Arc<Snapshot>,
    /// Since when, and what left since; none where only the whole helps.
    gone: Option<(u64, Vec<Removal>)>,
}

impl Unfiltered {
    pub(super) fn into_changes(self) -> Changes {
        match self.gone {
            Some((since, gone)) => Changes::Delta(Delta::new(self.snapshot, since, gone)),
            None => Changes::Resync(self.snapshot),
        }
    }
}
