//! What a user may choose.

use std::time::Duration;

use crate::{abi::MAX_COUNTERS, events::Event};

use super::LoadError;

/// Which program accounts for changes of cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HookChoice {
    /// The best that this kernel has: [`HookChoice::SchedSwitch`] where it gives its type information, else
    /// [`HookChoice::SchedSwitchRaw`].
    #[default]
    Auto,
    /// The tracepoint `sched_switch` with type information. It compares the cgroups of the two tasks, so that only
    /// changes cost more than some nanoseconds.
    SchedSwitch,
    /// The perf event `cgroup-switches`. The tracepoint stays for idle time and timers, and takes over where the event
    /// falls silent.
    CgroupSwitches,
    /// The raw tracepoint `sched_switch`: accounts at every switch, and needs no type information.
    SchedSwitchRaw,
}

/// What ends slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TimerChoice {
    /// The first of the others that this kernel takes.
    #[default]
    Auto,
    /// A timer to an absolute time, pinned to its processor (Linux 6.7).
    AbsolutePinned,
    /// A timer to an absolute time (Linux 6.4).
    Absolute,
    /// A timer to a relative time (Linux 5.15).
    Relative,
    /// A perf event on the processor's clock: not aligned across processors.
    PerfClock,
}

/// What is loaded, and how. Start from the default and change fields.
///
/// ```
/// use std::time::Duration;
///
/// let mut options = cgroup_perf::loader::Options::default();
/// options.counters = vec!["cycles".parse().unwrap(), "r412e".parse().unwrap()];
/// options.slot = Duration::from_millis(10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Options {
    /// What to count, at most [`MAX_COUNTERS`](crate::sample::MAX_COUNTERS) events.
    pub counters: Vec<Event>,
    /// Count [`Event::WITHOUT_PMU`] where none of the counters can be had.
    pub software_fallback: bool,
    /// The length of a slot, 100 µs to 1 s.
    pub slot: Duration,
    /// The program that accounts.
    pub hook: HookChoice,
    /// What ends slots.
    pub timer: TimerChoice,
    /// Samples of processes within their cgroup, rather than of cgroups. Then every switch between processes costs.
    pub per_task: bool,
    /// Samples go through the ring; otherwise there are totals alone.
    pub samples: bool,
    /// How many cgroups have room in the totals, removed ones within their grace time included. Memory is taken at the
    /// start: some 250 bytes for each, on each processor.
    pub max_cgroups: u32,
    /// The ring's size in bytes; a power of two, at least a page.
    pub ring_bytes: u32,
    /// Messages of the programs go to `tracing`, target `cgroup_perf::kernel`.
    pub kernel_log: bool,
    /// Measure ticks: their time is in [`Health`](crate::loader::Health). Costs one clock read for each.
    pub measure_ticks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            counters: Event::DEFAULT.to_vec(),
            software_fallback: true,
            slot: Duration::from_millis(1),
            hook: HookChoice::Auto,
            timer: TimerChoice::Auto,
            per_task: false,
            samples: true,
            max_cgroups: 2048,
            ring_bytes: 4 << 20,
            kernel_log: false,
            measure_ticks: false,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), LoadError> {
        let wrong = |what| Err(LoadError::Options(what));
        if self.counters.is_empty() || self.counters.len() > MAX_COUNTERS {
            return wrong("there are 1 to 8 counters");
        }
        if self.slot < Duration::from_micros(100) || self.slot > Duration::from_secs(1) {
            return wrong("a slot lasts 100 µs to 1 s");
        }
        if !(16..=1 << 20).contains(&self.max_cgroups) {
            return wrong("there is room for 16 to 1,048,576 cgroups");
        }
        if !self.ring_bytes.is_power_of_two() || !(4096..=1 << 30).contains(&self.ring_bytes) {
            return wrong("the ring's size is a power of two, 4 KiB to 1 GiB");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_with_the_bounds() {
        assert!(Options::default().check().is_ok());
        let refused = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert!(refused(|options| options.counters.clear()).contains("1 to 8"));
        assert!(refused(|options| options.counters = vec![Event::Cycles; 9]).contains("1 to 8"));
        assert!(refused(|options| options.slot = Duration::from_micros(99)).contains("100 µs"));
        assert!(refused(|options| options.slot = Duration::from_millis(1001)).contains("1 s"));
        assert!(refused(|options| options.max_cgroups = 0).contains("cgroups"));
        assert!(refused(|options| options.ring_bytes = 5000).contains("power of two"));
    }
}
