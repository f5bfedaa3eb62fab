//! A block of objects, laid out by column: reading one family of all objects walks through memory in one direction.

use std::sync::Arc;

use super::ObjectKey;
use super::tails::{ABSENT, TailPages};

/// Objects in a chunk.
pub(crate) const CAPACITY: usize = 128;

/// Set in an id: the tail is the object's own, and the rest of the id is where it starts in the object's text.
pub(super) const UNIQUE: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    /// The identity's length; extra labels follow it.
    identity: u32,
    len: u32,
}

/// The samples of up to [`CAPACITY`] objects.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// Tail ids, family by family, [`CAPACITY`] of each.
    ids: Vec<u32>,
    /// Prefixes of all objects, back to back, in any order.
    prefixes: Vec<u8>,
    spans: Vec<Span>,
    /// Bytes in `prefixes` that no span refers to any more.
    garbage: usize,
    /// The tails that an object shares with none: lengths (4 bytes) and texts.
    own: Vec<Option<Arc<[u8]>>>,
    /// Bytes of all texts in `own`.
    own_bytes: usize,
    /// For each family, when its column changed last.
    stamps: Vec<u64>,
    /// Whose slot it is, where it is occupied.
    keys: Vec<ObjectKey>,
    /// For each object, the generation that shows its last change first; [`VACANT`] where there is none.
    changed: Vec<u64>,
    /// No object has changed after it.
    newest: u64,
}

/// The generation of a slot without an object. Published generations begin at 1.
const VACANT: u64 = 0;

/// When something changed, in the two ways in which it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Differs from that of any other change in the store.
    pub(super) stamp: u64,
    /// The publication that shows it first.
    pub(super) generation: u64,
}

/// The text of one object for [`Chunk::set`].
pub(super) struct Row<'a> {
    pub(super) identity: &'a [u8],
    pub(super) extra: &'a [u8],
    /// One id per family.
    pub(super) ids: &'a [u32],
    pub(super) own: &'a [u8],
}

impl Chunk {
    pub(super) fn new(families: usize) -> Self {
        Self {
            ids: vec![ABSENT; families * CAPACITY],
            prefixes: Vec::new(),
            spans: vec![Span::default(); CAPACITY],
            garbage: 0,
            own: vec![None; CAPACITY],
            own_bytes: 0,
            stamps: vec![0; families],
            keys: vec![ObjectKey::NONE; CAPACITY],
            changed: vec![VACANT; CAPACITY],
            newest: VACANT,
        }
    }

    /// One family's ids, a place per object.
    #[inline]
    pub(super) fn column(&self, family: usize) -> &[u32] {
        self.ids.get(family * CAPACITY..(family + 1) * CAPACITY).unwrap_or_default()
    }

    /// When the family's column changed last.
    pub(super) fn stamp(&self, family: usize) -> u64 {
        self.stamps.get(family).copied().unwrap_or_default()
    }

    /// The object in a slot; none where it is vacant.
    pub(super) fn key(&self, slot: usize) -> Option<ObjectKey> {
        self.keys.get(slot).copied().filter(|_| self.changed(slot) != VACANT)
    }

    /// The generation that shows the object's last change first.
    pub(super) fn changed(&self, slot: usize) -> u64 {
        self.changed.get(slot).copied().unwrap_or(VACANT)
    }

