//! The store as a reader sees it: whole, and unchanging.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memchr;

use super::chunk::{CAPACITY, Chunk, UNIQUE};
use super::labels::{Labels, is_marked, marked, parse, unmarked, write_marked};
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

    /// Counts the publications of the store: equal generations of one store have equal content.
    pub fn generation(&self) -> u64 {
        self.generation
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
        for run in self.runs(family, chunk) {
            for line in run.lines() {
                run.write(head, line, out);
            }
        }
    }

    /// The samples of one family in one chunk, object by object.
    #[inline]
    pub(crate) fn runs(&self, family: usize, chunk: usize) -> impl Iterator<Item = Run<'_>> {
        let chunk = self.chunks.get(chunk);
        chunk.into_iter().flat_map(move |chunk| {
            let ids = chunk.column(family).iter().copied().enumerate().filter(|(_, id)| *id != ABSENT);
            ids.map(move |(slot, id)| Run { chunk, slot, id, text: chunk.run(id, slot, &self.tails) })
        })
    }

    /// The identities of a chunk's objects, empty where there is none: 128 at most.
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
    /// store.apply(&StoredObject { key, version: None, extra_labels: &[] }, &mut |sink| {
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
                for run in self.runs(index, chunk) {
                    run.samples(family).for_each(&mut f);
                }
            }
        }
    }
}

/// An object's samples of one family, as they are stored: the lines' ends after the labels that they share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    chunk: &'a Chunk,
    slot: usize,
    id: u32,
    text: &'a [u8],
}

impl<'a> Run<'a> {
    /// The object's place in its chunk.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// Names the lines: equal ids of one snapshot are equal lines. None where they are the object's own.
    pub(crate) fn shared_id(&self) -> Option<u32> {
        (self.id & UNIQUE == 0).then_some(self.id)
    }

    /// The labels that all lines share but for marked ones, as text: `namespace="a",pod="b"`.
    #[inline]
    pub(crate) fn prefix(&self) -> &'a [u8] {
        self.chunk.prefix(self.slot)
    }

    /// Each line's own part, with its end: `,phase="Running"} 1\n`, perhaps marked.
    #[inline]
    pub(crate) fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.text;
        std::iter::from_fn(move || {
            let end = memchr(b'\n', rest)?;
            let (line, after) = rest.split_at_checked(end + 1)?;
            rest = after;
            Some(line)
        })
    }

    /// Appends one of the lines, whole.
    #[inline]
    pub(crate) fn write(&self, head: &[u8], line: &[u8], out: &mut Vec<u8>) {
        let prefix = self.prefix();
        out.reserve(head.len() + prefix.len() + line.len());
        out.extend_from_slice(head);
        match marked(line) {
            None => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(line);
            }
            Some(line) => write_marked(out, self.chunk.identity(self.slot), self.chunk.extra(self.slot), line),
        }
    }

    /// All labels of one of the lines.
    pub(crate) fn labels(&self, line: &'a [u8]) -> Labels<'a> {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or_default();
        let (identity, extra) = (text(self.chunk.identity(self.slot)), text(self.chunk.extra(self.slot)));
        Labels::new(identity, extra, text(unmarked(line)), is_marked(line))
    }

    /// One of the lines as a sample.
    pub(crate) fn sample(&self, family: &'a Family, line: &'a [u8]) -> Option<SampleRef<'a>> {
        self.samples_of(family, std::iter::once(line)).next()
    }

    /// All lines as samples.
    pub(crate) fn samples(&self, family: &'a Family) -> impl Iterator<Item = SampleRef<'a>> + use<'a> {
        self.samples_of(family, self.lines())
    }

    fn samples_of<L>(&self, family: &'a Family, lines: L) -> impl Iterator<Item = SampleRef<'a>> + use<'a, L>
    where
        L: Iterator<Item = &'a [u8]>,
    {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or_default();
        let (identity, extra) = (text(self.chunk.identity(self.slot)), text(self.chunk.extra(self.slot)));
        lines.filter_map(move |line| {
            let own_wins = is_marked(line);
            let (own, value) = text(unmarked(line)).trim_end_matches('\n').rsplit_once("} ")?;
            // What was written as a float reads back as one.
            let value = value.parse().unwrap_or(f64::NAN);
            Some(SampleRef { family, identity, extra, own, own_wins, value })
        })
    }
}

/// One sample of a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct SampleRef<'a> {
    family: &'a Family,
    identity: &'a str,
    extra: &'a str,
    own: &'a str,
    own_wins: bool,
    value: f64,
}

impl<'a> SampleRef<'a> {
    /// The family.
    pub fn family(&self) -> &'a Family {
        self.family
    }

    /// The value.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The labels in their order: the object's first.
    pub fn labels(&self) -> Labels<'a> {
        Labels::new(self.identity, self.extra, self.own, self.own_wins)
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        self.labels().find(|(label, _)| *label == name).map(|(_, value)| value)
    }
}
