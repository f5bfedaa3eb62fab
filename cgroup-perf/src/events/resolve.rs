//! From an event's name to what the kernel is asked for on this machine.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    Event,
    sysfs::{Encoded, Pmu},
};

const PERF_TYPE_HARDWARE: u32 = 0;
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_TYPE_RAW: u32 = 4;

/// Who counts an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The processor's own counters.
    Hardware,
    /// The kernel.
    Software,
    /// Another PMU of sysfs.
    Pmu,
}

/// An event as the kernel is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The event that was asked for.
    pub event: Event,
    /// Its name, for labels and columns. Where something else is counted than was asked for, this name says so.
    pub name: String,
    /// Who counts it.
    pub source: Source,
    /// What is counted exactly, in words.
    pub note: String,
    pub(crate) kind: u32,
    pub(crate) config: u64,
    pub(crate) config1: u64,
}

/// This machine has no such event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// sysfs does not know it.
    #[error("sysfs does not describe the event {event}")]
    Sysfs {
        /// The event.
        event: Event,
        /// What is missing.
        #[source]
        source: io::Error,
    },
    /// The processor's last-level cache cannot be counted by cgroup.
    #[error("no event of this processor counts misses of its last-level cache for what runs on it: {0}")]
    NoLlc(String),
}

/// Resolves events by what this machine's files say.
#[derive(Debug, Clone)]
pub struct Resolver {
    devices: PathBuf,
    vendor: Option<String>,
    arm: bool,
}

