//! The store in memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use parking_lot::{Mutex, RwLock};

use super::chunk::{CAPACITY, Chunk, Row, UNIQUE, push_own};
use super::encode::Encoder;
use super::labels::{labels_of, mark_lines, write_extra};
use super::snapshot::Snapshot;
use super::tails::{ABSENT, TailTable};
use super::{Applied, ObjectKey, Removed, Store, StoredObject};
use crate::family::{Family, FamilySet};
use crate::samples::{Label, Reuse, SampleSink};

/// What happens to the samples of deleted objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Retention {
    /// They go at once, as in kube-state-metrics.
    #[default]
    None,
    /// They stay until they have been read once by [`MemoryStore::read`], so that no end of a pod is missed between
    /// two scrapes. At most `limit` deleted objects stay; beyond it the oldest go, and are counted.
    UntilRead {
        /// The most deleted objects to keep.
        limit: usize,
    },
}

/// Size and content of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Objects.
    pub objects: usize,
    /// Samples.
    pub samples: u64,
    /// Bytes of memory, tables included; estimated from lengths and capacities.
    pub bytes: usize,
    /// Distinct interned tails.
    pub tails: usize,
    /// Samples that were dropped because their text was longer than 1 MiB.
    pub oversize: u64,
    /// Deleted objects that are kept for a reader.
    pub retained: usize,
    /// Deleted objects that were let go unread, because too many were kept.
    pub retained_dropped: u64,
}

/// The default [`Store`]: see the [module](crate::store) for its layout.
#[derive(Debug)]
pub struct MemoryStore {
    id: u64,
    families: Arc<[Family]>,
    writer: Mutex<Writer>,
    published: RwLock<Arc<Snapshot>>,
    retention: Retention,
    /// Kept objects; read without the writer's lock.
    retained: AtomicUsize,
    /// The newest generation that was read.
    read: AtomicU64,
}

impl MemoryStore {
    /// An empty store for a table of families, all of them visible.
    pub fn new(families: &[Family]) -> Self {
        Self::with_retention(families, Retention::None)
    }

    /// The same with a choice of what happens to deleted objects.
    pub fn with_retention(families: &[Family], retention: Retention) -> Self {
        let families: Arc<[Family]> = families.into();
        let visible = Arc::new(FamilySet::all(families.len()));
        let id = RandomState::default().hash_one(());
        let empty = Snapshot::empty(id, families.clone(), visible.clone());
        Self {
            id,
            writer: Mutex::new(Writer::new(families.len(), visible)),
            published: RwLock::new(Arc::new(empty)),
            families,
            retention,
            retained: AtomicUsize::new(0),
            read: AtomicU64::new(0),
        }
    }

    /// The families.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// The last published state. Costs a pointer copy.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.read().clone()
    }

    /// The last published state, for a reader that fulfils [`Retention::UntilRead`]: deleted objects in it are gone
    /// from the next.
    pub fn read(&self) -> Arc<Snapshot> {
        if self.retained.load(Ordering::Acquire) > 0 {
            let mut writer = self.writer.lock();
            if writer.release_read(self.read.load(Ordering::Acquire)) > 0 {
                self.publish_from(&mut writer);
            }
        }
        let snapshot = self.snapshot();
        self.read.fetch_max(snapshot.generation, Ordering::AcqRel);
        snapshot
    }

    /// Shows only these families from now on; what is hidden keeps its samples. Published at once.
    pub fn set_visible(&self, visible: FamilySet) {
        let mut writer = self.writer.lock();
        writer.visible = Arc::new(visible);
        if !writer.relisting {
            return self.publish_from(&mut writer);
        }
        // The unfinished list stays unseen: only the old state changes its look.
        let mut published = self.published.write();
        let mut old = Snapshot::clone(&published);
        old.visible = writer.visible.clone();
        *published = Arc::new(old);
    }

    /// Replaces the extra labels of an object without walking it again; whether the object is there. Visible from the
    /// next [`publish`](Store::publish) on.
    pub fn set_extra_labels(&self, key: ObjectKey, labels: &[Label<'_>]) -> bool {
        self.writer.lock().set_extra_labels(key, labels)
    }

    /// Size and content, as of the last change.
    pub fn stats(&self) -> StoreStats {
        self.writer.lock().stats()
    }

    fn publish_from(&self, writer: &mut Writer) {
        writer.generation += 1;
        let snapshot = Arc::new(Snapshot {
            store: self.id,
            families: self.families.clone(),
            visible: writer.visible.clone(),
            chunks: writer.chunks.clone(),
            tails: writer.tails.pages.clone(),
            objects: writer.index.len() + writer.retained.len(),
            samples: writer.samples,
            generation: writer.generation,
        });
        writer.dirty = false;
        self.retained.store(writer.retained.len(), Ordering::Release);
        let old = std::mem::replace(&mut *self.published.write(), snapshot);
        // Freed outside the readers' lock.
        drop(old);
    }
}

