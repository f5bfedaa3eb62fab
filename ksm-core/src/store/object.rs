//! One object and one sample of a snapshot.

use std::borrow::Cow;

use super::ObjectKey;
use super::chunk::Chunk;
use super::labels::{Labels, is_marked, unmarked};
use super::run::Run;
use super::snapshot::Snapshot;
use super::tails::ABSENT;
use crate::family::Family;

/// One object of a snapshot: who it is, and its samples.
///
/// ```
/// use ksm_core::{Family, FamilyIndex, MemoryStore, ObjectKey, Reuse, Store, StoredObject};
///
/// let store = MemoryStore::new(&[Family::gauge("thing_size", "How big it is.")]);
/// let key = ObjectKey::from_uid("1");
/// store.apply(&StoredObject { key, version: None }, &mut |sink| {
///     sink.identity(&[("thing", "a")]);
///     sink.sample(FamilyIndex(0), &[("unit", "m")], 2.5, Reuse::Shared);
/// });
/// store.publish();
///
/// let snapshot = store.snapshot();
/// let object = snapshot.iter_objects().next().unwrap();
/// assert_eq!((object.key(), object.label("thing").as_deref()), (key, Some("a")));
/// object.visit(|sample| assert_eq!((sample.value(), sample.label("unit").as_deref()), (2.5, Some("m"))));
/// assert_eq!(object.to_text(), "thing_size{thing=\"a\",unit=\"m\"} 2.5\n");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ObjectRef<'a> {
    snapshot: &'a Snapshot,
    chunk: &'a Chunk,
    slot: usize,
    key: ObjectKey,
}

impl<'a> ObjectRef<'a> {
    /// The object in a slot; none where it is vacant.
    pub(super) fn new(snapshot: &'a Snapshot, chunk: &'a Chunk, slot: usize) -> Option<Self> {
        Some(Self { snapshot, chunk, slot, key: chunk.key(slot)? })
    }

    /// Its identity.
    pub fn key(&self) -> ObjectKey {
        self.key
    }

    /// The labels that its samples begin with, as `namespace`, `pod`, `uid`.
    pub fn identity(&self) -> Labels<'a> {
        Labels::new(text(self.chunk.identity(self.slot)), "", "", false)
    }

    /// The labels that were added to all its samples; they follow the identity.
    pub fn extra_labels(&self) -> Labels<'a> {
        Labels::new("", text(self.chunk.extra(self.slot)), "", false)
    }

    /// The value of a label that all its samples have.
    pub fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut labels = self.identity().chain(self.extra_labels());
        labels.find(|(label, _)| *label == name).map(|(_, value)| value)
    }

    /// Visits its samples of the families that are on, family by family.
    pub fn visit(&self, mut f: impl FnMut(SampleRef<'a>)) {
        self.visit_indexed(|_, sample| f(sample));
    }

    /// The same with the family's index.
    pub(crate) fn visit_indexed(&self, mut f: impl FnMut(usize, SampleRef<'a>)) {
        for (index, family, run) in self.runs() {
            run.samples(family).for_each(|sample| f(index, sample));
        }
    }

    /// Visits its samples of one family, on or off.
    #[cfg(feature = "otlp")]
    pub(crate) fn visit_family(&self, index: usize, f: impl FnMut(SampleRef<'a>)) {
        let id = self.chunk.id(index, self.slot);
        let Some(family) = self.snapshot.families.get(index).filter(|_| id != ABSENT) else { return };
        Run::new(self.chunk, self.slot, id, &self.snapshot.tails).samples(family).for_each(f);
    }

    /// Appends its samples as lines of Prometheus text, without headers.
    pub fn write_lines(&self, out: &mut Vec<u8>) {
        let mut head = Vec::new();
        for (_, family, run) in self.runs() {
            head.clear();
            head.extend_from_slice(family.name.as_bytes());
            head.push(b'{');
            run.write(&head, out);
        }
    }

    /// Its samples as lines of Prometheus text, without headers.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        self.write_lines(&mut lines);
        String::from_utf8_lossy(&lines).into_owned()
    }

    /// The lines of each family that is on and has samples.
    fn runs(&self) -> impl Iterator<Item = (usize, &'a Family, Run<'a>)> + use<'a> {
        let Self { snapshot, chunk, slot, .. } = *self;
        snapshot.families.iter().enumerate().filter_map(move |(index, family)| {
            let id = chunk.id(index, slot);
            (id != ABSENT && snapshot.is_visible(index))
                .then(|| (index, family, Run::new(chunk, slot, id, &snapshot.tails)))
        })
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
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
    /// The sample that a line of an object stands for.
    #[inline]
    pub(super) fn read(family: &'a Family, identity: &'a str, extra: &'a str, line: &'a [u8]) -> Option<Self> {
        let (own, value) = text(unmarked(line)).trim_end_matches('\n').rsplit_once("} ")?;
        // What was written as a float reads back as one.
        let value = value.parse().unwrap_or(f64::NAN);
        Some(Self { family, identity, extra, own, own_wins: is_marked(line), value })
    }

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

    /// The labels that the sample has beyond those of its object.
    #[cfg(feature = "otlp")]
    pub(crate) fn own_labels(&self) -> Labels<'a> {
        Labels::new("", "", self.own, false)
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<Cow<'a, str>> {
        self.labels().find(|(label, _)| *label == name).map(|(_, value)| value)
    }
}
