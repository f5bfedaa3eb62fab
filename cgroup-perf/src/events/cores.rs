//! The kinds of processors in a machine: each has a PMU of its own, and sysfs says of which processors it is.

use std::{fmt, fs, path::Path};

use crate::cpus;

/// The processors of one kind, in a machine that has several: Intel's performance and efficiency cores, Arm's big and
/// little ones.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoreType {
    /// Their PMU, as sysfs calls it: `cpu_core`, `armv8_cortex_a72`.
    pub pmu: String,
    /// Their numbers.
    pub cpus: Vec<u32>,
    /// The PMU's number, as the kernel is asked for it.
    pub(crate) kind: u32,
}

impl fmt::Display for CoreType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.pmu, cpus::list(&self.cpus))
    }
}

/// The kinds, by name. One or none where all processors are alike: of the PMUs of a machine, only those of processors have
/// a list of them (`cpus`).
pub(super) fn core_types(devices: &Path) -> Vec<CoreType> {
    let entries = fs::read_dir(devices).into_iter().flatten().flatten();
    let mut types: Vec<CoreType> = entries
        .filter_map(|entry| {
            let pmu = entry.file_name().into_string().ok()?;
            let cpus = cpus::parse(&fs::read_to_string(entry.path().join("cpus")).ok()?)?;
            let kind = fs::read_to_string(entry.path().join("type")).ok()?.trim().parse().ok()?;
            // Some PMU's processors may all be off.
            (!cpus.is_empty()).then_some(CoreType { pmu, cpus, kind })
        })
        .collect();
    types.sort_by(|one, other| one.pmu.cmp(&other.pmu));
    types
}
