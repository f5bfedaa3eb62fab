//! The store in memory.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::changes::{Changes, RemovalLog, StoreCursor};
use super::retained::Retention;
use super::snapshot::Snapshot;
use super::writer::Writer;
use super::{Applied, ObjectKey, Removed, Store, StoredObject};
use crate::family::{Family, FamilySet};
use crate::samples::{Label, SampleSink};

/// Removals that are remembered for [`MemoryStore::changes_since`], unless [`MemoryStore::remember_removals`] says
/// otherwise: more than a large rollout makes between two readings.
const REMOVALS: usize = 8192;

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
    /// Kept objects; read without the writer's lock.
    retained: AtomicUsize,
    /// The newest generation that was read.
    read: AtomicU64,
    /// Removals that are remembered.
    removals: usize,
    /// What left the published states; none before somebody asked for changes. Locked after `writer` where both are.
    log: Mutex<Option<RemovalLog>>,
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
            writer: Mutex::new(Writer::new(families.len(), visible, retention)),
            published: RwLock::new(Arc::new(empty)),
            families,
            retained: AtomicUsize::new(0),
            read: AtomicU64::new(0),
            removals: REMOVALS,
            log: Mutex::new(None),
        }
    }

    /// How many removed objects are remembered for [`changes_since`](Self::changes_since), 8,192 by default. They cost
    /// some 200 bytes each, and nothing before the first call of it. A reader that missed more is told to resynchronise.
    pub fn remember_removals(mut self, limit: usize) -> Self {
        self.removals = limit;
        self
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
    /// from the next (during a relist, from the one that it leads to).
    pub fn read(&self) -> Arc<Snapshot> {
        self.let_go_of_read();
        let snapshot = self.snapshot();
        self.read.fetch_max(snapshot.generation, Ordering::AcqRel);
        snapshot
    }

    /// What a reader that was at `cursor` has to do to have the last published state: the objects that changed and that
    /// are gone, or, where that can't be told (and for `None`), the whole. [`Changes::cursor`] is for the next call.
    ///
    /// Counts as the reading that [`Retention::UntilRead`] waits for; a kept object counts as there until it leaves.
    /// Costs a look at each 128 objects, and at those that changed.
    ///
    /// ```
    /// use ksm_core::{Changes, Family, FamilyIndex, MemoryStore, ObjectKey, Reuse, Store, StoredObject};
    ///
    /// let store = MemoryStore::new(&[Family::gauge("thing_size", "How big it is.")]);
    /// let put = |uid: &str, size: f64| {
    ///     let object = StoredObject { key: ObjectKey::from_uid(uid), version: None };
    ///     store.apply(&object, &mut |sink| {
    ///         sink.identity(&[("thing", uid)]);
    ///         sink.sample(FamilyIndex(0), &[], size, Reuse::Shared);
    ///     });
    /// };
    /// put("a", 1.0);
    /// put("b", 1.0);
    /// store.publish();
    /// let first = store.changes_since(None);
    /// assert!(matches!(&first, Changes::Resync(all) if all.objects() == 2));
    ///
    /// put("b", 2.0);
    /// store.delete(ObjectKey::from_uid("a"));
    /// store.publish();
    /// let Changes::Delta(delta) = store.changes_since(Some(first.cursor())) else { unreachable!() };
    /// assert_eq!(delta.removed()[0].identity, [("thing".to_owned(), "a".to_owned())]);
    /// assert_eq!(delta.updated().map(|object| object.to_text()).collect::<String>(), "thing_size{thing=\"b\"} 2\n");
    /// ```
    pub fn changes_since(&self, cursor: Option<StoreCursor>) -> Changes {
        self.log_removals();
        self.let_go_of_read();
        let changes = {
            // Publishing waits for the log: snapshot and removals belong together.
            let log = self.log.lock();
            let snapshot = self.snapshot();
            self.read.fetch_max(snapshot.generation, Ordering::AcqRel);
            match &*log {
                Some(log) => log.changes(cursor, snapshot),
                None => return Changes::Resync(snapshot),
            }
        };
        changes.into_changes()
    }

    /// Shows only these families from now on; what is hidden keeps its samples. Published at once.
    pub fn set_visible(&self, visible: FamilySet) {
        let mut writer = self.writer.lock();
        if *writer.visible == visible {
            return;
        }
        writer.visible = Arc::new(visible);
        writer.view += 1;
        if !writer.relisting {
            return self.publish_from(&mut writer);
        }
        // The unfinished list stays unseen: only the old state changes its look.
        let mut published = self.published.write();
        let mut old = Snapshot::clone(&published);
        old.visible = writer.visible.clone();
        old.view = writer.view;
        *published = Arc::new(old);
    }

    /// Replaces the extra labels of an object without walking it again; whether the object is there. Visible from the
    /// next [`publish`](Store::publish) on.
    pub fn set_extra_labels(&self, key: ObjectKey, labels: &[Label<'_>]) -> bool {
        self.writer.lock().set_extra_labels(key, labels)
    }

    /// The same with labels that are made only where the object is there, and while nobody else can change it.
    pub(crate) fn refresh_extra_labels(&self, key: ObjectKey, labels: impl FnOnce() -> Vec<(String, String)>) -> bool {
        let mut writer = self.writer.lock();
        if !writer.contains(key) {
            return false;
        }
        let labels = labels();
        let labels: Vec<Label<'_>> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        writer.set_extra_labels(key, &labels)
    }

    /// Size and content, as of the last change.
    pub fn stats(&self) -> StoreStats {
        // Without the writer's lock: a look at each chunk takes a while in a large store.
        let chunks = self.snapshot().memory();
        let log = self.log.lock().as_ref().map_or(0, RemovalLog::memory);
        let mut stats = self.writer.lock().stats();
        stats.bytes += chunks + log;
        stats
    }

    /// Publishes without the deleted objects that have been read.
    fn let_go_of_read(&self) {
        if self.retained.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut writer = self.writer.lock();
        // A state in the middle of a list is none to show.
        if !writer.relisting && writer.release_read(self.read.load(Ordering::Acquire)) {
            self.publish_from(&mut writer);
        }
    }

    /// Remembers from now on what is removed.
    fn log_removals(&self) {
        if self.log.lock().is_some() {
            return;
        }
        let mut writer = self.writer.lock();
        if writer.start_log() {
            let log = RemovalLog::new(self.removals, writer.generation + u64::from(writer.dirty));
            *self.log.lock() = Some(log);
        }
    }

    /// Publishes what changed, if anything did, and no list is being read.
    fn publish_changes(&self, writer: &mut Writer) {
        if writer.relisting {
            return;
        }
        writer.release_read(self.read.load(Ordering::Acquire));
        if writer.dirty {
            self.publish_from(writer);
        }
    }

    fn publish_from(&self, writer: &mut Writer) {
        writer.generation += 1;
        let snapshot = Arc::new(Snapshot {
            store: self.id,
            families: self.families.clone(),
            visible: writer.visible.clone(),
            chunks: writer.chunks.clone(),
            tails: writer.tails.pages.clone(),
            objects: writer.objects(),
            samples: writer.samples,
            generation: writer.generation,
            view: writer.view,
        });
        writer.dirty = false;
        self.retained.store(writer.retained.len(), Ordering::Release);
        let mut log = self.log.lock();
        if let Some(log) = log.as_mut() {
            log.extend(writer.removed.drain(..));
        }
        let old = std::mem::replace(&mut *self.published.write(), snapshot);
        drop(log);
        // Freed outside the readers' lock.
        drop(old);
    }
}

impl Store for MemoryStore {
    fn begin_relist(&self) {
        self.writer.lock().begin_relist();
    }

    fn apply(&self, object: &StoredObject<'_>, walk: &mut dyn FnMut(&mut dyn SampleSink)) -> Applied {
        self.writer.lock().apply(object, walk)
    }

    fn delete(&self, key: ObjectKey) -> bool {
        self.writer.lock().delete(key)
    }

    fn finish_relist(&self) -> Vec<Removed> {
        let mut writer = self.writer.lock();
        let removed = writer.finish_relist();
        self.publish_changes(&mut writer);
        removed
    }

    fn publish(&self) {
        self.publish_changes(&mut self.writer.lock());
    }
}
