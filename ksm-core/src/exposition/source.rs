//! Where a family's samples come from, and which of them a reader wants.

use std::sync::Arc;

use crate::selector::{Selection, Verdicts};
use crate::store::{Run, Snapshot};

/// A family of a snapshot.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) snapshot: Arc<Snapshot>,
    /// The family's place in the snapshot's table.
    pub(super) family: usize,
    pub(super) filter: Option<Filter>,
}

/// Which samples of the family are wanted.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) selection: Arc<Selection>,
    /// The selectors that can admit samples of the family.
    pub(super) live: Vec<usize>,
    /// Shared by all families of the snapshot.
    pub(super) verdicts: Arc<Verdicts>,
}

/// How much of a run is wanted.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    All,
    /// Each line must be asked for.
    Some(&'a Source, &'a Filter),
}

impl Wanted<'_> {
    pub(super) fn admits(self, run: &Run<'_>, line: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Some(source, filter) => source
                .snapshot
                .families()
                .get(source.family)
                .and_then(|family| run.sample(family, line))
                .is_some_and(|sample| filter.selection.admits(&filter.live, &sample)),
        }
    }
}

impl Source {
    /// Calls `f` with the objects' lines of one chunk that may be wanted.
    pub(super) fn for_each_run(&self, chunk: usize, mut f: impl FnMut(&Run<'_>, Wanted<'_>)) {
        let runs = self.snapshot.runs(self.family, chunk);
        let Some(filter) = &self.filter else {
            return runs.into_iter().for_each(|run| f(&run, Wanted::All));
        };
        let admission = filter.verdicts.admission(&filter.selection, &filter.live, &self.snapshot, chunk);
        if admission.is_empty() {
            return;
        }
        for run in runs {
            match admission.of(run.slot()) {
                Some(true) => f(&run, Wanted::All),
                Some(false) => {}
                None => f(&run, Wanted::Some(self, filter)),
            }
        }
    }

    /// Appends the wanted lines of one chunk as text. `head` is the family's name and `{`.
    pub(super) fn write_lines(&self, chunk: usize, head: &[u8], out: &mut Vec<u8>) {
        if self.filter.is_none() {
            return self.snapshot.write_lines(self.family, chunk, head, out);
        }
        self.for_each_run(chunk, |run, wanted| {
            for line in run.lines().filter(|line| wanted.admits(run, line)) {
                run.write_line(head, line, out);
            }
        });
    }
}
