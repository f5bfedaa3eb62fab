//! The writer's side of a store: what changes before it is published.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::changes::Removal;
use super::chunk::{CAPACITY, Chunk, Moment, Row, UNIQUE, push_own};
use super::encode::Encoder;
use super::index::{SlotIndex, place};
use super::labels::{find_names, labels_of, mark_lines, write_extra};
use super::memory::StoreStats;
use super::retained::{Retained, Retention};
use super::tails::{ABSENT, TailTable};
use super::{Applied, ObjectKey, Removed, StoredObject};
use crate::family::FamilySet;
use crate::samples::{Label, Reuse, SampleSink};

/// What the writer alone knows of a slot.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    version: u64,
    /// The generation that showed the object first.
    added: u64,
    epoch: u32,
    samples: u32,
}

#[derive(Debug)]
pub(super) struct Writer {
    width: usize,
    pub(super) visible: Arc<FamilySet>,
    /// Counts the changes of `visible`.
    pub(super) view: u64,
    index: SlotIndex,
    slots: Vec<Slot>,
    free: Vec<u32>,
    pub(super) chunks: Vec<Arc<Chunk>>,
    pub(super) tails: TailTable,
    encoder: Encoder,
    ids: Vec<u32>,
    old_ids: Vec<u32>,
    own: Vec<u8>,
    extra: Vec<u8>,
    /// Where the names of the labels stand in `extra`.
    extra_names: Vec<Range<usize>>,
    run: Vec<u8>,
    pub(super) retained: Retained,
    /// Objects that left since the last publication, where somebody wants to know.
    pub(super) removed: Vec<Removal>,
    logging: bool,
    epoch: u32,
    pub(super) relisting: bool,
    /// Something changed since the last publication.
    pub(super) dirty: bool,
    stamp: u64,
    /// The last publication.
    pub(super) generation: u64,
    pub(super) samples: u64,
    oversize: u64,
}

fn version_hash(version: Option<&str>) -> u64 {
    // 0 is "unknown": equal to nothing.
    version.filter(|text| !text.is_empty()).map_or(0, |text| FixedState::default().hash_one(text).max(1))
}

impl Writer {
    pub(super) fn new(width: usize, visible: Arc<FamilySet>, retention: Retention) -> Self {
        Self {
            width,
            visible,
            view: 0,
            index: SlotIndex::default(),
            slots: Vec::new(),
            free: Vec::new(),
            chunks: Vec::new(),
            tails: TailTable::default(),
            encoder: Encoder::default(),
            ids: Vec::new(),
            old_ids: Vec::new(),
            own: Vec::new(),
            extra: Vec::new(),
            extra_names: Vec::new(),
            run: Vec::new(),
            retained: Retained::new(retention),
            removed: Vec::new(),
            logging: false,
            epoch: 0,
            relisting: false,
            dirty: false,
            stamp: 0,
            generation: 0,
            samples: 0,
            oversize: 0,
        }
    }

    /// Notes what leaves from now on; false where it did already.
    pub(super) fn start_log(&mut self) -> bool {
        !std::mem::replace(&mut self.logging, true)
    }

    /// Objects, kept ones included.
    pub(super) fn objects(&self) -> usize {
        self.index.len() + self.retained.len()
    }

    pub(super) fn contains(&self, key: ObjectKey) -> bool {
        self.index.get(&self.chunks, key).is_some()
    }

    fn now(&mut self) -> Moment {
        self.stamp += 1;
        Moment { stamp: self.stamp, generation: self.generation + 1 }
    }

    pub(super) fn apply(&mut self, object: &StoredObject<'_>, walk: &mut dyn FnMut(&mut dyn SampleSink)) -> Applied {
        let version = version_hash(object.version);
        let known = self.index.get(&self.chunks, object.key);
        if let Some(meta) = known.and_then(|slot| self.slots.get_mut(slot as usize)) {
            meta.epoch = self.epoch;
            if version != 0 && meta.version == version {
                return Applied::Unchanged;
            }
        }
        self.encoder.reset(self.width);
        walk(&mut self.encoder);
        self.extra.clear();
        self.extra.extend_from_slice(self.encoder.extra());
        self.intern_samples();
        let slot = match known {
            Some(slot) => slot,
            None => {
                while let Some(kept) = self.retained.succeeded_by(object.key, self.encoder.prefix()) {
                    self.free_slot(kept);
                }
                self.take_slot()
            }
        };
        self.store_row(slot, object.key);
        if known.is_none() {
            self.index.insert(&self.chunks, slot);
        }
        let samples = u32::try_from(self.encoder.len()).unwrap_or(u32::MAX);
        let next = self.generation + 1;
        if let Some(meta) = self.slots.get_mut(slot as usize) {
            self.samples = self.samples - u64::from(meta.samples) + u64::from(samples);
            let added = if known.is_some() { meta.added } else { next };
            *meta = Slot { version, added, epoch: self.epoch, samples };
        }
        self.oversize += self.encoder.oversize;
        if known.is_some() { Applied::Updated } else { Applied::Added }
    }