impl Store for MemoryStore {
    fn begin_relist(&self) {
        let mut writer = self.writer.lock();
        writer.relisting = true;
        writer.epoch = writer.epoch.wrapping_add(1);
    }

    fn apply(&self, object: &StoredObject<'_>, walk: &mut dyn FnMut(&mut dyn SampleSink)) -> Applied {
        self.writer.lock().apply(object, walk)
    }

    fn delete(&self, key: ObjectKey) -> bool {
        self.writer.lock().delete(key, self.retention)
    }

    fn finish_relist(&self) -> Vec<Removed> {
        let mut writer = self.writer.lock();
        writer.relisting = false;
        writer.dirty = true;
        let epoch = writer.epoch;
        let gone: Vec<(ObjectKey, u32)> = writer
            .index
            .iter()
            .filter(|(_, slot)| writer.slots.get(**slot as usize).is_some_and(|meta| meta.epoch != epoch))
            .map(|(key, slot)| (*key, *slot))
            .collect();
        let removed = gone
            .into_iter()
            .map(|(key, slot)| {
                let (chunk, place) = place(slot);
                let identity = writer.chunks.get(chunk).map(|chunk| labels_of(chunk.identity(place)));
                writer.delete(key, self.retention);
                Removed { key, identity: identity.unwrap_or_default() }
            })
            .collect();
        writer.compact();
        self.publish_from(&mut writer);
        removed
    }

    fn publish(&self) {
        let mut writer = self.writer.lock();
        if writer.relisting || !writer.dirty {
            return;
        }
        writer.release_read(self.read.load(Ordering::Acquire));
        self.publish_from(&mut writer);
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    version: u64,
    epoch: u32,
    samples: u32,
}

#[derive(Debug)]
struct Writer {
    width: usize,
    visible: Arc<FamilySet>,
    index: HashMap<ObjectKey, u32, FixedState>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    chunks: Vec<Arc<Chunk>>,
    tails: TailTable,
    encoder: Encoder,
    ids: Vec<u32>,
    old_ids: Vec<u32>,
    own: Vec<u8>,
    extra: Vec<u8>,
    run: Vec<u8>,
    /// Deleted objects whose samples are kept: slot, and the generation that shows their end first.
    retained: Vec<(u32, u64)>,
    retained_dropped: u64,
    epoch: u32,
    relisting: bool,
    dirty: bool,
    stamp: u64,
    generation: u64,
    samples: u64,
    oversize: u64,
}

/// Chunk and place within it of a slot.
fn place(slot: u32) -> (usize, usize) {
    (slot as usize / CAPACITY, slot as usize % CAPACITY)
}

fn version_hash(version: Option<&str>) -> u64 {
    // 0 is "unknown": equal to nothing.
    version.filter(|text| !text.is_empty()).map_or(0, |text| FixedState::default().hash_one(text).max(1))
}

impl Writer {
    fn new(width: usize, visible: Arc<FamilySet>) -> Self {
        Self {
            width,
            visible,
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            chunks: Vec::new(),
            tails: TailTable::default(),
            encoder: Encoder::default(),
            ids: Vec::new(),
            old_ids: Vec::new(),
            own: Vec::new(),
            extra: Vec::new(),
            run: Vec::new(),
            retained: Vec::new(),
            retained_dropped: 0,
            epoch: 0,
            relisting: false,
            dirty: false,
            stamp: 0,
            generation: 0,
            samples: 0,
            oversize: 0,
        }
    }

