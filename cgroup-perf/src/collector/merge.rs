//! From the ring's bytes to samples in order. Pure.

use crate::{
    abi::{MAX_COUNTERS, Record, record_size},
    sample::{CgroupId, Delta, MAX_COUNTERS as COUNTERS, Sample, Task},
};

const _: () = assert!(MAX_COUNTERS == COUNTERS);

/// Reads one record. `None` where it is not as long as one with so many counters.
pub(super) fn decode(bytes: &[u8], counters: usize, tasks: bool) -> Option<Sample> {
    if counters > MAX_COUNTERS || bytes.len() < record_size(counters) {
        return None;
    }
    let word = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let half = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let sums = std::mem::offset_of!(Record, sums);
    let mut deltas = [Delta::default(); COUNTERS];
    for (index, delta) in deltas.iter_mut().take(counters).enumerate() {
        let at = sums + 16 + 24 * index;
        *delta = Delta { value: word(at)?, enabled: word(at + 8)?, running: word(at + 16)? };
    }
    let task = if tasks {
        let at = std::mem::offset_of!(Record, comm);
        let comm = bytes.get(at..at + 16)?.try_into().ok()?;
        Some(Task { pid: half(std::mem::offset_of!(Record, pid))?, comm })
    } else {
        None
    };
    Some(Sample {
        start: word(std::mem::offset_of!(Record, start))?,
        end: word(std::mem::offset_of!(Record, end))?,
        cpu: half(std::mem::offset_of!(Record, cpu))?,
        cgroup: CgroupId(word(std::mem::offset_of!(Record, cgroup))?),
        task,
        ran: word(sums)?,
        switches: u32::try_from(word(sums + 8)?).unwrap_or(u32::MAX),
        counters: deltas,
    })
}

/// Samples that wait until those of their slot are there from all processors.
#[derive(Debug)]
pub(super) struct Merger {
    slot: u64,
    pending: Vec<Sample>,
    /// The latest start that was released.
    released: u64,
    late: u64,
}

impl Merger {
    pub(super) const fn new(slot: u64) -> Self {
        Self { slot, pending: Vec::new(), released: 0, late: 0 }
    }

    pub(super) fn push(&mut self, sample: Sample) {
        if sample.start < self.released {
            self.late += 1;
        }
        self.pending.push(sample);
    }

    /// How many samples wait.
    pub(super) const fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// How many samples came after later ones had been released.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    /// Takes the samples of slots that ended by then, in order. Records of the same cgroup in the same slot become one.
    pub(super) fn release(&mut self, by: u64) -> Vec<Sample> {
        let slot = self.slot;
        let is_due = |sample: &Sample| sample.end.max(sample.start.saturating_add(slot)) <= by;
        // A slot that a late tick made longer holds up those that began after it.
        let waiting = self.pending.iter().filter(|sample| !is_due(sample)).map(|sample| sample.start).min();
        let until = waiting.unwrap_or(u64::MAX);
        let mut ready: Vec<Sample> =
            self.pending.extract_if(.., |sample| is_due(sample) && sample.start <= until).collect();
        ready.sort_unstable_by_key(|sample| {
            (sample.start, sample.cpu, sample.cgroup, sample.task.map_or(0, |task| task.pid))
        });
        ready.dedup_by(|next, first| {
            let same = same_slot(next, first)
                && next.cgroup == first.cgroup
                && next.task.map(|task| task.pid) == first.task.map(|task| task.pid);
            if same {
                add(first, next);
            }
            same
        });
        // What was handed over early does not know the end of its slot; the others of the slot do.
        for slots in ready.chunk_by_mut(same_slot) {
            let end = slots.iter().map(|sample| sample.end).max().unwrap_or(0);
            for sample in slots.iter_mut().filter(|sample| sample.end == 0) {
                sample.end = if end == 0 { sample.start.saturating_add(slot) } else { end };
            }
        }
        if let Some(last) = ready.last() {
            self.released = self.released.max(last.start);
        }
        ready
    }
}

fn same_slot(one: &Sample, other: &Sample) -> bool {
    one.start == other.start && one.cpu == other.cpu
}

