//! What is counted: events by name, as users write them and as the kernel takes them.

mod cores;
mod resolve;
mod sysfs;

use std::{fmt, str::FromStr};

pub use cores::CoreType;
pub use resolve::{ResolveError, Resolved, Resolver, Source};
pub(crate) use sysfs::Encoded;

/// An event that can be counted.
///
/// ```
/// use cgroup_perf::events::{Event, Software};
///
/// assert_eq!("cycles".parse(), Ok(Event::Cycles));
/// assert_eq!("page-faults".parse(), Ok(Event::Software(Software::PageFaults)));
/// assert_eq!("r412e".parse(), Ok(Event::Raw(0x412e)));
/// assert_eq!("msr/tsc/".parse::<Event>().unwrap().to_string(), "msr/tsc/");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// Cycles in which the processor was not halted.
    Cycles,
    /// Instructions that retired.
    Instructions,
    /// Misses of the last-level cache, or what the processor has in their stead: which event that is depends on the
    /// vendor, and is said in [`Resolved::note`].
    LlcMisses,
    /// What the kernel counts itself.
    Software(Software),
    /// An event by the number that the processor's manual gives it (perf's `rNNN`).
    ///
    /// That it can be opened is no proof that the processor has it: some kernels take any number.
    Raw(u64),
    /// An event of a PMU under `/sys/bus/event_source/devices`: a name under its `events`, or terms of its `format`
    /// (`event=0x3c,umask=0x01`).
    Pmu {
        /// The PMU.
        pmu: String,
        /// The event's name, or its terms.
        event: String,
    },
}

/// What the kernel counts itself, on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Software {
    /// Nanoseconds that tasks ran.
    TaskClock,
    /// Nanoseconds of the processor's clock.
    CpuClock,
    /// Switches of tasks.
    ContextSwitches,
    /// Page faults.
    PageFaults,
    /// Page faults that waited for a disk.
    MajorFaults,
    /// Tasks that came from another processor.
    Migrations,
}

impl Software {
    const ALL: [(Self, &'static str, u64); 6] = [
        (Self::CpuClock, "cpu-clock", 0),
        (Self::TaskClock, "task-clock", 1),
        (Self::PageFaults, "page-faults", 2),
        (Self::ContextSwitches, "context-switches", 3),
        (Self::Migrations, "migrations", 4),
        (Self::MajorFaults, "major-faults", 6),
    ];

    fn row(self) -> (&'static str, u64) {
        Self::ALL
            .iter()
            .find(|(event, ..)| *event == self)
            .map_or(("cpu-clock", 0), |(_, name, config)| (name, *config))
    }
}

impl Event {
    /// What is counted unless something else is asked for.
    pub const DEFAULT: [Self; 3] = [Self::Cycles, Self::Instructions, Self::LlcMisses];

    /// What is counted in their stead where the processor's counters cannot be had.
    pub const WITHOUT_PMU: [Self; 4] = [
        Self::Software(Software::TaskClock),
        Self::Software(Software::ContextSwitches),
        Self::Software(Software::PageFaults),
        Self::Software(Software::Migrations),
    ];
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycles => f.write_str("cycles"),
            Self::Instructions => f.write_str("instructions"),
            Self::LlcMisses => f.write_str("llc-misses"),
            Self::Software(event) => f.write_str(event.row().0),
            Self::Raw(number) => write!(f, "r{number:x}"),
            Self::Pmu { pmu, event } => write!(f, "{pmu}/{event}/"),
        }
    }
}

/// The text names no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no event {0:?}: write cycles, instructions, llc-misses, task-clock, cpu-clock, context-switches, page-faults, \
     major-faults, migrations, rHEX, or PMU/EVENT/ (a directory of /sys/bus/event_source/devices and a name in its events)"
)]
pub struct ParseEventError(String);

impl FromStr for Event {
    type Err = ParseEventError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseEventError(text.chars().take(80).collect());
        let name = text.trim();
        if let Some((event, ..)) = Software::ALL.iter().find(|(_, known, _)| *known == name) {
            return Ok(Self::Software(*event));
        }
        match name {
            "cycles" => return Ok(Self::Cycles),
            "instructions" => return Ok(Self::Instructions),
            "llc-misses" => return Ok(Self::LlcMisses),
            _ => {}
        }
        if let Some((pmu, event)) = name.split_once('/') {
            let event = event.strip_suffix('/').unwrap_or(event);
            // Both become parts of paths.
            let plain = |part: &str, also: &[u8]| {
                !part.is_empty()
                    && part.len() <= 128
                    && !part.starts_with('.')
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
            };
            if plain(pmu, b"_-.") && plain(event, b"_-.=,") {
                return Ok(Self::Pmu { pmu: pmu.to_owned(), event: event.to_owned() });
            }
            return Err(error());
        }
        let hex = name.strip_prefix('r').ok_or_else(error)?;
        if hex.starts_with('+') {
            return Err(error());
        }
        u64::from_str_radix(hex, 16).map(Self::Raw).map_err(|_| error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for name in [
            "cycles",
            "instructions",
            "llc-misses",
            "task-clock",
            "cpu-clock",
            "context-switches",
            "page-faults",
            "major-faults",
            "migrations",
            "r412e",
            "msr/tsc/",
            "cpu/event=0x3c,umask=0x1/",
        ] {
            assert_eq!(name.parse::<Event>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for bad in
            ["", "r", "rxyz", "r+1", "r11111111111111111", "cycle", "../x/y/", "msr/../", "msr//", "/tsc/", "a b/c/"]
        {
            assert!(bad.parse::<Event>().is_err(), "{bad:?}");
        }
    }
}
