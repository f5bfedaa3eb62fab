//! What this kernel gave: said once, after loading.

use std::fmt;

use crate::{
    events::{CoreType, Event, Resolved, Source},
    mount::Survey,
};

/// Which program accounts for changes of cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hook {
    /// The tracepoint `sched_switch`, with type information.
    SchedSwitch,
    /// The perf event `cgroup-switches`.
    CgroupSwitches,
    /// The raw tracepoint `sched_switch`.
    SchedSwitchRaw,
}

/// What ends slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timer {
    /// A timer to an absolute time, pinned to its processor.
    AbsolutePinned,
    /// A timer to an absolute time.
    Absolute,
    /// A timer to a relative time.
    Relative,
    /// A perf event on the processor's clock.
    PerfClock,
}

/// An event that is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The event.
    pub event: Event,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.event, self.reason)
    }
}

/// What is counted here, by what, and why not something better.
///
/// Its text is a statement for people:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cgroup_perf::loader::{Loader, Options};
///
/// let attached = Loader::new().load(&Options::default())?;
/// println!("{}", attached.capabilities());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Who accounts.
    pub hook: Hook,
    /// Why nothing better does.
    pub hook_reason: Option<String>,
    /// What ends slots. Where processors differ, the weakest.
    pub timer: Timer,
    /// Why nothing better does.
    pub timer_reason: Option<String>,
    /// Idle processors stop their ticks.
    pub tickless_idle: bool,
    /// Removed cgroups are told by the kernel, rather than found missing.
    pub removals: bool,
    /// Whether the cgroups that can be counted are those that the host uses.
    pub hierarchy: Survey,
    /// What is counted, in the order of [`Sample::counters`](crate::sample::Sample::counters).
    pub counters: Vec<Resolved>,
    /// In how many groups the counters are. Those of one group count at the same time.
    pub groups: u32,
    /// What was asked for and is not counted.
    pub missing: Vec<Missing>,
    /// The kinds of processors, where there are several: which of them count an event is in [`Resolved::note`].
    pub core_types: Vec<CoreType>,
}

impl Capabilities {
    /// Whether the processor's own counters are read.
    pub fn hardware(&self) -> bool {
        self.counters.iter().any(|counter| counter.source == Source::Hardware)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hook = match self.hook {
            Hook::SchedSwitch => "the tracepoint sched_switch",
            Hook::CgroupSwitches => "the perf event cgroup-switches",
            Hook::SchedSwitchRaw => "the raw tracepoint sched_switch",
        };
        write!(f, "accounted by {hook}")?;
        if let Some(reason) = &self.hook_reason {
            write!(f, " ({reason})")?;
        }
        let timer = match self.timer {
            Timer::AbsolutePinned => "absolute pinned timers",
            Timer::Absolute => "absolute timers",
            Timer::Relative => "relative timers",
            Timer::PerfClock => "perf events on the processors' clocks",
        };
        write!(f, "; slots end by {timer}")?;
        if let Some(reason) = &self.timer_reason {
            write!(f, " ({reason})")?;
        }
        write!(f, "; {}", self.hierarchy)?;
        if !self.core_types.is_empty() {
            let kinds: Vec<_> = self.core_types.iter().map(ToString::to_string).collect();
            write!(f, "; processors are of several kinds: {}", kinds.join(", "))?;
        }
        if !self.hardware() {
            write!(f, "; none of the processor's own counters is read")?;
        }
        for counter in &self.counters {
            write!(f, "; {}: {}", counter.name, counter.note)?;
        }
        for missing in &self.missing {
            write!(f, "; not counted: {missing}")?;
        }
        Ok(())
    }
}