    /// The encoder's runs as ids, one per family.
    fn intern_samples(&mut self) {
        self.ids.clear();
        self.ids.resize(self.width, ABSENT);
        self.own.clear();
        find_names(&self.extra, &mut self.extra_names);
        let (ids, own, tails, run_with_marks) = (&mut self.ids, &mut self.own, &mut self.tails, &mut self.run);
        let (extra, extra_names) = (&self.extra, &self.extra_names);
        self.encoder.for_each_run(|family, run, reuse| {
            let run = if extra.is_empty() {
                run
            } else {
                run_with_marks.clear();
                mark_lines(run_with_marks, run, extra, extra_names);
                run_with_marks.as_slice()
            };
            let id = match reuse {
                Reuse::Unique => push_own(own, run),
                Reuse::Shared => Some(tails.intern(run)),
            };
            if let (Some(slot), Some(id)) = (ids.get_mut(family), id) {
                *slot = id;
            }
        });
    }

    /// Puts the encoder's object into a slot, and lets its former tails go. What did not change is not touched: readers
    /// share its chunk.
    fn store_row(&mut self, slot: u32, key: ObjectKey) {
        let now = self.now();
        let (chunk, at) = place(slot);
        let Some(shared) = self.chunks.get_mut(chunk) else { return };
        self.old_ids.clear();
        self.old_ids.extend((0..self.width).map(|family| shared.id(family, at)));
        let row = Row { identity: self.encoder.prefix(), extra: &self.extra, ids: &self.ids, own: &self.own };
        if !shared.holds(at, &row) {
            self.dirty = true;
            if shared.identity(at) != row.identity || shared.key(at).is_none() {
                if shared.key(at).is_some() {
                    self.retained.gone(shared.identity(at));
                }
                self.retained.added(row.identity);
            }
            Arc::make_mut(shared).set(at, key, &row, now);
        }
        self.release_old();
    }

    fn release_old(&mut self) {
        for id in self.old_ids.drain(..).filter(|id| *id != ABSENT && id & UNIQUE == 0) {
            self.tails.release(id);
        }
    }

