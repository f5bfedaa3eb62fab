//! Label joins at work: objects of one store change what those of others show.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::error::BuildError;
use super::plan::{Enabled, Plan};
use crate::family::Family;
use crate::joins::{Captured, InnerSink, JoinIndex, LabelJoins, Member, OwnedLabels, Role};
use crate::samples::SampleSink;
use crate::store::{MemoryStore, ObjectKey, Store};

/// The joins of all resources, and the stores whose objects get labels.
#[derive(Debug)]
pub(super) struct Joins {
    index: JoinIndex,
    stores: Mutex<HashMap<u32, Weak<MemoryStore>>>,
    next: AtomicU32,
}

impl Joins {
    pub(super) fn new(joins: &LabelJoins) -> Result<Self, BuildError> {
        for (family, join) in joins {
            if let Some(fault) = join.fault() {
                return Err(BuildError::BadJoin { family: family.clone(), fault });
            }
        }
        Ok(Self { index: JoinIndex::new(joins), stores: Mutex::default(), next: AtomicU32::new(0) })
    }

    /// Refuses a join whose family none of the resources has.
    pub(super) fn check(&self, is_known: impl Fn(&str) -> bool) -> Result<(), BuildError> {
        match self.index.rules().iter().find(|rule| !is_known(&rule.family)) {
            Some(rule) => Err(BuildError::UnknownJoinFamily { family: rule.family.clone() }),
            None => Ok(()),
        }
    }

    /// The part of one store. Labels of a host's own store are joined when an object changes, and not when those that
    /// give them do.
    pub(super) fn member(self: &Arc<Self>, families: &[Family], store: Option<&Arc<MemoryStore>>) -> Joiner {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(store) = store {
            self.stores.lock().insert(number, Arc::downgrade(store));
        }
        let role = Role::new(self.index.rules(), families);
        let walked = Enabled { families: role.walked.clone(), ..Enabled::default() };
        Joiner { joins: self.clone(), role, walked, number }
    }

    fn store(&self, number: u32) -> Option<Arc<MemoryStore>> {
        self.stores.lock().get(&number).and_then(Weak::upgrade)
    }

    /// Gives objects the labels that they are due now; their stores are yet to be published.
    fn refresh(&self, members: impl IntoIterator<Item = Member>, dirty: &mut BTreeSet<u32>) {
        for member in members {
            let Some(store) = self.store(member.store) else { continue };
            // Read under the store's lock: whoever writes last has read last.
            if store.refresh_extra_labels(member.key, || self.index.labels(member)) {
                dirty.insert(member.store);
            }
        }
    }

    fn publish(&self, dirty: &mut BTreeSet<u32>) {
        for number in std::mem::take(dirty) {
            if let Some(store) = self.store(number) {
                store.publish();
            }
        }
    }
}

/// What a feed keeps from object to object.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    captured: Captured,
    affected: Vec<Member>,
    /// Other stores that were changed and not published yet.
    dirty: BTreeSet<u32>,
}

/// One store's part in the joins; its objects are forgotten with it.
#[derive(Debug)]
pub(super) struct Joiner {
    joins: Arc<Joins>,
    role: Role,
    walked: Enabled,
    number: u32,
}

impl Drop for Joiner {
    fn drop(&mut self) {
        self.joins.stores.lock().remove(&self.number);
        let mut dirty = BTreeSet::new();
        self.joins.refresh(self.joins.index.remove_store(self.number), &mut dirty);
        self.joins.publish(&mut dirty);
    }
}

impl Joiner {
    pub(super) fn needs_annotations(&self) -> bool {
        self.role.needs_annotations()
    }

    fn member(&self, key: ObjectKey) -> Member {
        Member { store: self.number, key }
    }

    /// Walks an object with what it gets from others. Runs under its store's lock, so others whose labels change by it
    /// are only noted down.
    pub(super) fn walk<K: kube::Resource>(
        &self,
        (key, object): (ObjectKey, &K),
        (plan, enabled): (&Plan<K>, &Enabled),
        extra: OwnedLabels,
        scratch: &mut Scratch,
        sink: &mut dyn SampleSink,
    ) {
        let rules = self.joins.index.rules();
        plan.walk(object, &self.walked, &mut scratch.captured.sink(&self.role));
        let mut resolved = scratch.captured.resolve(rules, &self.role, object.meta());
        let inner = std::mem::take(&mut resolved.inner);
        let joined = self.joins.index.update(self.member(key), extra, resolved);
        scratch.affected.extend(joined.affected);
        if inner.is_empty() {
            plan.walk(object, enabled, sink);
        } else {
            let captured = &scratch.captured;
            plan.walk(object, enabled, &mut InnerSink { rules, inner: &inner, captured, sink });
        }
        if !joined.labels.is_empty() {
            let labels: Vec<_> = joined.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            sink.extra_labels(&labels);
        }
    }

    /// After an object was put in or is gone: gives others what they are due.
    pub(super) fn settle(&self, scratch: &mut Scratch) {
        self.joins.refresh(scratch.affected.drain(..), &mut scratch.dirty);
    }

    /// An object is gone.
    pub(super) fn remove(&self, key: ObjectKey, scratch: &mut Scratch) {
        scratch.affected.extend(self.joins.index.remove(self.member(key)));
        self.settle(scratch);
    }

    /// Makes visible what changed in other stores.
    pub(super) fn publish(&self, scratch: &mut Scratch) {
        self.joins.publish(&mut scratch.dirty);
    }

    /// Sets the labels of an object apart from the joins.
    pub(super) fn set_extra_labels(&self, store: &MemoryStore, key: ObjectKey, labels: OwnedLabels) -> bool {
        let member = self.member(key);
        store.refresh_extra_labels(key, || {
            self.joins.index.set_base(member, labels);
            self.joins.index.labels(member)
        })
    }
}
