//! What each cgroup has done since the start.

use hashbrown::HashMap;

use crate::quality::{Counter, Span, Sum, Verdict};
use crate::sample::{Batch, CgroupId, Delta, MAX_COUNTERS, Sample, Total};
use crate::telemetry::Judged;

/// How many cgroups are told apart, unless [`Totals::with_most`] says otherwise. Each takes some 500 bytes.
const DEFAULT_MOST: usize = 16_384;

/// What was run and counted in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// For how long tasks ran, in nanoseconds.
    pub ran: u64,
    /// How often a processor was taken from them.
    pub switches: u64,
    /// What was counted, in the order of the counters.
    pub counters: [Sum; MAX_COUNTERS],
}

impl Usage {
    /// Takes in a sample.
    pub fn add(&mut self, counters: &[Counter], sample: &Sample) {
        self.add_judged(counters, sample, &mut Judged::default());
    }

    fn add_judged(&mut self, counters: &[Counter], sample: &Sample, judged: &mut Judged) {
        let span = Span { ran: sample.ran, wall: sample.end.saturating_sub(sample.start) };
        self.add_parts(counters, u64::from(sample.switches), &sample.counters, span, judged);
    }

    /// Takes in another total: a child's into its parent's.
    pub fn merge(&mut self, other: &Self) {
        self.ran = self.ran.saturating_add(other.ran);
        self.switches = self.switches.saturating_add(other.switches);
        for (sum, other) in self.counters.iter_mut().zip(&other.counters) {
            sum.merge(other);
        }
    }