    fn apply(&mut self, object: &StoredObject<'_>, walk: &mut dyn FnMut(&mut dyn SampleSink)) -> Applied {
        let version = version_hash(object.version);
        let known = self.index.get(&object.key).copied();
        if let Some(meta) = known.and_then(|slot| self.slots.get_mut(slot as usize)) {
            meta.epoch = self.epoch;
            if version != 0 && meta.version == version {
                return Applied::Unchanged;
            }
        }
        self.encoder.reset(self.width);
        walk(&mut self.encoder);
        self.extra.clear();
        write_extra(&mut self.extra, object.extra_labels, self.encoder.prefix());
        self.intern_samples();
        let slot = known.unwrap_or_else(|| self.take_slot(object.key));
        self.store_row(slot);
        let samples = u32::try_from(self.encoder.len()).unwrap_or(u32::MAX);
        if let Some(meta) = self.slots.get_mut(slot as usize) {
            self.samples = self.samples - u64::from(meta.samples) + u64::from(samples);
            *meta = Slot { version, epoch: self.epoch, samples };
        }
        self.oversize += self.encoder.oversize;
        self.dirty = true;
        if known.is_some() { Applied::Updated } else { Applied::Added }
    }

    /// The encoder's runs as ids, one per family.
    fn intern_samples(&mut self) {
        self.ids.clear();
        self.ids.resize(self.width, ABSENT);
        self.own.clear();
        let (ids, own, tails, extra, run_with_marks) =
            (&mut self.ids, &mut self.own, &mut self.tails, &self.extra, &mut self.run);
        self.encoder.for_each_run(|family, run, reuse| {
            let run = if extra.is_empty() {
                run
            } else {
                run_with_marks.clear();
                mark_lines(run_with_marks, run, extra);
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

    /// Puts the encoder's object into a slot, and lets its former tails go.
    fn store_row(&mut self, slot: u32) {
        let (chunk, at) = place(slot);
        self.stamp += 1;
        let Some(chunk) = self.chunks.get_mut(chunk).map(Arc::make_mut) else { return };
        self.old_ids.clear();
        self.old_ids.extend((0..self.width).map(|family| chunk.id(family, at)));
        let row = Row { identity: self.encoder.prefix(), extra: &self.extra, ids: &self.ids, own: &self.own };
        chunk.set(at, &row, self.stamp);
        self.release_old();
    }

    fn release_old(&mut self) {
        for id in self.old_ids.drain(..).filter(|id| *id != ABSENT && id & UNIQUE == 0) {
            self.tails.release(id);
        }
    }

    fn take_slot(&mut self, key: ObjectKey) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { version: 0, epoch: 0, samples: 0 });
            let slot = u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX);
            if place(slot).0 >= self.chunks.len() {
                self.chunks.push(Arc::new(Chunk::new(self.width)));
            }
            slot
        });
        self.index.insert(key, slot);
        slot
    }

    fn delete(&mut self, key: ObjectKey, retention: Retention) -> bool {
        let Some(slot) = self.index.remove(&key) else { return false };
        self.dirty = true;
        match retention {
            Retention::None => self.free_slot(slot),
            Retention::UntilRead { limit } => {
                self.retained.push((slot, self.generation + 1));
                if self.retained.len() > limit {
                    let (oldest, _) = self.retained.remove(0);
                    self.free_slot(oldest);
                    self.retained_dropped += 1;
                }
            }
        }
        true
    }

    fn free_slot(&mut self, slot: u32) {
        let (chunk, at) = place(slot);
        self.stamp += 1;
        if let Some(chunk) = self.chunks.get_mut(chunk).map(Arc::make_mut) {
            self.old_ids.clear();
            self.old_ids.extend((0..self.width).map(|family| chunk.id(family, at)));
            chunk.clear(at, self.stamp);
            self.release_old();
        }
        if let Some(meta) = self.slots.get_mut(slot as usize) {
            self.samples -= u64::from(meta.samples);
            *meta = Slot { version: 0, epoch: 0, samples: 0 };
        }
        self.free.push(slot);
    }

