//! Which of a resource's objects are this shard's, in one scope.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::watch;

use super::shards::{Member, View};
use crate::decode::Head;
use crate::shard::{Assignment, HashRange, HashedField, Shard, ShardKey, ShardSelector};
use crate::store::ObjectKey;
use crate::watch::{Missing, Part};

/// Knows the objects that are here, and decides about those that come.
///
/// The store can't say which shard an object of it is on, so this can: some 50 bytes per object, and only while sharding
/// is on.
#[derive(Debug)]
pub(super) struct Ownership {
    member: Member,
    view: View,
    cluster_scoped: bool,
    held: HashMap<ObjectKey, Held, FixedState>,
    /// The number of the running list, or of the last.
    list: u32,
    /// The shards that the running list is of.
    listing: Option<Vec<Shard>>,
    /// Shards all of whose objects are here.
    complete: Vec<Shard>,
    /// While what is missing is listed: objects that have left since, and that the list may still show.
    gone: Option<HashSet<ObjectKey, FixedState>>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    hash: u64,
    list: u32,
}

/// What an object is to this shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    Ours,
    /// It was here, and is another shard's now.
    Left,
    Foreign,
}

impl Ownership {
    pub(super) fn new(member: Member, cluster_scoped: bool) -> Self {
        Self {
            view: member.view(),
            member,
            cluster_scoped,
            held: HashMap::default(),
            list: 0,
            listing: None,
            complete: Vec::new(),
            gone: None,
        }
    }

    fn key(&self) -> &ShardKey {
        self.member.shards().key()
    }

    fn assignment(&self) -> Assignment {
        self.member.shards().assignment()
    }

    fn owns(&self, hash: u64) -> bool {
        let assignment = self.assignment();
        self.view.shards().any(|shard| assignment.owns(shard, hash))
    }

    pub(super) fn orders(&self) -> watch::Receiver<u64> {
        self.member.shards().orders()
    }

    /// Takes note of new orders; the objects that are to go.
    pub(super) fn obey(&mut self) -> Vec<ObjectKey> {
        let view = self.member.view();
        if view == self.view {
            return Vec::new();
        }
        if view.number != self.view.number {
            self.gone = None;
        }
        self.view = view;
        self.complete.retain(|shard| self.view.shards().any(|shown| shown == *shard));
        let (assignment, wanted) = (self.assignment(), self.view.wanted);
        if !self.has_acquired() && self.complete.iter().any(|shard| assignment.covers(*shard, wanted)) {
            self.complete.push(wanted);
        }
        let shards: Vec<Shard> = self.view.shards().collect();
        let owned = |hash| shards.iter().any(|shard| assignment.owns(*shard, hash));
        self.held.extract_if(|_, held| !owned(held.hash)).map(|(key, _)| key).collect()
    }

    fn has_acquired(&self) -> bool {
        self.complete.contains(&self.view.wanted)
    }

    /// Reports how far this scope is. What [`obey`](Self::obey) said must have gone.
    pub(super) fn report(&self) {
        self.member.report(&self.view, self.has_acquired());
    }

    /// What to ask the server for. Begins to remember what leaves, where something is missing.
    pub(super) fn part(&mut self) -> Part {
        let missing = !self.has_acquired();
        if missing {
            self.gone.get_or_insert_default();
        }
        let all = self.view.shards().any(Shard::is_all);
        let head = self.key().fields();
        Part {
            head: (!all).then_some(head),
            selector: self.selector(self.view.shards()).filter(|_| !all),
            missing: missing.then(|| Missing {
                number: self.view.number,
                head,
                selector: self.selector([self.view.wanted]).filter(|_| !self.view.wanted.is_all()),
            }),
        }
    }

    fn selector(&self, shards: impl IntoIterator<Item = Shard>) -> Option<String> {
        let field = match (self.assignment(), self.key()) {
            // The namespace of a cluster-scoped object is empty: such objects go by their uid.
            (Assignment::HashRange, ShardKey::Namespace) if !self.cluster_scoped => HashedField::Namespace,
            (Assignment::HashRange, ShardKey::Uid | ShardKey::Namespace) => HashedField::Uid,
            _ => return None,
        };
        let ranges: Vec<HashRange> = shards.into_iter().map(HashRange::of).collect();
        Some(ShardSelector(field, &ranges).to_string())
    }

    /// Whether an object must be decoded: it is ours, or was.
    pub(super) fn admits(&mut self, head: &Head<'_>) -> bool {
        if self.owns(self.key().hash_head(head)) {
            return true;
        }
        if head.uid.is_none() && head.name.is_none() {
            // It can't be told apart, which is for the decoder to say.
            return true;
        }
        // By an immutable key it never was.
        if !self.key().is_mutable() {
            return false;
        }
        let Some(key) = key_of(head) else { return true };
        let was = self.held.contains_key(&key);
        if let Some(gone) = self.gone.as_mut().filter(|_| !was) {
            gone.insert(key);
        }
        was
    }

    /// What an object is to us that was listed, added or modified.
    pub(super) fn claim(&mut self, key: ObjectKey, meta: &ObjectMeta) -> Claim {
        let hash = self.key().hash(meta);
        if self.owns(hash) {
            self.held.insert(key, Held { hash, list: self.list });
            return Claim::Ours;
        }
        if self.forget(key) { Claim::Left } else { Claim::Foreign }
    }

    /// An object is here no more; whether it was.
    pub(super) fn forget(&mut self, key: ObjectKey) -> bool {
        if let Some(gone) = &mut self.gone {
            gone.insert(key);
        }
        self.held.remove(&key).is_some()
    }

    /// An object was deleted; whether it was another shard's.
    pub(super) fn deleted(&mut self, key: ObjectKey, meta: &ObjectMeta) -> bool {
        !self.forget(key) && !self.owns(self.key().hash(meta))
    }

    pub(super) fn list_begins(&mut self) {
        self.gone = None;
        self.list = self.list.wrapping_add(1);
        self.listing = Some(self.view.shards().collect());
    }

    pub(super) fn list_ends(&mut self) {
        let list = self.list;
        self.held.retain(|_, held| held.list == list);
        let listed = self.listing.take().unwrap_or_default();
        self.complete = listed.into_iter().filter(|shard| self.view.shards().any(|shown| shown == *shard)).collect();
        self.report();
    }

    /// Whether an object of the list of what is missing is to be taken.
    pub(super) fn misses(&self, head: &Head<'_>) -> bool {
        key_of(head).is_none_or(|key| self.misses_key(key, self.key().hash_head(head)))
    }

    /// The same of the decoded object.
    pub(super) fn misses_object(&self, key: ObjectKey, meta: &ObjectMeta) -> bool {
        self.misses_key(key, self.key().hash(meta))
    }

    fn misses_key(&self, key: ObjectKey, hash: u64) -> bool {
        self.assignment().owns(self.view.wanted, hash)
            && !self.held.contains_key(&key)
            && !self.gone.as_ref().is_some_and(|gone| gone.contains(&key))
    }

    pub(super) fn found_all(&mut self, number: u64) {
        if number == self.view.number {
            self.gone = None;
            self.complete.push(self.view.wanted);
            self.report();
        }
    }
}

fn key_of(head: &Head<'_>) -> Option<ObjectKey> {
    ObjectKey::of_parts(head.uid.as_deref(), head.namespace.as_deref(), head.name.as_deref())
}
