//! What was counted: plain values, as the kernel side gives them and everything else takes them.

/// The most counters that are read at once.
pub const MAX_COUNTERS: usize = 8;

/// A cgroup, by the number that the kernel's programs know: the inode of its directory in the cgroup2 hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupId(pub u64);

/// How far a counter came in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// What it counted, in its own unit. Not scaled.
    pub value: u64,
    /// For how long it was to count, in nanoseconds.
    pub enabled: u64,
    /// For how much of that it had a place in the processor's counters, in nanoseconds.
    pub running: u64,
}

/// A process, where samples are taken of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    /// Its number (the thread group's).
    pub pid: u32,
    /// Its name, as the kernel has it: at most 15 bytes, and zeros.
    pub comm: [u8; 16],
}

/// What one cgroup did on one processor in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When the slot began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start: u64,
    /// When it ended. Slots end at multiples of their length, or later where the tick was late: then this is later by one
    /// length or more.
    pub end: u64,
    /// The processor.
    pub cpu: u32,
    /// The cgroup.
    pub cgroup: CgroupId,
    /// The process, where samples are taken of processes.
    pub task: Option<Task>,
    /// For how long the cgroup's tasks ran there, in nanoseconds. Where the tick was late, that can exceed
    /// [`end`](Self::end) less [`start`](Self::start) by as much as it was late, up to nearly a slot's length: a slot ends at
    /// the last multiple of its length, and what ran is what ran until the tick. The slot after it has so much less. A share
    /// of a processor is best of several slots.
    pub ran: u64,
    /// How often the processor was taken from the cgroup.
    pub switches: u32,
    /// What was counted; the order is that of the configured counters, and what is beyond them is zero.
    pub counters: [Delta; MAX_COUNTERS],
}

/// Samples of one or more slots that are complete, ordered by their start, then by processor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The samples.
    pub samples: Vec<Sample>,
    /// Records that the kernel side could not hand over since the batch before: what they counted is in the totals, and
    /// in no sample.
    pub lost: u64,
}

/// What one cgroup did since counting began, on all processors together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The cgroup.
    pub cgroup: CgroupId,
    /// For how long its tasks ran, in nanoseconds.
    pub ran: u64,
    /// How often a processor was taken from it.
    pub switches: u64,
    /// What was counted, in the order of [`Sample::counters`].
    pub counters: [Delta; MAX_COUNTERS],
}
