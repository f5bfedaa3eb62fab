//! What the walk over a document knows of where it is, and notes on the way.

use std::fmt::Write as _;
use std::sync::Arc;

use super::columns::Columns;
use super::decode::{Skipped, SkippedAt, SkippedWhy};
use super::{FsSize, Parts, limits};

/// What the walk carries along.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) parts: Parts,
    pub(super) skipped: Skipped,
    /// What has been read.
    pub(super) columns: Columns,
    /// Whether each value is cut out before it is read, so that a bad one costs no more than itself.
    pub(super) careful: bool,
    /// How many entries of lists have been kept.
    entries: usize,
    path: Vec<Step>,
    /// The sizes of filesystems met last.
    sizes: [Option<Arc<FsSize>>; 4],
    next_size: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Member(&'static str),
    Item(usize),
}

impl Context {
    pub(super) fn new(parts: Parts, careful: bool, columns: Columns) -> Self {
        Self {
            parts,
            careful,
            columns,
            entries: 0,
            skipped: Skipped::default(),
            path: Vec::with_capacity(8),
            sizes: [const { None }; 4],
            next_size: 0,
        }
    }

    pub(super) fn enter(&mut self, step: Step) {
        self.path.push(step);
    }

    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    /// Runs `work`, and is back where it was even if that stopped midway.
    pub(super) fn back_after<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.path.len();
        let done = work(self);
        self.path.truncate(depth);
        done
    }

    /// Where the walk is.
    pub(super) fn place(&self, member: Option<&'static str>) -> String {
        let mut place = String::new();
        for step in self.path.iter().copied().chain(member.map(Step::Member)) {
            // Writing to a String can't fail.
            let _ = match step {
                Step::Member(name) if place.is_empty() => write!(place, "{name}"),
                Step::Member(name) => write!(place, ".{name}"),
                Step::Item(index) => write!(place, "[{index}]"),
            };
        }
        if place.is_empty() { "the document".to_owned() } else { place }
    }

    fn example(&mut self, member: Option<&'static str>, why: SkippedWhy) {
        if self.skipped.examples.len() < Skipped::EXAMPLES {
            let at = self.place(member);
            self.skipped.examples.push(SkippedAt { at, why });
        }
    }

    /// A field that can't be used.
    pub(super) fn field(&mut self, member: Option<&'static str>, why: SkippedWhy) {
        self.skipped.fields += 1;
        self.example(member, why);
    }

    /// A pod that can't be used.
    pub(super) fn pod(&mut self, why: SkippedWhy) {
        self.skipped.pods += 1;
        self.example(None, why);
    }

    /// A container or volume that can't be used.
    pub(super) fn unnamed(&mut self, why: SkippedWhy) {
        self.skipped.unnamed += 1;
        self.example(None, why);
    }

    /// The limit that a list has reached which has `kept` entries and may have `limit`, if it has.
    pub(super) fn reached(&self, kept: usize, limit: usize) -> Option<usize> {
        if kept >= limit {
            return Some(limit);
        }
        (self.entries >= limits::ENTRIES).then_some(limits::ENTRIES)
    }

    /// An entry of a list that is kept.
    pub(super) fn kept(&mut self) {
        self.entries += 1;
    }

    /// Entries of a list that are beyond a limit.
    pub(super) fn beyond(&mut self, number: usize, limit: usize) {
        if number > 0 {
            self.skipped.beyond_limits += number;
            self.example(None, SkippedWhy::BeyondLimit { limit });
        }
    }

    /// The same size, from where it was met before.
    pub(super) fn share(&mut self, size: FsSize) -> Option<Arc<FsSize>> {
        if size == FsSize::default() {
            return None;
        }
        if let Some(known) = self.sizes.iter().flatten().find(|known| ***known == size) {
            return Some(known.clone());
        }
        let new = Arc::new(size);
        if let Some(slot) = self.sizes.get_mut(self.next_size) {
            *slot = Some(new.clone());
        }
        self.next_size = (self.next_size + 1) % self.sizes.len();
        Some(new)
    }
}
