//! Deleted objects whose samples stay until somebody has read them.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::ObjectKey;

/// What happens to the samples of deleted objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Retention {
    /// They go at once, as in kube-state-metrics.
    #[default]
    None,
    /// They stay until they have been read once by [`MemoryStore::read`](super::MemoryStore::read), so that no end of
    /// a pod is missed between two scrapes, whether it was told by an event or found missing in a list. At most `limit`
    /// deleted objects stay; beyond it the oldest go, and are counted.
    ///
    /// Objects are told apart by uid: a kept object and a new one of the same name are both shown. Only where a new
    /// object has the very same identity labels (kinds without a `uid` label) does the kept one go at once, for its
    /// series are the new one's from then on.
    UntilRead {
        /// The most deleted objects to keep.
        limit: usize,
    },
}

/// The deleted objects that are kept, oldest first.
#[derive(Debug)]
pub(super) struct Retained {
    limit: usize,
    kept: VecDeque<Kept>,
    /// How many live objects have an identity, by its hash; counted only where objects are kept.
    live: HashMap<u64, u32, FixedState>,
    /// How many were let go unread.
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Kept {
    slot: u32,
    key: ObjectKey,
    identity: u64,
    /// The generation that shows its end first.
    shown: u64,
}

fn hash(identity: &[u8]) -> u64 {
    FixedState::default().hash_one(identity)
}

impl Retained {
    pub(super) fn new(retention: Retention) -> Self {
        let limit = match retention {
            Retention::None => 0,
            Retention::UntilRead { limit } => limit,
        };
        Self { limit, kept: VecDeque::new(), live: HashMap::default(), dropped: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// An object came: takes out a kept one that it stands for, if there is one left.
    pub(super) fn succeeded_by(&mut self, key: ObjectKey, identity: &[u8]) -> Option<u32> {
        if self.kept.is_empty() {
            return None;
        }
        let identity = hash(identity);
        let at = self.kept.iter().position(|kept| kept.key == key || kept.identity == identity)?;
        self.kept.remove(at).map(|kept| kept.slot)
    }

    /// An object is in the store by that identity from now on.
    pub(super) fn added(&mut self, identity: &[u8]) {
        if self.limit > 0 {
            *self.live.entry(hash(identity)).or_default() += 1;
        }
    }

    /// An object is not in the store by that identity any more.
    pub(super) fn gone(&mut self, identity: &[u8]) {
        if self.live.is_empty() {
            return;
        }
        let identity = hash(identity);
        if let Some(count) = self.live.get_mut(&identity) {
            *count -= 1;
            if *count == 0 {
                self.live.remove(&identity);
            }
        }
    }

    /// Keeps an object that is [`gone`](Self::gone), unless another one stands for it; whether it is kept.
    pub(super) fn keep(&mut self, slot: u32, key: ObjectKey, identity: &[u8], shown: u64) -> bool {
        let identity = hash(identity);
        if self.limit == 0 || self.live.contains_key(&identity) {
            return false;
        }
        self.kept.push_back(Kept { slot, key, identity, shown });
        true
    }

    /// Takes the oldest out where there are too many.
    pub(super) fn pop_excess(&mut self) -> Option<u32> {
        if self.kept.len() <= self.limit {
            return None;
        }
        self.dropped += 1;
        self.kept.pop_front().map(|kept| kept.slot)
    }

    /// Takes the oldest out where a reader of generation `read` has seen its end.
    pub(super) fn pop_read(&mut self, read: u64) -> Option<u32> {
        self.kept.pop_front_if(|kept| kept.shown <= read).map(|kept| kept.slot)
    }

    pub(super) fn shrink(&mut self) {
        self.kept.shrink_to_fit();
        self.live.shrink_to_fit();
    }

    /// The memory that it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.kept.capacity() * size_of::<Kept>() + self.live.capacity() * (size_of::<(u64, u32)>() + 1)
    }
}
