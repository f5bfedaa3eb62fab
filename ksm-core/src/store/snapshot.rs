//! The store as a reader sees it: whole, and unchanging.

use std::sync::Arc;

use super::changes::StoreCursor;
use super::chunk::{CAPACITY, Chunk};
use super::labels::{Labels, parse};
use super::object::{ObjectRef, SampleRef};
use super::run::Run;
use super::tails::{ABSENT, TailPages};
use crate::family::{Family, FamilySet};

/// All samples of one resource at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Tells the snapshots of one store from those of another.
    pub(super) store: u64,
    pub(super) families: Arc<[Family]>,
    pub(super) visible: Arc<FamilySet>,
    pub(super) chunks: Vec<Arc<Chunk>>,
    pub(super) tails: TailPages,
    pub(super) objects: usize,
    pub(super) samples: u64,
    pub(super) generation: u64,
    /// Counts the changes of `visible`.
    pub(super) view: u64,
}

impl Snapshot {
    pub(super) fn empty(store: u64, families: Arc<[Family]>, visible: Arc<FamilySet>) -> Self {
        Self {
            store,
            families,
            visible,
            chunks: Vec::new(),
            tails: TailPages::default(),
            objects: 0,
            samples: 0,
            generation: 0,
            view: 0,
        }
    }

    /// The resource's families, switched off or on.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Whether the family at `index` is on.
    pub fn is_visible(&self, index: usize) -> bool {
        self.visible.contains(index)
    }

    /// How many objects there are.
    pub fn objects(&self) -> usize {
        self.objects
    }

    /// How many samples there are, those of families that were switched off since included.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Counts the publications of the store: equal generations of one store hold the same samples, of which different
    /// families may be on.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Where this snapshot stands: what a later one has changed since is told by
    /// [`MemoryStore::changes_since`](super::MemoryStore::changes_since).
    pub fn cursor(&self) -> StoreCursor {
        StoreCursor { store: self.store, generation: self.generation, view: self.view }
    }

    /// All objects, in any order; those without samples included.
    pub fn iter_objects(&self) -> impl Iterator<Item = ObjectRef<'_>> {
        self.changed_after(0)
    }

    /// How many places for objects there are; some are vacant.
    #[cfg(feature = "otlp")]
    pub(crate) fn places(&self) -> usize {
        self.chunks.len() * CAPACITY
    }

    /// The object in a place, for a reader that goes on where it left off; none where it is vacant.
    #[cfg(feature = "otlp")]
    pub(crate) fn object_at(&self, place: usize) -> Option<ObjectRef<'_>> {
        ObjectRef::new(self, self.chunks.get(place / CAPACITY)?, place % CAPACITY)
    }

    /// The objects that are new or have changed after a generation.
    pub(super) fn changed_after(&self, generation: u64) -> impl Iterator<Item = ObjectRef<'_>> {
        self.chunks.iter().flat_map(move |chunk| {
            chunk.changed_after(generation).filter_map(move |slot| ObjectRef::new(self, chunk, slot))
        })
    }

    /// The memory that its chunks take, in bytes; the writer and other snapshots share them.
    pub(super) fn memory(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.memory()).sum()
    }

    pub(crate) fn store(&self) -> u64 {
        self.store
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// When the family's samples in that chunk changed last: with the family and the chunk it names a text.
    pub(crate) fn stamp(&self, family: usize, chunk: usize) -> u64 {
        self.chunks.get(chunk).map_or(0, |chunk| chunk.stamp(family))
    }

    /// Appends the sample lines of one family in one chunk. `head` is the family's name and `{`.
    pub(crate) fn write_lines(&self, family: usize, chunk: usize, head: &[u8], out: &mut Vec<u8>) {
        self.runs(family, chunk).for_each(|run| run.write(head, out));
    }

    /// The samples of one family in one chunk, object by object.
    #[inline]
    pub(crate) fn runs(&self, family: usize, chunk: usize) -> impl Iterator<Item = Run<'_>> {
        let chunk = self.chunks.get(chunk);
        chunk.into_iter().flat_map(move |chunk| {
            let ids = chunk.column(family).iter().copied().enumerate().filter(|(_, id)| *id != ABSENT);
            ids.map(move |(slot, id)| Run::new(chunk, slot, id, &self.tails))
        })
    }

    /// The labels that the samples of a chunk's objects begin with, as text; empty where there is no object.
    pub(crate) fn prefixes(&self, chunk: usize) -> impl Iterator<Item = &[u8]> {
        let chunk = self.chunks.get(chunk);
        chunk.into_iter().flat_map(|chunk| (0..CAPACITY).map(|slot| chunk.prefix(slot)))
    }

    /// The identities of a chunk's objects, empty where there is none: as many as a chunk has places.
    pub(crate) fn identities(&self, chunk: usize) -> impl Iterator<Item = Labels<'_>> {
        let chunk = self.chunks.get(chunk);
        chunk.into_iter().flat_map(|chunk| (0..CAPACITY).map(|slot| parse(chunk.identity(slot))))
    }

    /// Visits every sample of the families that are on and that `wanted` admits, family by family.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use ksm_core::{AllowLists, Builtin, FamilySet, MemoryStore, ObjectKey, Samples, Store, StoredObject};
    ///
    /// let store = MemoryStore::new(Namespace::RESOURCE.families);
    /// let namespace: Namespace =
    ///     serde_json::from_str(r#"{"metadata":{"name":"web","uid":"1"},"status":{"phase":"Active"}}"#)?;
    /// let families = FamilySet::all(Namespace::RESOURCE.families.len());
    /// let key = ObjectKey::from_uid("1");
    /// store.apply(&StoredObject { key, version: None }, &mut |sink| {
    ///     let allow = AllowLists::default();
    ///     (Namespace::RESOURCE.collect)(&namespace, &mut Samples::new(&families, &allow, sink));
    /// });
    /// store.publish();
    ///
    /// let mut active = Vec::new();
    /// store.snapshot().visit(|family| family.name == "kube_namespace_status_phase", |sample| {
    ///     if sample.value() == 1.0 {
    ///         active.push(sample.labels().map(|(_, value)| value.into_owned()).collect::<Vec<_>>());
    ///     }
    /// });
    /// assert_eq!(active, [["web", "Active"]]);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn visit(&self, mut wanted: impl FnMut(&Family) -> bool, mut f: impl FnMut(SampleRef<'_>)) {
        for (index, family) in self.families.iter().enumerate() {
            if !self.is_visible(index) || !wanted(family) {
                continue;
            }
            for chunk in 0..self.chunk_count() {
                self.runs(index, chunk).for_each(|run| run.samples(family).for_each(&mut f));
            }
        }
    }
}
