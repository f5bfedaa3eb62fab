//! What the kernel says: of the programs that a process has loaded, and of the processors.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};

/// The switch of the statistics of programs.
const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// How often programs ran, and for how long.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Runs {
    pub(crate) count: u64,
    pub(crate) nanoseconds: u64,
}

/// The programs of a process, with the kernel's statistics on; they are as they were when this ends.
pub(crate) struct Kernel {
    process: i32,
    before: String,
    start: Runs,
}

impl Kernel {
    pub(crate) fn of(process: i32) -> Result<Self> {
        let before = fs::read_to_string(STATISTICS).context("the kernel has no statistics of programs")?;
        fs::write(STATISTICS, "1").context("the kernel's statistics of programs can't be switched on")?;
        let mut this = Self { process, before, start: Runs::default() };
        this.start = this.runs()?;
        Ok(this)
    }

    /// What they did since then.
    pub(crate) fn since_start(&self) -> Result<Runs> {
        let now = self.runs()?;
        Ok(Runs { count: now.count - self.start.count, nanoseconds: now.nanoseconds - self.start.nanoseconds })
    }

    /// Of each program once, whatever refers to it.
    fn runs(&self) -> Result<Runs> {
        let mut programs = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{}/fdinfo", self.process))?.flatten() {
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.and_then(|value| value.trim().parse::<u64>().ok())
            };
            let (Some(id), Some(nanoseconds)) = (field("prog_id"), field("run_time_ns")) else { continue };
            programs.insert(id, Runs { count: field("run_cnt").unwrap_or_default(), nanoseconds });
        }
        ensure!(!programs.is_empty(), "the agent has no programs in the kernel");
        let sum = |sum: Runs, one: &Runs| Runs {
            count: sum.count + one.count,
            nanoseconds: sum.nanoseconds + one.nanoseconds,
        };
        Ok(programs.values().fold(Runs::default(), sum))
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if let Err(error) = fs::write(STATISTICS, self.before.trim()) {
            eprintln!("{STATISTICS} is no longer {}: {error}", self.before.trim());
        }
    }
}

/// The time of all processors, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processors {
    busy: u64,
    count: usize,
}

impl Processors {
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat is empty")?;
        // user nice system idle iowait irq softirq steal; guests are in the first two.
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse().ok()).collect();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        let count = text.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1);
        Ok(Self { busy: ticks.iter().sum::<u64>() - idle, count })
    }

    /// How many were busy on average since then, and how many there are.
    pub(crate) fn since(&self, before: &Self, seconds: f64) -> (f64, usize) {
        let ticks = self.busy.saturating_sub(before.busy) as f64;
        (ticks / procfs::ticks_per_second() as f64 / seconds, self.count)
    }
}