    fn take_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            let slot = u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX);
            if place(slot).0 >= self.chunks.len() {
                self.chunks.push(Arc::new(Chunk::new(self.width)));
            }
            slot
        })
    }

    pub(super) fn delete(&mut self, key: ObjectKey) -> bool {
        let Some(slot) = self.index.remove(&self.chunks, key) else { return false };
        self.dirty = true;
        let (chunk, at) = place(slot);
        let identity = self.chunks.get(chunk).map(|chunk| chunk.identity(at)).unwrap_or_default();
        self.retained.gone(identity);
        if !self.retained.keep(slot, key, identity, self.generation + 1) {
            self.free_slot(slot);
        }
        while let Some(oldest) = self.retained.pop_excess() {
            self.free_slot(oldest);
        }
        true
    }

    fn free_slot(&mut self, slot: u32) {
        let now = self.now();
        self.dirty = true;
        let (chunk, at) = place(slot);
        let meta = self.slots.get_mut(slot as usize).map(std::mem::take).unwrap_or_default();
        self.samples -= u64::from(meta.samples);
        if let Some(shared) = self.chunks.get_mut(chunk) {
            // Nobody saw what came and went between two publications.
            if let Some(key) = shared.key(at).filter(|_| self.logging && meta.added <= self.generation) {
                let identity = shared.identity(at).into();
                self.removed.push(Removal { key, identity, added: meta.added, removed: now.generation });
            }
            self.old_ids.clear();
            self.old_ids.extend((0..self.width).map(|family| shared.id(family, at)));
            Arc::make_mut(shared).clear(at, now.stamp);
            self.release_old();
        }
        self.free.push(slot);
    }

    /// Lets kept objects go that a reader has seen; whether there were any.
    pub(super) fn release_read(&mut self, read: u64) -> bool {
        let before = self.retained.len();
        while let Some(slot) = self.retained.pop_read(read) {
            self.free_slot(slot);
        }
        self.retained.len() < before
    }

    pub(super) fn set_extra_labels(&mut self, key: ObjectKey, labels: &[Label<'_>]) -> bool {
        let Some(slot) = self.index.get(&self.chunks, key) else { return false };
        let now = self.now();
        let (chunk, at) = place(slot);
        let Some(shared) = self.chunks.get_mut(chunk) else { return false };
        let identity = shared.identity(at).to_vec();
        self.extra.clear();
        write_extra(&mut self.extra, labels, &identity);
        if self.extra == shared.extra(at) {
            return true;
        }
        find_names(&self.extra, &mut self.extra_names);
        self.dirty = true;
        let chunk = Arc::make_mut(shared);
        self.ids.clear();
        self.own.clear();
        self.old_ids.clear();
        for family in 0..self.width {
            let old = chunk.id(family, at);
            self.old_ids.push(old);
            if old == ABSENT {
                self.ids.push(ABSENT);
                continue;
            }
            self.run.clear();
            mark_lines(&mut self.run, chunk.run(old, at, &self.tails.pages), &self.extra, &self.extra_names);
            let id =
                if old & UNIQUE == 0 { Some(self.tails.intern(&self.run)) } else { push_own(&mut self.own, &self.run) };
            self.ids.push(id.unwrap_or(ABSENT));
        }
        let row = Row { identity: &identity, extra: &self.extra, ids: &self.ids, own: &self.own };
        chunk.set(at, key, &row, now);
        self.release_old();
        true
    }

    pub(super) fn begin_relist(&mut self) {
        self.relisting = true;
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Takes out what the list did not name.
    pub(super) fn finish_relist(&mut self) -> Vec<Removed> {
        self.relisting = false;
        let unlisted = |slot: &u32| self.slots.get(*slot as usize).is_some_and(|meta| meta.epoch != self.epoch);
        let gone: Vec<u32> = self.index.iter().filter(unlisted).collect();
        let mut removed = Vec::with_capacity(gone.len());
        for slot in gone {
            let (chunk, at) = place(slot);
            let Some(chunk) = self.chunks.get(chunk) else { continue };
            let Some(key) = chunk.key(at) else { continue };
            removed.push(Removed { key, identity: labels_of(chunk.identity(at)) });
            self.delete(key);
        }
        self.compact();
        removed
    }

    /// Moves objects together where the store has become mostly holes, and gives the rest back.
    fn compact(&mut self) {
        if self.free.len() <= 8 * CAPACITY || self.free.len() <= self.slots.len() / 4 * 3 || self.retained.len() > 0 {
            return;
        }
        self.dirty = true;
        let live = self.slots.len() - self.free.len();
        let mut holes: Vec<u32> = self.free.iter().copied().filter(|slot| (*slot as usize) < live).collect();
        let movers: Vec<u32> = self.index.iter().filter(|slot| *slot as usize >= live).collect();
        for from in movers {
            let Some(to) = holes.pop() else { break };
            let stamp = self.now().stamp;
            let (from_chunk, from_at) = place(from);
            let (to_chunk, to_at) = place(to);
            let Some(source) = self.chunks.get(from_chunk).cloned() else { continue };
            let Some(key) = source.key(from_at) else { continue };
            if let Some(chunk) = self.chunks.get_mut(to_chunk).map(Arc::make_mut) {
                // To readers of changes, it is what it was.
                chunk.set(
                    to_at,
                    key,
                    &source.row(from_at).borrow(),
                    Moment { stamp, generation: source.changed(from_at) },
                );
            }
            let meta = self.slots.get(from as usize).copied();
            if let (Some(meta), Some(slot)) = (meta, self.slots.get_mut(to as usize)) {
                *slot = meta;
            }
            self.index.moved(key, from, to);
        }
        self.free = Vec::new();
        self.slots.truncate(live);
        self.slots.shrink_to_fit();
        self.chunks.truncate(live.div_ceil(CAPACITY));
        self.chunks.shrink_to_fit();
        // The last chunk may hold moved objects' old places.
        let vacant = if live.is_multiple_of(CAPACITY) { 0..0 } else { live % CAPACITY..CAPACITY };
        for at in vacant {
            let stamp = self.now().stamp;
            if let Some(chunk) = self.chunks.last_mut().map(Arc::make_mut) {
                chunk.clear(at, stamp);
            }
        }
        self.index.shrink(&self.chunks);
        self.retained.shrink();
    }

    /// Size and content, but for the chunks' memory.
    pub(super) fn stats(&self) -> StoreStats {
        StoreStats {
            objects: self.index.len(),
            samples: self.samples,
            bytes: self.tails.memory()
                + self.slots.capacity() * size_of::<Slot>()
                + self.free.capacity() * size_of::<u32>()
                + self.index.memory()
                + self.retained.memory(),
            tails: self.tails.len(),
            oversize: self.oversize,
            retained: self.retained.len(),
            retained_dropped: self.retained.dropped,
        }
    }
}
