//! The layouts that the kernel's programs and user space share.
//!
//! The kernel side includes this very file, so it depends on nothing. Whoever changes a layout here builds the object
//! again (`cargo xtask build-ebpf`).

/// The most counters that are read at once.
pub const MAX_COUNTERS: usize = 8;

/// How many cgroups (or processes) a processor keeps apart in one slot before it hands one of them over early. A power
/// of two.
pub const SLOT_RECORDS: usize = 64;

/// How many places are tried for a cgroup among [`SLOT_RECORDS`].
pub const PROBES: usize = 4;

/// The cgroup2 root, where idle processors and kernel threads are.
pub const ROOT_CGROUP: u64 = 1;

/// How far a counter is, or came: `struct bpf_perf_event_value`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The count.
    pub value: u64,
    /// For how long it was to count, in nanoseconds.
    pub enabled: u64,
    /// For how long it did, in nanoseconds.
    pub running: u64,
}

/// What was counted: the value of the map of totals, by processor and cgroup.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// For how long tasks of the cgroup ran, in nanoseconds.
    pub ran: u64,
    /// How often the processor was taken from the cgroup.
    pub switches: u64,
    /// The counters, in the configured order.
    pub counters: [Reading; MAX_COUNTERS],
}

/// What one cgroup did on one processor in one slot: what goes through the ring, cut after the configured counters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the slot began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start: u64,
    /// When it ended; zero where the record was handed over before the end.
    pub end: u64,
    /// The cgroup; zero where the place is free.
    pub cgroup: u64,
    /// The processor.
    pub cpu: u32,
    /// The process, or zero where samples are not taken of processes.
    pub pid: u32,
    /// Its name.
    pub comm: [u8; 16],
    /// What was counted.
    pub sums: Sums,
}

/// The bytes of a [`Record`] with so many counters.
#[must_use]
pub const fn record_size(counters: usize) -> usize {
    size_of::<Record>() - (MAX_COUNTERS - counters) * size_of::<Reading>()
}

/// The state of one processor. Only that processor's programs write it, but for `armed`.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct CpuState {
    /// The [`Control::generation`] that the last readings are of.
    pub generation: u32,
    /// A program is at work on this state.
    pub busy: u32,
    /// A timer is under way ([`ARMED`]), or is to be started (0), or cannot be had ([`NO_TIMER`]).
    pub armed: u32,
    /// The timer was initialised.
    pub timer_ready: u32,
    /// The first of the timer's modes that the kernel took.
    pub mode: u32,
    /// A change of cgroup was seen for which the perf event's program has not run yet.
    pub expect: u32,
    /// The perf event's program does not run: the tracepoint's accounts for changes of cgroup.
    pub hook_dead: u32,
    /// How many of `order` are taken.
    pub used: u32,
    /// When the slot began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub slot_start: u64,
    /// When the last tick was.
    pub ticked: u64,
    /// How much of the time since then is accounted for, in nanoseconds, idle time included.
    pub accounted: u64,
    /// Who was accounted last: where the hook cannot tell whether the cgroup changes.
    pub previous: u64,
    /// The same, the process.
    pub previous_pid: u64,
    /// The last readings.
    pub last: [Reading; MAX_COUNTERS],
    /// Where a reading goes first.
    pub fresh: Reading,
    /// The places of `records` that are taken, in the order they were.
    pub order: [u8; SLOT_RECORDS],
    /// What was counted in this slot. The last one takes what nobody is charged for.
    pub records: [Record; SLOT_RECORDS + 1],
}

/// [`CpuState::armed`]: the timer is under way.
pub const ARMED: u32 = 1;
/// [`CpuState::armed`]: no mode of the timer is taken by this kernel.
pub const NO_TIMER: u32 = 2;

/// What user space tells the programs of one processor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Changes whenever the processor's counters were opened anew. Odd while they are being opened.
    pub generation: u32,
    /// Records go through the ring.
    pub emit: u32,
}

/// What the programs of one processor noticed: the value of a per-CPU array of one element.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records for which the ring had no room.
    pub lost: u64,
    /// Times that a cgroup could not be put into the map of totals.
    pub insert_failures: u64,
    /// What ran in that case, in nanoseconds.
    pub unplaced: u64,
    /// Counters that went backwards, or whose enabled or running time did.
    pub backwards: u64,
    /// First readings that became a baseline, by processor.
    pub baselines: u64,
    /// Readings that failed.
    pub read_failures: u64,
    /// Records that were handed over before the end of their slot, for want of room.
    pub early: u64,
    /// Ticks.
    pub ticks: u64,
    /// Slots that were passed over by late ticks.
    pub late: u64,
    /// Ticks that came on another processor.
    pub strayed: u64,
    /// Times that the timer was started from the tracepoint.
    pub arms: u64,
    /// The error of the last mode of the timer that was not taken, as a positive number.
    pub timer_error: u64,
    /// Which mode of the timer runs: one more than its number; 0 where none was started yet.
    pub timer_mode: u64,
    /// Times that one program found another at work on the same processor's state.
    pub contended: u64,
    /// Changes of cgroup for which the perf event's program did not run.
    pub hook_missed: u64,
    /// What ran then, in nanoseconds; no cgroup is charged for it.
    pub unattributed: u64,
    /// Readings of the first counter by which it was enabled for no time: it is frozen.
    pub frozen: u64,
    /// Tombstones for which the map had no room.
    pub tombstones_lost: u64,
    /// Nanoseconds spent in ticks, where they are measured.
    pub tick_time: u64,
    /// The longest tick.
    pub tick_longest: u64,
}

/// The timer's modes, in the order they are tried: absolute on this processor, absolute, relative.
pub const TIMER_MODES: u32 = 3;

/// [`Stats::timer_mode`] where no mode was taken.
pub const TIMER_FAILED: u64 = 255;

/// The hook accounts for changes of cgroup in the tracepoint `sched_switch`.
pub const HOOK_TRACEPOINT: u32 = 0;
/// A program on the perf event `cgroup-switches` does.
pub const HOOK_PERF_EVENT: u32 = 1;

const _: () = assert!(size_of::<Reading>() == 24);
const _: () = assert!(size_of::<Sums>() == 16 + 24 * MAX_COUNTERS);
const _: () = assert!(size_of::<Record>() == 256);
const _: () = assert!(record_size(MAX_COUNTERS) == 256);
const _: () = assert!(record_size(3) == 136);
const _: () = assert!(size_of::<Control>() == 8);
const _: () = assert!(size_of::<Stats>() == 20 * 8);
const _: () = assert!(size_of::<CpuState>() == 17_024);
const _: () = assert!(align_of::<CpuState>() == 64);
const _: () = assert!(SLOT_RECORDS.is_power_of_two() && SLOT_RECORDS <= 256);