impl Resolver {
    /// For this machine.
    pub fn of_this_machine() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self::new(Path::new("/sys/bus/event_source/devices"), &cpuinfo, cfg!(target_arch = "aarch64"))
    }

    /// For a machine with these PMUs, this `/proc/cpuinfo`, and Arm or other processors.
    pub fn new(devices: &Path, cpuinfo: &str, arm: bool) -> Self {
        let vendor = cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == "vendor_id").then(|| value.trim().to_owned())
        });
        Self { devices: devices.to_owned(), vendor, arm }
    }

    /// What the kernel is to be asked for.
    pub fn resolve(&self, event: &Event) -> Result<Resolved, ResolveError> {
        let plain = |kind, config, source, note: &str| Resolved {
            event: event.clone(),
            name: event.to_string(),
            source,
            note: note.to_owned(),
            kind,
            config,
            config1: 0,
        };
        let hardware = |config, note| plain(PERF_TYPE_HARDWARE, config, Source::Hardware, note);
        Ok(match event {
            Event::Cycles => hardware(0, "cycles in which the processor was not halted, user and kernel"),
            Event::Instructions => hardware(1, "instructions that retired, user and kernel"),
            Event::LlcMisses => return self.llc_misses(event),
            Event::Software(software) => {
                plain(PERF_TYPE_SOFTWARE, software.row().1, Source::Software, "counted by the kernel")
            }
            Event::Raw(number) => {
                plain(PERF_TYPE_RAW, *number, Source::Hardware, "the processor's event of that number, if it has one")
            }
            Event::Pmu { pmu, event: name } => {
                let encoded = Pmu::new(&self.devices, pmu)
                    .encode(name)
                    .map_err(|source| ResolveError::Sysfs { event: event.clone(), source })?;
                self.of_pmu(event, pmu, encoded, format!("the event {name} of the PMU {pmu}"))
            }
        })
    }

    #[expect(clippy::unused_self, reason = "reads as the others")]
    fn of_pmu(&self, event: &Event, pmu: &str, encoded: Encoded, note: String) -> Resolved {
        let processor = pmu == "cpu" || pmu.starts_with("cpu_") || pmu.starts_with("armv");
        Resolved {
            event: event.clone(),
            name: event.to_string(),
            source: if processor { Source::Hardware } else { Source::Pmu },
            note,
            kind: encoded.kind,
            config: encoded.config,
            config1: encoded.config1,
        }
    }

    /// `PERF_COUNT_HW_CACHE_MISSES` means another thing on each vendor's processors.
    fn llc_misses(&self, event: &Event) -> Result<Resolved, ResolveError> {
        let generic = |name: &str, note: &str| Resolved {
            event: event.clone(),
            name: name.to_owned(),
            source: Source::Hardware,
            note: note.to_owned(),
            kind: PERF_TYPE_HARDWARE,
            config: 3,
            config1: 0,
        };
        if self.arm {
            // There it is the refill of the first-level data cache.
            return self.arm_llc_misses(event);
        }
        match self.vendor.as_deref() {
            Some("GenuineIntel") => Ok(generic("llc-misses", "the architectural event LLC Misses (0x412e)")),
            Some("AuthenticAMD" | "HygonGenuine") => Ok(generic(
                "l2-misses",
                "misses of the second-level cache (0x0964): the last level has counters of its own for each core \
                 complex, which know no task",
            )),
            Some(other) => Err(ResolveError::NoLlc(format!("the vendor is {other}"))),
            None => Err(ResolveError::NoLlc("/proc/cpuinfo names no vendor".to_owned())),
        }
    }

    fn arm_llc_misses(&self, event: &Event) -> Result<Resolved, ResolveError> {
        const NAME: &str = "ll_cache_miss_rd";
        let entries =
            std::fs::read_dir(&self.devices).map_err(|source| ResolveError::Sysfs { event: event.clone(), source })?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("armv"))
            .collect();
        names.sort();
        // The kernel takes any number of an event: only what it lists is there.
        for name in names {
            let pmu = Pmu::new(&self.devices, &name);
            if pmu.exists() && pmu.has_event(NAME) {
                let encoded =
                    pmu.encode(NAME).map_err(|source| ResolveError::Sysfs { event: event.clone(), source })?;
                let note = format!("LL_CACHE_MISS_RD of {name}: reads that missed the last-level cache");
                let mut resolved = self.of_pmu(event, &name, encoded, note);
                "llc-misses".clone_into(&mut resolved.name);
                return Ok(resolved);
            }
        }
        Err(ResolveError::NoLlc("no Arm PMU lists ll_cache_miss_rd among its events".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(cpuinfo: &str) -> Resolver {
        Resolver::new(Path::new("/nonexistent"), cpuinfo, false)
    }

    #[test]
    fn llc_misses_are_said_to_be_what_they_are() {
        let intel = on("vendor_id\t: GenuineIntel\n").resolve(&Event::LlcMisses).unwrap();
        assert_eq!((intel.name.as_str(), intel.kind, intel.config), ("llc-misses", 0, 3));
        let amd = on("processor\t: 0\nvendor_id\t: AuthenticAMD\n").resolve(&Event::LlcMisses).unwrap();
        assert_eq!(amd.name, "l2-misses");
        assert!(on("").resolve(&Event::LlcMisses).is_err());
    }

    #[test]
    fn on_arm_they_are_counted_only_where_they_are_listed() {
        let devices = tempfile::tempdir().unwrap();
        let resolver = Resolver::new(devices.path(), "", true);
        assert!(matches!(resolver.resolve(&Event::LlcMisses), Err(ResolveError::NoLlc(_))));
        let pmu = devices.path().join("armv8_pmuv3_0");
        std::fs::create_dir_all(pmu.join("events")).unwrap();
        std::fs::create_dir_all(pmu.join("format")).unwrap();
        std::fs::write(pmu.join("type"), "8").unwrap();
        std::fs::write(pmu.join("format/event"), "config:0-15").unwrap();
        assert!(resolver.resolve(&Event::LlcMisses).is_err());
        std::fs::write(pmu.join("events/ll_cache_miss_rd"), "event=0x0037").unwrap();
        let found = resolver.resolve(&Event::LlcMisses).unwrap();
        assert_eq!((found.name.as_str(), found.kind, found.config), ("llc-misses", 8, 0x37));
        assert_eq!(found.source, Source::Hardware);
    }

    #[test]
    fn a_pmu_that_is_not_there_is_named() {
        let error = on("").resolve(&"msr/tsc/".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("msr/tsc/"), "{error}");
    }
}
