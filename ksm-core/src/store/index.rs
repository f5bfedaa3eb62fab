//! Which slot an object is in.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::ObjectKey;
use super::chunk::{CAPACITY, Chunk};

/// Chunk and place within it of a slot.
pub(super) fn place(slot: u32) -> (usize, usize) {
    (slot as usize / CAPACITY, slot as usize % CAPACITY)
}

/// Keys to slots. The keys themselves stand in the chunks, where readers need them: an entry takes 5 bytes.
#[derive(Debug, Default)]
pub(super) struct SlotIndex {
    slots: HashTable<u32>,
}

fn hash(key: Option<ObjectKey>) -> u64 {
    FixedState::default().hash_one(key)
}

fn key_in(chunks: &[Arc<Chunk>], slot: u32) -> Option<ObjectKey> {
    let (chunk, at) = place(slot);
    chunks.get(chunk).and_then(|chunk| chunk.key(at))
}

impl SlotIndex {
    pub(super) fn get(&self, chunks: &[Arc<Chunk>], key: ObjectKey) -> Option<u32> {
        self.slots.find(hash(Some(key)), |slot| key_in(chunks, *slot) == Some(key)).copied()
    }

    /// Adds a slot whose chunk has the key already, and whose key is not in the index yet.
    pub(super) fn insert(&mut self, chunks: &[Arc<Chunk>], slot: u32) {
        self.slots.insert_unique(hash(key_in(chunks, slot)), slot, |slot| hash(key_in(chunks, *slot)));
    }

    pub(super) fn remove(&mut self, chunks: &[Arc<Chunk>], key: ObjectKey) -> Option<u32> {
        let entry = self.slots.find_entry(hash(Some(key)), |slot| key_in(chunks, *slot) == Some(key)).ok()?;
        Some(entry.remove().0)
    }

    /// Follows an object from one slot to another.
    pub(super) fn moved(&mut self, key: ObjectKey, from: u32, to: u32) {
        if let Some(slot) = self.slots.find_mut(hash(Some(key)), |slot| *slot == from) {
            *slot = to;
        }
    }

    /// All slots, in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn shrink(&mut self, chunks: &[Arc<Chunk>]) {
        self.slots.shrink_to_fit(|slot| hash(key_in(chunks, *slot)));
    }

    /// The memory that it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.slots.allocation_size()
    }
}
