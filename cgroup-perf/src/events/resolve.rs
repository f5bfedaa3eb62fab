//! From an event's name to what the kernel is asked for on this machine.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    CoreType, Event,
    cores::core_types,
    sysfs::{Encoded, Pmu},
};
use crate::cpus;

const PERF_TYPE_HARDWARE: u32 = 0;
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_TYPE_RAW: u32 = 4;
/// `PERF_COUNT_HW_CACHE_MISSES`.
const CACHE_MISSES: u64 = 3;
/// Where a PMU's number stands in a hardware event's (`PERF_PMU_TYPE_SHIFT`).
const PMU_TYPE_SHIFT: u32 = 32;

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
    /// What is counted exactly, in words; where processors are of several kinds, on which of them.
    pub note: String,
    pub(crate) encodings: Encodings,
}

/// By what numbers the kernel knows an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Encodings {
    /// The same on each processor.
    Same(Encoded),
    /// Those of each kind of processors that has it.
    ByCores(Vec<(CoreType, Encoded)>),
}

impl Resolved {
    /// The numbers on a processor; none where its kind has no such event.
    pub(crate) fn on(&self, cpu: u32) -> Option<Encoded> {
        match &self.encodings {
            Encodings::Same(encoded) => Some(*encoded),
            Encodings::ByCores(each) => {
                each.iter().find(|(cores, _)| cores.cpus.contains(&cpu)).map(|(_, encoded)| *encoded)
            }
        }
    }
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
    cores: Vec<CoreType>,
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
        Self { devices: devices.to_owned(), vendor, arm, cores: core_types(devices) }
    }

    /// The kinds of processors, where there are several; none where all are alike.
    pub fn core_types(&self) -> &[CoreType] {
        if self.cores.len() > 1 { &self.cores } else { &[] }
    }

    /// What the kernel is to be asked for.
    pub fn resolve(&self, event: &Event) -> Result<Resolved, ResolveError> {
        match event {
            Event::Cycles => {
                Ok(self.generic(event, "cycles", 0, "cycles in which the processor was not halted, user and kernel"))
            }
            Event::Instructions => {
                Ok(self.generic(event, "instructions", 1, "instructions that retired, user and kernel"))
            }
            Event::LlcMisses => self.llc_misses(event),
            Event::Software(software) => {
                let encoded = Encoded { kind: PERF_TYPE_SOFTWARE, config: software.row().1, config1: 0 };
                Ok(Resolved {
                    event: event.clone(),
                    name: event.to_string(),
                    source: Source::Software,
                    note: "counted by the kernel".to_owned(),
                    encodings: Encodings::Same(encoded),
                })
            }
            Event::Raw(number) => {
                let note = "the processor's event of that number, if it has one";
                let one = Encoded { kind: PERF_TYPE_RAW, config: *number, config1: 0 };
                // Raw numbers are the first kind's otherwise.
                Ok(self.on_all(event, &event.to_string(), note, one, |cores| Encoded { kind: cores.kind, ..one }))
            }
            Event::Pmu { pmu, event: name } => {
                let encoded = self.encode(event, pmu, name)?;
                let cores =
                    self.core_types().iter().find(|cores| cores.pmu == *pmu).map(|cores| (cores.clone(), encoded));
                let processor = cores.is_some() || is_processors(pmu);
                let on = cores.as_ref().map(|(cores, _)| format!(" (processors {})", cpus::list(&cores.cpus)));
                Ok(Resolved {
                    event: event.clone(),
                    name: event.to_string(),
                    source: if processor { Source::Hardware } else { Source::Pmu },
                    note: format!("the event {name} of the PMU {pmu}{}", on.unwrap_or_default()),
                    encodings: cores.map_or(Encodings::Same(encoded), |one| Encodings::ByCores(vec![one])),
                })
            }
        }
    }

    fn encode(&self, event: &Event, pmu: &str, name: &str) -> Result<Encoded, ResolveError> {
        let encoded = Pmu::new(&self.devices, pmu).encode(name);
        encoded.map_err(|source| ResolveError::Sysfs { event: event.clone(), source })
    }

    /// One of the kernel's own numbers of hardware events.
    fn generic(&self, event: &Event, name: &str, config: u64, note: &str) -> Resolved {
        let one = Encoded { kind: PERF_TYPE_HARDWARE, config, config1: 0 };
        self.on_all(event, name, note, one, |cores| {
            // On Arm the kernel finds the processor's PMU itself; elsewhere the number names it, and the first kind's is
            // taken where it names none (Linux 5.13).
            if self.arm { one } else { Encoded { config: config | u64::from(cores.kind) << PMU_TYPE_SHIFT, ..one } }
        })
    }

    /// An event that each kind of processors has, under numbers that may be its own.
    fn on_all(
        &self,
        event: &Event,
        name: &str,
        note: &str,
        one: Encoded,
        on: impl Fn(&CoreType) -> Encoded,
    ) -> Resolved {
        let each: Vec<_> = self.core_types().iter().map(|cores| (cores.clone(), on(cores))).collect();
        let mut note = note.to_owned();
        if !each.is_empty() {
            note = format!("{note}, by {}", names(each.iter().map(|(cores, _)| cores)));
        }
        Resolved {
            event: event.clone(),
            name: name.to_owned(),
            source: Source::Hardware,
            note,
            encodings: if each.is_empty() { Encodings::Same(one) } else { Encodings::ByCores(each) },
        }
    }

    /// `PERF_COUNT_HW_CACHE_MISSES` means another thing on each vendor's processors.
    fn llc_misses(&self, event: &Event) -> Result<Resolved, ResolveError> {
        if self.arm {
            // There it is the refill of the first-level data cache.
            return self.arm_llc_misses(event);
        }
        match self.vendor.as_deref() {
            Some("GenuineIntel") => {
                Ok(self.generic(event, "llc-misses", CACHE_MISSES, "the architectural event LLC Misses (0x412e)"))
            }
            Some("AuthenticAMD" | "HygonGenuine") => Ok(self.generic(
                event,
                "l2-misses",
                CACHE_MISSES,
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
            .filter(|name| is_processors(name))
            .collect();
        names.sort();
        // The kernel takes any number of an event: only what it lists is there.
        names.retain(|name| {
            let pmu = Pmu::new(&self.devices, name);
            pmu.exists() && pmu.has_event(NAME)
        });
        let Some(first) = names.first() else {
            return Err(ResolveError::NoLlc("no Arm PMU lists ll_cache_miss_rd among its events".to_owned()));
        };
        let mut each = Vec::new();
        for cores in self.core_types().iter().filter(|cores| names.contains(&cores.pmu)) {
            each.push((cores.clone(), self.encode(event, &cores.pmu, NAME)?));
        }
        let by = if each.is_empty() { first.clone() } else { self::names(each.iter().map(|(cores, _)| cores)) };
        Ok(Resolved {
            event: event.clone(),
            name: "llc-misses".to_owned(),
            source: Source::Hardware,
            note: format!("LL_CACHE_MISS_RD of {by}: reads that missed the last-level cache"),
            encodings: if each.is_empty() {
                Encodings::Same(self.encode(event, first, NAME)?)
            } else {
                Encodings::ByCores(each)
            },
        })
    }
}

/// Whether a PMU is of processors, by its name.
fn is_processors(pmu: &str) -> bool {
    pmu == "cpu" || pmu.starts_with("cpu_") || pmu.starts_with("armv")
}

fn names<'a>(cores: impl Iterator<Item = &'a CoreType>) -> String {
    cores.map(CoreType::to_string).collect::<Vec<_>>().join(" and ")
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
        assert_eq!((intel.name.as_str(), intel.on(0)), ("llc-misses", Some(encoded(0, 3))));
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
        assert_eq!((found.name.as_str(), found.on(5)), ("llc-misses", Some(encoded(8, 0x37))));
        assert_eq!(found.source, Source::Hardware);
    }

    #[test]
    fn a_pmu_that_is_not_there_is_named() {
        let error = on("").resolve(&"msr/tsc/".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("msr/tsc/"), "{error}");
    }

    fn encoded(kind: u32, config: u64) -> Encoded {
        Encoded { kind, config, config1: 0 }
    }

    type Described<'a> = (&'a str, u32, &'a str, &'a [(&'a str, &'a str)]);

    /// A machine with these PMUs: name, type, processors, and events with their numbers.
    fn machine(pmus: &[Described<'_>]) -> tempfile::TempDir {
        let devices = tempfile::tempdir().unwrap();
        for (name, kind, cpus, events) in pmus {
            let pmu = devices.path().join(name);
            for directory in ["events", "format"] {
                std::fs::create_dir_all(pmu.join(directory)).unwrap();
            }
            std::fs::write(pmu.join("type"), format!("{kind}\n")).unwrap();
            std::fs::write(pmu.join("format/event"), "config:0-15\n").unwrap();
            if !cpus.is_empty() {
                std::fs::write(pmu.join("cpus"), format!("{cpus}\n")).unwrap();
            }
            for (event, text) in *events {
                std::fs::write(pmu.join("events").join(event), text).unwrap();
            }
        }
        devices
    }

    const INTEL: &str = "vendor_id\t: GenuineIntel\n";

    #[test]
    fn each_kind_of_intels_processors_has_its_own_numbers() {
        let mem: &[(&str, &str)] = &[("mem-loads", "event=0xcd")];
        let devices = machine(&[
            ("cpu_core", 4, "0-15", mem),
            ("cpu_atom", 10, "16-23", &[]),
            // One that is of a package has a mask, and no list.
            ("uncore_imc", 24, "", &[]),
        ]);
        let resolver = Resolver::new(devices.path(), INTEL, false);
        let types: Vec<_> = resolver.core_types().iter().map(ToString::to_string).collect();
        assert_eq!(types, ["cpu_atom on 16-23", "cpu_core on 0-15"]);
        let cycles = resolver.resolve(&Event::Cycles).unwrap();
        assert_eq!(cycles.on(3), Some(encoded(0, 4 << 32)));
        assert_eq!(cycles.on(16), Some(encoded(0, 10 << 32)));
        assert_eq!(cycles.on(24), None);
        assert!(cycles.note.ends_with(", by cpu_atom on 16-23 and cpu_core on 0-15"), "{}", cycles.note);
        let misses = resolver.resolve(&Event::LlcMisses).unwrap();
        assert_eq!((misses.on(0), misses.on(23)), (Some(encoded(0, 4 << 32 | 3)), Some(encoded(0, 10 << 32 | 3))));
        let raw = resolver.resolve(&Event::Raw(0x412e)).unwrap();
        assert_eq!((raw.on(0), raw.on(23)), (Some(encoded(4, 0x412e)), Some(encoded(10, 0x412e))));
        // What one kind has, the other is not asked for.
        let loads = resolver.resolve(&"cpu_core/mem-loads/".parse().unwrap()).unwrap();
        assert_eq!((loads.on(0), loads.on(16), loads.source), (Some(encoded(4, 0xcd)), None, Source::Hardware));
        assert!(loads.note.contains("processors 0-15"), "{}", loads.note);
        // What the kernel counts is the same everywhere.
        let clock = resolver.resolve(&"task-clock".parse().unwrap()).unwrap();
        assert_eq!((clock.on(0), clock.on(99)), (Some(encoded(1, 1)), Some(encoded(1, 1))));
    }

    #[test]
    fn arms_little_processors_may_lack_what_the_big_ones_count() {
        const MISSES: &[(&str, &str)] = &[("ll_cache_miss_rd", "event=0x0037")];
        let devices = machine(&[
            ("armv8_cortex_a53", 7, "0-3", &[]),
            ("armv8_cortex_a72", 8, "4-5", MISSES),
            ("arm_spe_0", 9, "", &[]),
        ]);
        let resolver = Resolver::new(devices.path(), "", true);
        assert_eq!(resolver.core_types().len(), 2);
        let misses = resolver.resolve(&Event::LlcMisses).unwrap();
        assert_eq!((misses.on(0), misses.on(4)), (None, Some(encoded(8, 0x37))));
        assert!(misses.note.contains("armv8_cortex_a72 on 4-5"), "{}", misses.note);
        // The kernel finds the processor's own PMU for its generic events.
        let cycles = resolver.resolve(&Event::Cycles).unwrap();
        assert_eq!((cycles.on(0), cycles.on(5)), (Some(encoded(0, 0)), Some(encoded(0, 0))));
    }

    #[test]
    fn processors_that_are_alike_are_of_no_kind() {
        let devices = machine(&[("armv8_pmuv3_0", 8, "0-63", &[])]);
        let resolver = Resolver::new(devices.path(), "", true);
        assert!(resolver.core_types().is_empty());
        assert_eq!(resolver.resolve(&Event::Cycles).unwrap().on(70), Some(encoded(0, 0)));
        // Its efficient processors are all off.
        let devices = machine(&[("cpu_core", 4, "0-15", &[]), ("cpu_atom", 10, "\n", &[])]);
        let resolver = Resolver::new(devices.path(), INTEL, false);
        assert!(resolver.core_types().is_empty());
        assert_eq!(resolver.resolve(&Event::Cycles).unwrap().on(0), Some(encoded(0, 0)));
    }
}