    /// The slots of objects that changed after a generation; after 0, of all objects.
    pub(super) fn changed_after(&self, generation: u64) -> impl Iterator<Item = usize> + '_ {
        let slots = if self.newest > generation { self.changed.as_slice() } else { &[] };
        slots.iter().enumerate().filter(move |(_, changed)| **changed > generation).map(|(slot, _)| slot)
    }

    pub(super) fn id(&self, family: usize, slot: usize) -> u32 {
        self.column(family).get(slot).copied().unwrap_or(ABSENT)
    }

    /// The labels that all of the object's samples begin with, extra labels included.
    #[inline]
    pub(super) fn prefix(&self, slot: usize) -> &[u8] {
        let span = self.spans.get(slot).copied().unwrap_or_default();
        self.prefixes.get(span.start as usize..(span.start + span.len) as usize).unwrap_or_default()
    }

    /// The prefix without extra labels.
    pub(super) fn identity(&self, slot: usize) -> &[u8] {
        let span = self.spans.get(slot).copied().unwrap_or_default();
        self.prefix(slot).get(..span.identity as usize).unwrap_or_default()
    }

    /// The extra labels, which follow the identity in the prefix.
    pub(super) fn extra(&self, slot: usize) -> &[u8] {
        self.prefix(slot).get(self.identity(slot).len()..).unwrap_or_default()
    }

    /// The tail lines behind an id.
    #[inline]
    pub(super) fn run<'a>(&'a self, id: u32, slot: usize, tails: &'a TailPages) -> &'a [u8] {
        if id & UNIQUE == 0 { tails.get(id) } else { self.own_run(id, slot) }
    }

    fn own_run(&self, id: u32, slot: usize) -> &[u8] {
        own_run_in(self.own_text(slot), id)
    }

    fn own_text(&self, slot: usize) -> &[u8] {
        self.own.get(slot).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Whether a slot holds an object with just this text.
    pub(super) fn holds(&self, slot: usize, row: &Row<'_>) -> bool {
        self.key(slot).is_some()
            && self.identity(slot) == row.identity
            && self.extra(slot) == row.extra
            && self.own_text(slot) == row.own
            && row.ids.iter().enumerate().all(|(family, id)| self.id(family, slot) == *id)
    }

    /// Puts an object into a slot, and marks the columns that changed.
    pub(super) fn set(&mut self, slot: usize, key: ObjectKey, row: &Row<'_>, now: Moment) {
        self.occupy(slot, key, now.generation);
        self.write(slot, row, now.stamp);
    }

    /// Empties a slot.
    pub(super) fn clear(&mut self, slot: usize, stamp: u64) {
        self.occupy(slot, ObjectKey::NONE, VACANT);
        let empty = vec![ABSENT; self.stamps.len()];
        self.write(slot, &Row { identity: &[], extra: &[], ids: &empty, own: &[] }, stamp);
    }

    fn occupy(&mut self, slot: usize, key: ObjectKey, generation: u64) {
        if let (Some(owner), Some(changed)) = (self.keys.get_mut(slot), self.changed.get_mut(slot)) {
            *owner = key;
            *changed = generation;
            self.newest = self.newest.max(generation);
        }
    }

    fn write(&mut self, slot: usize, row: &Row<'_>, stamp: u64) {
        let renamed = self.set_prefix(slot, row.identity, row.extra);
        for (family, new) in row.ids.iter().copied().enumerate() {
            let old = self.id(family, slot);
            let same = old == new && (new & UNIQUE == 0 || self.own_run(old, slot) == own_run_in(row.own, new));
            if same && !(renamed && new != ABSENT) {
                continue;
            }
            if let Some(id) = self.ids.get_mut(family * CAPACITY + slot) {
                *id = new;
            }
            if let Some(at) = self.stamps.get_mut(family) {
                *at = stamp;
            }
        }
        let old = self.own_text(slot);
        if old != row.own {
            self.own_bytes = self.own_bytes - old.len() + row.own.len();
            if let Some(own) = self.own.get_mut(slot) {
                *own = (!row.own.is_empty()).then(|| Arc::from(row.own));
            }
        }
    }

    fn set_prefix(&mut self, slot: usize, identity: &[u8], extra: &[u8]) -> bool {
        let unchanged =
            self.identity(slot) == identity && self.prefix(slot).get(identity.len()..).unwrap_or_default() == extra;
        if unchanged {
            return false;
        }
        let old = self.spans.get(slot).copied().unwrap_or_default();
        self.garbage += old.len as usize;
        let start = self.prefixes.len();
        self.prefixes.extend_from_slice(identity);
        self.prefixes.extend_from_slice(extra);
        let len = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        if let Some(span) = self.spans.get_mut(slot) {
            *span = Span { start: len(start), identity: len(identity.len()), len: len(identity.len() + extra.len()) };
        }
        if self.garbage > 1024 && self.garbage > self.prefixes.len() / 2 {
            self.sweep();
        }
        true
    }

    /// Lays the prefixes out anew, without garbage.
    fn sweep(&mut self) {
        let mut prefixes = Vec::with_capacity(self.prefixes.len() - self.garbage);
        for slot in 0..self.spans.len() {
            let start = u32::try_from(prefixes.len()).unwrap_or(u32::MAX);
            prefixes.extend_from_slice(self.prefix(slot));
            if let Some(span) = self.spans.get_mut(slot) {
                span.start = start;
            }
        }
        self.prefixes = prefixes;
        self.garbage = 0;
    }

    /// The row of a slot, to put it elsewhere.
    pub(super) fn row(&self, slot: usize) -> OwnedRow {
        OwnedRow {
            identity: self.identity(slot).to_vec(),
            extra: self.extra(slot).to_vec(),
            ids: (0..self.stamps.len()).map(|family| self.id(family, slot)).collect(),
            own: self.own_text(slot).to_vec(),
        }
    }

    /// The memory that the chunk takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.ids.capacity() * 4
            + self.prefixes.capacity()
            + self.stamps.capacity() * 8
            + CAPACITY * (size_of::<Span>() + size_of::<ObjectKey>() + size_of::<u64>() + OWN)
            + self.own_bytes
    }
}

/// What an object's own text takes beside its bytes: the fat pointer and the two counts of its `Arc`.
const OWN: usize = 32;

/// A row that stands on its own.
pub(super) struct OwnedRow {
    identity: Vec<u8>,
    extra: Vec<u8>,
    ids: Vec<u32>,
    own: Vec<u8>,
}

impl OwnedRow {
    pub(super) fn borrow(&self) -> Row<'_> {
        Row { identity: &self.identity, extra: &self.extra, ids: &self.ids, own: &self.own }
    }
}

/// Appends a tail to an object's own text and gives its id; none where the text would grow beyond what an id can name.
pub(super) fn push_own(own: &mut Vec<u8>, run: &[u8]) -> Option<u32> {
    let start = u32::try_from(own.len()).ok().filter(|start| start & UNIQUE == 0)?;
    let len = u32::try_from(run.len()).ok()?;
    own.extend_from_slice(&len.to_le_bytes());
    own.extend_from_slice(run);
    Some(start | UNIQUE)
}

fn own_run_in(own: &[u8], id: u32) -> &[u8] {
    let rest = own.get((id & !UNIQUE) as usize..).unwrap_or_default();
    match rest.split_first_chunk::<4>() {
        Some((len, rest)) => rest.get(..u32::from_le_bytes(*len) as usize).unwrap_or_default(),
        None => &[],
    }
}
