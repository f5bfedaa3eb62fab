//! What the programs noticed, and what they cost.

use std::time::Duration;

use crate::abi::Stats;

/// What the programs noticed since they were attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Health {
    /// Records for which the ring had no room. What they counted is in the totals.
    pub lost: u64,
    /// Times that a cgroup had no room in the totals: raise [`Options::max_cgroups`](super::Options::max_cgroups).
    pub insert_failures: u64,
    /// What ran in that case, in nanoseconds.
    pub unplaced: u64,
    /// Counters that went backwards; each became a new baseline.
    pub backwards: u64,
    /// First readings, each a baseline: one for every opening of a processor's counters.
    pub baselines: u64,
    /// Readings that the kernel refused.
    pub read_failures: u64,
    /// Readings that showed a counter which stands still although it was started, as after its processor was off.
    pub frozen: u64,
    /// Records that were handed over before the end of their slot, as too many cgroups ran in it.
    pub early: u64,
    /// Ticks.
    pub ticks: u64,
    /// Slots that late ticks passed over.
    pub late_slots: u64,
    /// Ticks that came on another processor.
    pub strayed: u64,
    /// Timers that were started, at first and after idle time.
    pub arms: u64,
    /// Times that one program found another at work on the same state, and left.
    pub contended: u64,
    /// Changes of cgroup that the perf event missed.
    pub hook_missed: u64,
    /// What ran then, in nanoseconds; no cgroup was charged.
    pub unattributed: u64,
    /// Removed cgroups that were not told, as too many were at once. They are found by looking.
    pub removals_lost: u64,
    /// Nanoseconds spent in ticks, where they are measured.
    pub tick_time: u64,
    /// The longest tick in nanoseconds.
    pub tick_longest: u64,
}

impl Health {
    pub(super) fn add(&mut self, stats: &Stats) {
        self.lost += stats.lost;
        self.insert_failures += stats.insert_failures;
        self.unplaced += stats.unplaced;
        self.backwards += stats.backwards;
        self.baselines += stats.baselines;
        self.read_failures += stats.read_failures;
        self.frozen += stats.frozen;
        self.early += stats.early;
        self.ticks += stats.ticks;
        self.late_slots += stats.late;
        self.strayed += stats.strayed;
        self.arms += stats.arms;
        self.contended += stats.contended;
        self.hook_missed += stats.hook_missed;
        self.unattributed += stats.unattributed;
        self.removals_lost += stats.tombstones_lost;
        self.tick_time += stats.tick_time;
        self.tick_longest = self.tick_longest.max(stats.tick_longest);
    }
}

/// What a program cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTime {
    /// The program.
    pub program: String,
    /// How often it ran.
    pub runs: u64,
    /// For how long.
    pub time: Duration,
}