    /// Lets kept objects go that a reader has seen; how many.
    fn release_read(&mut self, read: u64) -> usize {
        let seen: Vec<u32> =
            self.retained.extract_if(.., |(_, generation)| *generation <= read).map(|(slot, _)| slot).collect();
        for slot in &seen {
            self.free_slot(*slot);
        }
        seen.len()
    }

    fn set_extra_labels(&mut self, key: ObjectKey, labels: &[Label<'_>]) -> bool {
        let Some(slot) = self.index.get(&key).copied() else { return false };
        let (chunk, at) = place(slot);
        self.stamp += 1;
        self.dirty = true;
        let Some(chunk) = self.chunks.get_mut(chunk).map(Arc::make_mut) else { return false };
        let identity = chunk.identity(at).to_vec();
        self.extra.clear();
        write_extra(&mut self.extra, labels, &identity);
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
            mark_lines(&mut self.run, chunk.run(old, at, &self.tails.pages), &self.extra);
            let id =
                if old & UNIQUE == 0 { Some(self.tails.intern(&self.run)) } else { push_own(&mut self.own, &self.run) };
            self.ids.push(id.unwrap_or(ABSENT));
        }
        let row = Row { identity: &identity, extra: &self.extra, ids: &self.ids, own: &self.own };
        chunk.set(at, &row, self.stamp);
        self.release_old();
        true
    }

    /// Moves objects together where the store has become mostly holes, and gives the rest back.
    fn compact(&mut self) {
        if self.free.len() <= 8 * CAPACITY || self.free.len() <= self.slots.len() / 4 * 3 || !self.retained.is_empty() {
            return;
        }
        let live = self.slots.len() - self.free.len();
        let mut holes: Vec<u32> = self.free.iter().copied().filter(|slot| (*slot as usize) < live).collect();
        let movers: Vec<(ObjectKey, u32)> =
            self.index.iter().filter(|(_, slot)| **slot as usize >= live).map(|(key, slot)| (*key, *slot)).collect();
        for (key, from) in movers {
            let Some(to) = holes.pop() else { break };
            self.stamp += 1;
            let (from_chunk, from_at) = place(from);
            let (to_chunk, to_at) = place(to);
            let Some(row) = self.chunks.get(from_chunk).map(|chunk| chunk.row(from_at)) else { continue };
            if let Some(chunk) = self.chunks.get_mut(to_chunk).map(Arc::make_mut) {
                chunk.set(to_at, &row.borrow(), self.stamp);
            }
            let meta = self.slots.get(from as usize).copied();
            if let (Some(meta), Some(slot)) = (meta, self.slots.get_mut(to as usize)) {
                *slot = meta;
            }
            self.index.insert(key, to);
        }
        self.free = Vec::new();
        self.slots.truncate(live);
        self.slots.shrink_to_fit();
        self.chunks.truncate(live.div_ceil(CAPACITY));
        self.chunks.shrink_to_fit();
        // The last chunk may hold moved objects' old places.
        if let Some(chunk) = self.chunks.last_mut().map(Arc::make_mut) {
            for at in live % CAPACITY..CAPACITY {
                if !live.is_multiple_of(CAPACITY) {
                    self.stamp += 1;
                    chunk.clear(at, self.stamp);
                }
            }
        }
        self.index.shrink_to_fit();
    }

    fn stats(&self) -> StoreStats {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.memory()).sum();
        StoreStats {
            objects: self.index.len(),
            samples: self.samples,
            bytes: chunks
                + self.tails.memory()
                + self.slots.capacity() * size_of::<Slot>()
                + self.index.capacity() * (size_of::<(ObjectKey, u32)>() + 1),
            tails: self.tails.len(),
            oversize: self.oversize,
            retained: self.retained.len(),
            retained_dropped: self.retained_dropped,
        }
    }
}
