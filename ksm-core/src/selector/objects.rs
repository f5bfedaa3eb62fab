//! Deciding by object: most labels that readers ask for stand in an object's identity, so that one look at it decides
//! on all its samples, and on those of the next family too.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::SeriesSelector;
use crate::store::{CAPACITY, SampleRef, Snapshot};

/// What a reader wants: samples that any of these admits.
#[derive(Debug)]
pub(crate) struct Selection {
    selectors: Vec<SeriesSelector>,
}

/// The objects of a chunk, a bit each.
type Objects = u128;
const _: () = assert!(CAPACITY <= Objects::BITS as usize);

/// What one selector makes of a chunk's objects by their identities.
#[derive(Debug, Clone, Copy, Default)]
struct Verdict {
    /// All their samples are admitted.
    whole: Objects,
    /// Their samples must be looked at one by one.
    open: Objects,
}

/// What the selectors make of a snapshot's objects, chunk by chunk; found out when it is needed first.
#[derive(Debug)]
pub(crate) struct Verdicts {
    chunks: Vec<OnceLock<Vec<Verdict>>>,
}

/// What is admitted of one family in one chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission(Verdict);

impl Selection {
    /// Samples in any of these namespaces, if there are any, that any of these selectors admits, if there are any; none
    /// where everything is admitted.
    pub(crate) fn new(namespaces: &[String], series: &[SeriesSelector]) -> Option<Self> {
        let namespaced = (!namespaces.is_empty()).then(|| SeriesSelector::of_namespaces(namespaces));
        let selectors: Vec<SeriesSelector> = match (namespaced, series) {
            (None, []) => return None,
            (None, series) => series.to_vec(),
            (Some(namespaced), []) => vec![namespaced],
            (Some(namespaced), series) => series.iter().map(|selector| namespaced.clone().and(selector)).collect(),
        };
        Some(Self { selectors })
    }

    /// The selectors that can admit samples of a family of that name.
    pub(crate) fn for_family(&self, name: &str) -> Vec<usize> {
        let live = self.selectors.iter().enumerate().filter(|(_, selector)| selector.admits_family(name));
        live.map(|(index, _)| index).collect()
    }

    /// Whether any of these selectors admits a sample of a family that they can admit.
    pub(crate) fn admits(&self, live: &[usize], sample: &SampleRef<'_>) -> bool {
        live.iter().filter_map(|index| self.selectors.get(*index)).any(|selector| selector.admits_labels(sample))
    }

    /// Visits the samples that are admitted, of families that are on.
    pub(crate) fn visit(&self, snapshot: &Snapshot, mut f: impl FnMut(SampleRef<'_>)) {
        let verdicts = Verdicts::new(snapshot);
        for (index, family) in snapshot.families().iter().enumerate() {
            let live = self.for_family(&family.name);
            if live.is_empty() || !snapshot.is_visible(index) {
                continue;
            }
            for chunk in 0..snapshot.chunk_count() {
                let admission = verdicts.admission(self, &live, snapshot, chunk);
                if admission.is_empty() {
                    continue;
                }
                for run in snapshot.runs(index, chunk) {
                    match admission.of(run.slot()) {
                        Some(false) => {}
                        Some(true) => run.samples(family).for_each(&mut f),
                        None => run.samples(family).filter(|sample| self.admits(&live, sample)).for_each(&mut f),
                    }
                }
            }
        }
    }

    fn judge(&self, snapshot: &Snapshot, chunk: usize) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::default(); self.selectors.len()];
        let mut identity = Vec::new();
        for (slot, labels) in snapshot.identities(chunk).enumerate() {
            identity.clear();
            identity.extend(labels);
            let bit: Objects = 1 << slot;
            for (verdict, selector) in verdicts.iter_mut().zip(&self.selectors) {
                match selector.judge(&identity) {
                    Some(true) => verdict.whole |= bit,
                    Some(false) => {}
                    None => verdict.open |= bit,
                }
            }
        }
        verdicts
    }
}

impl SeriesSelector {
    /// Whether it admits all samples of an object with that identity, or none; it can't tell where a label that it asks
    /// for is not in the identity.
    fn judge(&self, identity: &[(&str, Cow<'_, str>)]) -> Option<bool> {
        let mut verdict = Some(true);
        for matcher in self.label_matchers() {
            match identity.iter().find(|(name, _)| *name == matcher.label) {
                Some((_, value)) if matcher.admits(value) => {}
                Some(_) => return Some(false),
                None => verdict = None,
            }
        }
        verdict
    }
}

impl Verdicts {
    /// Nothing found out yet.
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        Self { chunks: (0..snapshot.chunk_count()).map(|_| OnceLock::new()).collect() }
    }

    /// What those selectors, the ones that can admit a family, admit of a chunk.
    pub(crate) fn admission(
        &self,
        selection: &Selection,
        live: &[usize],
        snapshot: &Snapshot,
        chunk: usize,
    ) -> Admission {
        let Some(verdicts) = self.chunks.get(chunk) else { return Admission(Verdict::default()) };
        let verdicts = verdicts.get_or_init(|| selection.judge(snapshot, chunk));
        let mut all = Verdict::default();
        for verdict in live.iter().filter_map(|index| verdicts.get(*index)) {
            all.whole |= verdict.whole;
            all.open |= verdict.open;
        }
        Admission(all)
    }
}

impl Admission {
    /// Whether all samples of that object are admitted, or none; unknown where each must be looked at.
    pub(crate) fn of(self, slot: usize) -> Option<bool> {
        let bit: Objects = 1 << slot;
        if self.0.whole & bit != 0 {
            Some(true)
        } else if self.0.open & bit != 0 {
            None
        } else {
            Some(false)
        }
    }

    /// Whether no object has an admitted sample.
    pub(crate) fn is_empty(self) -> bool {
        self.0.whole | self.0.open == 0
    }
}
