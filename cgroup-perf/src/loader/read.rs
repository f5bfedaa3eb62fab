//! Reading what was counted, and giving places back.

use aya::maps::MapError;

use crate::{
    abi::{MAX_COUNTERS, Stats},
    sample::{CgroupId, Delta, Total},
};

use super::{Attached, Health, RunTime};

impl Attached {
    /// The totals of each cgroup, as of the last end of a slot on each processor. In no order.
    pub fn totals(&self) -> Result<Vec<Total>, MapError> {
        let mut totals = Vec::new();
        for entry in &self.totals {
            let (cgroup, values) = entry?;
            let mut total =
                Total { cgroup: CgroupId(cgroup), ran: 0, switches: 0, counters: [Delta::default(); MAX_COUNTERS] };
            for sums in values.iter() {
                total.ran += sums.ran;
                total.switches += sums.switches;
                for (to, from) in total.counters.iter_mut().zip(&sums.counters) {
                    to.value += from.value;
                    to.enabled += from.enabled;
                    to.running += from.running;
                }
            }
            totals.push(total);
        }
        Ok(totals)
    }

    /// How often each program ran, and for how long, by the kernel's own statistics (`kernel.bpf_stats_enabled`, or
    /// [`aya::sys::enable_stats`]). Ticks by timers are not among them: see
    /// [`Options::measure_ticks`](super::Options::measure_ticks).
    pub fn run_times(&self) -> Vec<RunTime> {
        let programs = self.ebpf.programs().filter_map(|(name, program)| {
            let info = program.info().ok()?;
            Some(RunTime { program: name.to_owned(), runs: info.run_count(), time: info.run_time() })
        });
        programs.collect()
    }

    /// What the programs noticed, on all processors.
    pub fn health(&self) -> Result<Health, MapError> {
        let mut health = Health::default();
        for stats in self.stats.get(&0, 0)?.iter() {
            health.add(stats);
        }
        Ok(health)
    }

    /// What the programs noticed, by processor.
    pub fn health_by_cpu(&self) -> Result<Vec<(u32, Health)>, MapError> {
        let values = self.stats.get(&0, 0)?;
        let one = |stats: &Stats| {
            let mut health = Health::default();
            health.add(stats);
            health
        };
        Ok(self.possible.iter().copied().zip(values.iter().map(one)).collect())
    }

    /// Removed cgroups, and when they were, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn removed(&self) -> Result<Vec<(CgroupId, u64)>, MapError> {
        let entries = self.tombstones.iter().map(|entry| entry.map(|(id, when)| (CgroupId(id), when)));
        entries.collect()
    }

    /// The cgroups that have a place in the totals.
    pub fn cgroups(&self) -> Result<Vec<CgroupId>, MapError> {
        self.totals.keys().map(|key| key.map(CgroupId)).collect()
    }

    /// Gives the place of a removed cgroup back.
    pub fn forget(&mut self, cgroup: CgroupId) -> Result<(), MapError> {
        let absent = |result: Result<(), MapError>| match result {
            Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        };
        absent(self.totals.remove(&cgroup.0))?;
        absent(self.tombstones.remove(&cgroup.0))
    }
}