    /// What came to it since an earlier state of it.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = *self;
        since.ran = self.ran.saturating_sub(earlier.ran);
        since.switches = self.switches.saturating_sub(earlier.switches);
        for ((sum, now), earlier) in since.counters.iter_mut().zip(&self.counters).zip(&earlier.counters) {
            *sum = now.since(earlier);
        }
        since
    }

    /// Judges one counter's sum; none where there is no such counter.
    pub fn verdict(&self, counters: &[Counter], number: usize) -> Option<Verdict> {
        Some(self.counters.get(number)?.verdict(counters.get(number)?, self.ran))
    }

    fn add_parts(&mut self, counters: &[Counter], switches: u64, deltas: &[Delta], span: Span, judged: &mut Judged) {
        self.ran = self.ran.saturating_add(span.ran);
        self.switches = self.switches.saturating_add(switches);
        for ((sum, counter), delta) in self.counters.iter_mut().zip(counters).zip(deltas) {
            judged.add(sum.add(counter, *delta, span));
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    total: Usage,
    /// What cgroups below it had done that are no more.
    gone: Usage,
    /// When something was last heard of it.
    heard: u64,
}

/// The totals of all cgroups: of their own tasks, without those of cgroups below them. [`Tree::subtrees`] adds those.
///
/// One set of totals is fed either from batches or from readings, never from both.
///
/// ```
/// use cgroup_perf::quality::Counter;
/// use cgroup_perf::sample::{Batch, CgroupId, Delta, Sample};
/// use cgroup_perf::totals::Totals;
///
/// let mut totals = Totals::new(&[Counter::CYCLES]);
/// let mut sample = Sample {
///     start: 0, end: 1_000_000, cpu: 0, cgroup: CgroupId(7), task: None, ran: 500_000, switches: 3,
///     counters: Default::default(),
/// };
/// sample.counters[0] = Delta { value: 1_500_000, enabled: 500_000, running: 500_000 };
/// totals.add(&Batch { samples: vec![sample], lost: 0 });
///
/// let total = totals.get(CgroupId(7)).unwrap();
/// assert_eq!(total.verdict(totals.counters(), 0).unwrap().figure, Some(1_500_000));
/// ```
///
/// [`Tree::subtrees`]: crate::tree::Tree::subtrees
#[derive(Debug)]
pub struct Totals {
    counters: Vec<Counter>,
    cgroups: HashMap<CgroupId, Entry>,
    /// The last reading of each, and when it was. It stays for as long as the kernel gives it, also of what has ended:
    /// else the next one were counted anew.
    readings: HashMap<CgroupId, Option<(Total, u64)>>,
    most: usize,
    beyond: Usage,
    refused: u64,
    lost: u64,
    /// How many readings were worth what, until that is said: with a batch, or a walk of the tree.
    judged: Judged,
}

impl Totals {
    /// None yet, of these counters: the first [`MAX_COUNTERS`] of them.
    pub fn new(counters: &[Counter]) -> Self {
        Self {
            counters: counters.iter().take(MAX_COUNTERS).copied().collect(),
            cgroups: HashMap::new(),
            readings: HashMap::new(),
            most: DEFAULT_MOST,
            beyond: Usage::default(),
            refused: 0,
            lost: 0,
            judged: Judged::default(),
        }
    }

    /// The most cgroups that are told apart; what more of them do is in [`beyond`](Self::beyond).
    pub fn with_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// The counters.
    pub fn counters(&self) -> &[Counter] {
        &self.counters
    }

    /// Takes in a batch.
    pub fn add(&mut self, batch: &Batch) {
        self.lost = self.lost.saturating_add(batch.lost);
        for sample in &batch.samples {
            self.add_sample(sample);
        }
        self.judged.report("totals");
    }

    /// Takes in a sample.
    pub fn add_sample(&mut self, sample: &Sample) {
        if let Some(entry) = entry(&mut self.cgroups, self.most, sample.cgroup) {
            entry.heard = entry.heard.max(sample.end);
            entry.total.add_judged(&self.counters, sample, &mut self.judged);
        } else {
            self.refused = self.refused.saturating_add(1);
            self.beyond.add_judged(&self.counters, sample, &mut self.judged);
        }
    }

    /// Takes in a reading, at some time in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn read(&mut self, reading: &Total, now: u64) {
        let Some(last) = entry(&mut self.readings, self.most, reading.cgroup) else {
            // Each reading is of everything since the start: of what has no place, nothing can be told but that it is.
            self.refused = self.refused.saturating_add(1);
            return;
        };
        let new = last.as_ref().map_or(*reading, |(earlier, _)| since(reading, earlier));
        *last = Some((*reading, now));
        let mut total = Usage::default();
        let span = Span { ran: new.ran, wall: 0 };
        total.add_parts(&self.counters, new.switches, &new.counters, span, &mut self.judged);
        if total == Usage::default() {
            return;
        }
        if let Some(entry) = entry(&mut self.cgroups, self.most, reading.cgroup) {
            entry.heard = entry.heard.max(now);
            entry.total.merge(&total);
        } else {
            self.refused = self.refused.saturating_add(1);
            self.beyond.merge(&total);
        }
    }

    /// What a cgroup's own tasks have done; none where nothing was heard of it.
    pub fn get(&self, cgroup: CgroupId) -> Option<&Usage> {
        self.cgroups.get(&cgroup).map(|entry| &entry.total)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (CgroupId, &Usage)> {
        self.cgroups.iter().map(|(id, entry)| (*id, &entry.total))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cgroups.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cgroups.is_empty()
    }

    /// What was done by cgroups that there was no place for.
    pub fn beyond(&self) -> &Usage {
        &self.beyond
    }

    /// Samples and readings that there was no place for.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Records that the kernel side lost: what they counted is in no total that is made of samples.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// What a cgroup did, with what those below it did that are no more.
    pub(crate) fn with_gone(&self, cgroup: CgroupId) -> Option<Usage> {
        self.cgroups.get(&cgroup).map(|entry| {
            let mut total = entry.total;
            total.merge(&entry.gone);
            total
        })
    }

    /// Ends a cgroup: what it did goes to another, above it.
    pub(crate) fn fold(&mut self, cgroup: CgroupId, into: CgroupId) {
        let Some(ended) = self.cgroups.remove(&cgroup) else { return };
        // One has just made room for the other.
        let above = self.cgroups.entry(into).or_default();
        above.gone.merge(&ended.total);
        above.gone.merge(&ended.gone);
    }

    /// The cgroups of which nothing was heard since some time.
    pub(crate) fn silent_since(&self, time: u64) -> impl Iterator<Item = CgroupId> {
        self.cgroups.iter().filter(move |(_, entry)| entry.heard < time).map(|(id, _)| *id)
    }

    /// Forgets the readings of what the kernel gives no more since some time.
    pub(crate) fn forget_readings(&mut self, before: u64) {
        self.judged.report("totals");
        self.readings.retain(|_, reading| reading.is_some_and(|(_, heard)| heard >= before));
    }
}

/// What came since a reading before; all of it where the kernel's entry was made anew since.
fn since(total: &Total, earlier: &Total) -> Total {
    let mut since = *total;
    let mut back = total.ran < earlier.ran || total.switches < earlier.switches;
    since.ran = total.ran.saturating_sub(earlier.ran);
    since.switches = total.switches.saturating_sub(earlier.switches);
    for (delta, earlier) in since.counters.iter_mut().zip(&earlier.counters) {
        back |= delta.value < earlier.value || delta.enabled < earlier.enabled || delta.running < earlier.running;
        delta.value = delta.value.saturating_sub(earlier.value);
        delta.enabled = delta.enabled.saturating_sub(earlier.enabled);
        delta.running = delta.running.saturating_sub(earlier.running);
    }
    if back { *total } else { since }
}

fn entry<T: Default>(cgroups: &mut HashMap<CgroupId, T>, most: usize, cgroup: CgroupId) -> Option<&mut T> {
    if cgroups.len() < most {
        return Some(cgroups.entry(cgroup).or_default());
    }
    cgroups.get_mut(&cgroup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::Quality;

    const COUNTERS: [Counter; 2] = [Counter::CYCLES, Counter::EVENTS];

    fn sample(cgroup: u64, ran: u64, cycles: u64) -> Sample {
        let mut counters = [Delta::default(); MAX_COUNTERS];
        counters[0] = Delta { value: cycles, enabled: ran, running: ran };
        counters[1] = Delta { value: 1, enabled: ran, running: ran };
        let cgroup = CgroupId(cgroup);
        Sample { start: 0, end: 1_000_000, cpu: 0, cgroup, task: None, ran, switches: 2, counters }
    }

    fn reading(ran: u64, cycles: u64) -> Total {
        let of = sample(7, ran, cycles);
        Total { cgroup: of.cgroup, ran, switches: 2, counters: of.counters }
    }

    fn cycles(totals: &Totals, cgroup: u64) -> Option<u64> {
        totals.get(CgroupId(cgroup))?.verdict(totals.counters(), 0)?.figure
    }

    #[test]
    fn samples_add_up() {
        let mut totals = Totals::new(&COUNTERS);
        totals.add(&Batch { samples: vec![sample(7, 500_000, 1_000_000), sample(8, 1_000, 3_000)], lost: 2 });
        totals.add(&Batch { samples: vec![sample(7, 400_000, 1_000_000)], lost: 1 });
        let total = totals.get(CgroupId(7)).unwrap();
        assert_eq!((total.ran, total.switches), (900_000, 4));
        assert_eq!(cycles(&totals, 7), Some(2_000_000));
        assert_eq!(total.verdict(&COUNTERS, 1).unwrap().figure, Some(2));
        assert_eq!(total.verdict(&COUNTERS, 2), None);
        assert_eq!((totals.len(), totals.lost(), cycles(&totals, 9)), (2, 3, None));
    }

    #[test]
    fn readings_are_of_everything_since_the_start() {
        let mut totals = Totals::new(&COUNTERS);
        totals.read(&reading(500_000, 1_000_000), 1);
        totals.read(&reading(500_000, 1_000_000), 2);
        totals.read(&reading(600_000, 1_500_000), 3);
        assert_eq!(cycles(&totals, 7), Some(1_500_000));
        assert_eq!(totals.get(CgroupId(7)).unwrap().ran, 600_000);
    }

    #[test]
    fn an_entry_that_was_made_anew_is_counted_from_its_start() {
        let mut totals = Totals::new(&COUNTERS);
        totals.read(&reading(500_000, 1_000_000), 1);
        totals.read(&reading(100_000, 300_000), 2);
        totals.read(&reading(200_000, 600_000), 3);
        assert_eq!(cycles(&totals, 7), Some(1_600_000));
        assert_eq!(totals.get(CgroupId(7)).unwrap().ran, 700_000);
    }

    #[test]
    fn what_there_is_no_place_for_is_counted_together() {
        let mut totals = Totals::new(&COUNTERS).with_most(1);
        for cgroup in [7, 8, 9, 7] {
            totals.add_sample(&sample(cgroup, 1_000, 2_000));
        }
        assert_eq!((totals.len(), totals.refused(), totals.beyond().ran), (1, 2, 2_000));
        assert_eq!(cycles(&totals, 7), Some(4_000));
    }

    #[test]
    fn the_counters_that_can_be_told_apart_are_those_there_are() {
        let totals = Totals::new(&[Counter::EVENTS; MAX_COUNTERS + 1]);
        assert_eq!(totals.counters().len(), MAX_COUNTERS);
    }

    #[test]
    fn what_came_since_has_its_own_quality() {
        let mut total = Usage::default();
        total.add(&COUNTERS, &sample(7, 900_000, 2_000_000));
        let earlier = total;
        let mut frozen = sample(7, 900_000, 0);
        frozen.counters = [Delta::default(); MAX_COUNTERS];
        total.add(&COUNTERS, &frozen);
        let since = total.since(&earlier);
        assert_eq!(since.ran, 900_000);
        assert_eq!(since.verdict(&COUNTERS, 0).unwrap().quality, Quality::Stalled);
        assert_eq!(total.since(&total), Usage::default());
    }
}
