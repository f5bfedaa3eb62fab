//! What the guest measured, a line for each check. The host reads the lines with this very file, and judges them.

use serde::{Deserialize, Serialize};

/// What a line of the report begins with; everything else on the console is the kernel's.
pub(crate) const MARK: &str = "vm-test: ";

/// One line, after when it was written, in milliseconds since the machine's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Line {
    /// What the kernel gave to the defaults.
    Capabilities(Given),
    /// Cgroups that did a known amount of work.
    Work(Work),
    /// Both processors were busy all of the time.
    Whole(Whole),
    /// More counters than the processor has.
    Multiplexed(Multiplexed),
    /// A processor was turned off and on.
    Hotplug(Hotplug),
    /// Cgroups were made, worked in and removed.
    Removed(Removed),
    /// The programs' own messages.
    Log {
        /// Each a line, as a subscriber writes it.
        messages: Vec<String>,
    },
    /// A check came to no end.
    Failed {
        /// Which one.
        what: String,
        /// Why.
        error: String,
    },
    /// The last line.
    Done {
        /// How many came before it.
        lines: usize,
    },
}

/// What the kernel gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    pub(crate) kernel: String,
    pub(crate) hook: String,
    pub(crate) timer: String,
    pub(crate) timer_reason: Option<String>,
    pub(crate) hierarchy: String,
    pub(crate) groups: u32,
    pub(crate) hardware: bool,
    pub(crate) counters: Vec<String>,
    pub(crate) missing: Vec<String>,
    /// The statement for people.
    pub(crate) text: String,
}

/// One counter of one cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: u64,
    pub(crate) enabled: u64,
    pub(crate) running: u64,
    pub(crate) quality: String,
    /// The count that the crate makes of it, scaled where it is to be.
    pub(crate) count: Option<u64>,
}

/// What one cgroup did, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// By the kernel's `cpu.stat`, in whole microseconds.
    pub(crate) truth: u64,
    /// By the totals.
    pub(crate) ran: u64,
    pub(crate) switches: u64,
    pub(crate) counters: Vec<Figure>,
    /// The samples add up to the totals, to the last digit.
    pub(crate) samples_agree: bool,
}

/// What the programs noticed. All of it should be zero, but for what a check says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Noticed {
    pub(crate) lost: u64,
    pub(crate) insert_failures: u64,
    pub(crate) backwards: u64,
    pub(crate) read_failures: u64,
    pub(crate) contended: u64,
    pub(crate) removals_lost: u64,
    pub(crate) unattributed: u64,
    pub(crate) frozen: u64,
}

/// See [`Line::Work`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Work {
    pub(crate) what: String,
    pub(crate) hook: String,
    pub(crate) accounts: Vec<Account>,
    pub(crate) noticed: Noticed,
}

/// See [`Line::Whole`]: sums over all cgroups, processors and slots of a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whole {
    pub(crate) processors: usize,
    /// Slots, on all processors together.
    pub(crate) slots: usize,
    /// Their length.
    pub(crate) wall: u64,
    pub(crate) ran: u64,
    pub(crate) cycles: u64,
    pub(crate) instructions: u64,
    /// Samples whose cycles are not exact.
    pub(crate) inexact: usize,
    pub(crate) noticed: Noticed,
}

/// See [`Line::Multiplexed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Multiplexed {
    pub(crate) groups: u32,
    pub(crate) account: Account,
    /// Of the samples' last counter, how many are of each quality.
    pub(crate) samples: Vec<(String, usize)>,
    pub(crate) noticed: Noticed,
}

/// See [`Line::Hotplug`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hotplug {
    /// The hook that was chosen.
    pub(crate) by: String,
    /// For how long the processor was off.
    pub(crate) off: u64,
    /// Worked on it before.
    pub(crate) before: Account,
    /// Worked on it from the moment on that it was back.
    pub(crate) gap: Account,
    /// Of that, what the first counter's sum says of standing still.
    pub(crate) stalled: u64,
    /// Worked on it after its counters were opened anew.
    pub(crate) after: Account,
    /// On the other processor, all the while.
    pub(crate) other: Account,
    pub(crate) reopened: u64,
    /// How often all totals were read meanwhile.
    pub(crate) readings: usize,
    /// How often one of them was less than before.
    pub(crate) fell: usize,
    /// The most that the sum of all of them came forward, in percent of what the processors can.
    pub(crate) leap: u64,
    pub(crate) noticed: Noticed,
}

/// See [`Line::Removed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removed {
    pub(crate) cgroups: usize,
    /// Sums over all of them: by `cpu.stat`, by the samples, and their cycles.
    pub(crate) truth: u64,
    pub(crate) ran: u64,
    pub(crate) cycles: u64,
    /// The most by which one of them is off.
    pub(crate) worst: u64,
    /// Those that are off by more than 0.1 ms: the processor, and what they ran by `cpu.stat` and by the samples.
    pub(crate) astray: Vec<(u32, u64, u64)>,
    /// Those that nothing was counted for.
    pub(crate) absent: usize,
    /// Ids that are of no cgroup that there was.
    pub(crate) unknown: usize,
    /// One that worked a little all the while.
    pub(crate) stranger: Account,
    /// The most places that were taken at once.
    pub(crate) most_places: usize,
    /// Totals that were gone before the grace time was over.
    pub(crate) early: usize,
    /// Places that were still taken at the end.
    pub(crate) left: usize,
    pub(crate) reclaimed: u64,
    pub(crate) noticed: Noticed,
}