fn add(to: &mut Sample, from: &Sample) {
    to.end = to.end.max(from.end);
    to.ran = to.ran.saturating_add(from.ran);
    to.switches = to.switches.saturating_add(from.switches);
    for (to, from) in to.counters.iter_mut().zip(&from.counters) {
        to.value = to.value.saturating_add(from.value);
        to.enabled = to.enabled.saturating_add(from.enabled);
        to.running = to.running.saturating_add(from.running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(start: u64, end: u64, cpu: u32, cgroup: u64) -> Sample {
        let mut counters = [Delta::default(); COUNTERS];
        counters[0] = Delta { value: 1, enabled: 2, running: 3 };
        Sample { start, end, cpu, cgroup: CgroupId(cgroup), task: None, ran: 10, switches: 1, counters }
    }

    fn keys(samples: &[Sample]) -> Vec<(u64, u64, u32, u64)> {
        samples.iter().map(|sample| (sample.start, sample.end, sample.cpu, sample.cgroup.0)).collect()
    }

    #[test]
    fn a_long_slot_holds_up_those_that_began_after_it() {
        let mut merger = Merger::new(10);
        for sample in [sample(20, 50, 0, 1), sample(20, 30, 1, 1), sample(30, 40, 1, 1), sample(10, 20, 1, 1)] {
            merger.push(sample);
        }
        assert_eq!(keys(&merger.release(45)), [(10, 20, 1, 1), (20, 30, 1, 1)]);
        assert_eq!(keys(&merger.release(50)), [(20, 50, 0, 1), (30, 40, 1, 1)]);
        assert_eq!(merger.late(), 0);
    }

    #[test]
    fn processors_are_merged_in_order_and_open_slots_wait() {
        let mut merger = Merger::new(100);
        for one in [sample(100, 200, 1, 7), sample(200, 300, 1, 7), sample(0, 100, 0, 5), sample(100, 200, 0, 9)] {
            merger.push(one);
        }
        assert_eq!(keys(&merger.release(200)), [(0, 100, 0, 5), (100, 200, 0, 9), (100, 200, 1, 7)]);
        assert!(merger.release(299).is_empty());
        assert_eq!(keys(&merger.release(300)), [(200, 300, 1, 7)]);
        assert_eq!(merger.late(), 0);
        merger.push(sample(100, 200, 0, 5));
        assert_eq!(keys(&merger.release(300)), [(100, 200, 0, 5)], "a late one is not lost");
        assert_eq!(merger.late(), 1);
    }

    #[test]
    fn what_was_handed_over_early_joins_the_rest_of_its_slot() {
        let mut merger = Merger::new(100);
        for one in
            [sample(0, 0, 0, 5), sample(0, 0, 0, 6), sample(0, 0, 0, 5), sample(0, 300, 0, 5), sample(0, 0, 1, 5)]
        {
            merger.push(one);
        }
        let samples = merger.release(300);
        assert_eq!(keys(&samples), [(0, 300, 0, 5), (0, 300, 0, 6), (0, 100, 1, 5)]);
        assert_eq!((samples[0].ran, samples[0].switches), (30, 3));
        assert_eq!(samples[0].counters[0], Delta { value: 3, enabled: 6, running: 9 });
    }

    #[test]
    fn a_record_is_read_as_the_kernel_writes_it() {
        let mut bytes = vec![0_u8; record_size(2)];
        let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        for (index, value) in [1000, 2000, 77, 3 | 42 << 32].into_iter().enumerate() {
            put(8 * index, value);
        }
        for (index, value) in [500, 4, 1, 2, 3, 4, 5, 6].into_iter().enumerate() {
            put(48 + 8 * index, value);
        }
        bytes[32..35].copy_from_slice(b"cat");
        let sample = decode(&bytes, 2, true).unwrap();
        assert_eq!(keys(&[sample]), [(1000, 2000, 3, 77)]);
        assert_eq!((sample.ran, sample.switches), (500, 4));
        assert_eq!(sample.counters[1], Delta { value: 4, enabled: 5, running: 6 });
        assert_eq!(sample.counters[2], Delta::default());
        let task = sample.task.unwrap();
        assert_eq!((task.pid, &task.comm[..4]), (42, &b"cat\0"[..]));
        assert_eq!(decode(&bytes, 2, false).unwrap().task, None);
        assert!(decode(&bytes, 3, false).is_none(), "it is too short for three");
        assert!(decode(&bytes, 9, false).is_none());
    }
}
