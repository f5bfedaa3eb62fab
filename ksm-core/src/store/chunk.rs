//! A block of objects, laid out by column: reading one family of all objects walks through memory in one direction.

use std::sync::Arc;

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
    /// For each family, when its column changed last.
    stamps: Vec<u64>,
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
            stamps: vec![0; families],
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
        let text = self.own.get(slot).and_then(Option::as_deref).unwrap_or_default();
        own_run_in(text, id)
    }

    /// Puts an object into a slot, and marks the columns that changed.
    pub(super) fn set(&mut self, slot: usize, row: &Row<'_>, stamp: u64) {
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
        if let Some(own) = self.own.get_mut(slot)
            && own.as_deref().unwrap_or_default() != row.own
        {
            *own = (!row.own.is_empty()).then(|| Arc::from(row.own));
        }
    }

    /// Empties a slot.
    pub(super) fn clear(&mut self, slot: usize, stamp: u64) {
        let empty = vec![ABSENT; self.stamps.len()];
        self.set(slot, &Row { identity: &[], extra: &[], ids: &empty, own: &[] }, stamp);
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
            own: self.own.get(slot).and_then(Option::as_deref).unwrap_or_default().to_vec(),
        }
    }

    /// The memory that the chunk takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        let own: usize = self.own.iter().flatten().map(|text| text.len() + 16).sum();
        self.ids.capacity() * 4
            + self.prefixes.capacity()
            + self.spans.capacity() * size_of::<Span>()
            + self.own.capacity() * 16
            + self.stamps.capacity() * 8
            + own
    }
}

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
