//! An object's samples of one family, as they are stored.

use memchr::memchr;

use super::chunk::{Chunk, UNIQUE};
use super::labels::{Labels, is_marked, marked, unmarked, write_marked};
use super::object::SampleRef;
use super::tails::TailPages;
use crate::family::Family;

/// The lines of an object and a family: the labels that they share, and what follows them in each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    chunk: &'a Chunk,
    slot: usize,
    id: u32,
    text: &'a [u8],
}

impl<'a> Run<'a> {
    /// The lines behind an id, which is not [`ABSENT`](super::tails::ABSENT), of the object in a slot.
    #[inline]
    pub(super) fn new(chunk: &'a Chunk, slot: usize, id: u32, tails: &'a TailPages) -> Self {
        Self { chunk, slot, id, text: chunk.run(id, slot, tails) }
    }

    /// The object's place in its chunk.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// Names the lines: equal ids of one snapshot are equal lines. None where they are the object's own.
    pub(crate) fn shared_id(&self) -> Option<u32> {
        (self.id & UNIQUE == 0).then_some(self.id)
    }

    /// The labels that all lines share but for marked ones, as text: `namespace="a",pod="b"`.
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

    /// Appends all lines, whole. `head` is the family's name and `{`.
    #[inline]
    pub(crate) fn write(&self, head: &[u8], out: &mut Vec<u8>) {
        let prefix = self.prefix();
        self.lines().for_each(|line| self.put(head, prefix, line, out));
    }

    /// Appends one of the lines, whole.
    pub(crate) fn write_line(&self, head: &[u8], line: &[u8], out: &mut Vec<u8>) {
        self.put(head, self.prefix(), line, out);
    }

    #[inline]
    fn put(&self, head: &[u8], prefix: &[u8], line: &[u8], out: &mut Vec<u8>) {
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
        let (identity, extra) = self.shared();
        Labels::new(identity, extra, text(unmarked(line)), is_marked(line))
    }

    /// One of the lines as a sample.
    pub(crate) fn sample(&self, family: &'a Family, line: &'a [u8]) -> Option<SampleRef<'a>> {
        let (identity, extra) = self.shared();
        SampleRef::read(family, identity, extra, line)
    }

    /// All lines as samples.
    pub(crate) fn samples(&self, family: &'a Family) -> impl Iterator<Item = SampleRef<'a>> + use<'a> {
        let (identity, extra) = self.shared();
        self.lines().filter_map(move |line| SampleRef::read(family, identity, extra, line))
    }

    /// The identity and the extra labels.
    fn shared(&self) -> (&'a str, &'a str) {
        (text(self.chunk.identity(self.slot)), text(self.chunk.extra(self.slot)))
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
