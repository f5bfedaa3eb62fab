//! A running `CgroupPerf`, with everything that it gave.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use cgroup_perf::{
    Builder, CgroupPerf,
    quality::Counter,
    sample::{CgroupId, Sample, Total},
    totals::{Totals, Usage},
};
use futures::StreamExt;
use tokio::task::JoinHandle;

use crate::{
    cgroups::Cgroup,
    report::{Account, Figure, Noticed},
};

/// Longer than a slot, its lateness and the time between two batches: after it, all that was counted is told.
const SETTLED: Duration = Duration::from_millis(80);

/// Counts, and keeps all samples.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) perf: CgroupPerf,
    pub(crate) counters: Vec<Counter>,
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(crate) async fn start(builder: Builder) -> Result<Self> {
        let perf = builder.start().await.context("counting does not begin")?;
        let names = perf.capabilities().counters.iter();
        let counters = names.map(|counter| Counter::by_name(&counter.name)).collect();
        let samples = Arc::new(Mutex::new(Vec::new()));
        let mut stream = perf.samples().context("there are no samples")?;
        let keep = Arc::clone(&samples);
        let task = tokio::spawn(async move {
            while let Some(batch) = stream.next().await {
                keep.lock().unwrap_or_else(PoisonError::into_inner).extend(batch.samples);
            }
        });
        Ok(Self { perf, counters, samples, task })
    }

    pub(crate) fn samples(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The totals of all cgroups.
    pub(crate) fn totals(&self) -> Result<Vec<Total>> {
        self.perf.counters().context("the totals cannot be read")
    }

    /// Waits until everything that was counted is told.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(SETTLED).await;
    }

    /// What a cgroup did by `cpu.stat`, by the totals, and by the samples.
    pub(crate) fn account(&self, cgroup: &Cgroup) -> Result<Account> {
        self.account_of(cgroup.id, cgroup.used()?)
    }

    pub(crate) fn account_of(&self, cgroup: CgroupId, truth: u64) -> Result<Account> {
        let total = self.totals()?.into_iter().find(|total| total.cgroup == cgroup);
        let total = total.context("nothing was counted for a cgroup")?;
        let usage = self.usage(&total).context("its total is empty")?;
        let mut sampled = Totals::new(&self.counters);
        for sample in self.samples().iter().filter(|sample| sample.cgroup == cgroup) {
            sampled.add_sample(sample);
        }
        let sampled = sampled.get(cgroup).copied().unwrap_or_default();
        let samples_agree = sampled.ran == usage.ran
            && sampled.switches == usage.switches
            && sampled.counters.iter().zip(&usage.counters).all(|(one, other)| one.delta == other.delta);
        let names = self.perf.capabilities().counters.iter().map(|counter| counter.name.clone());
        let counters = names
            .zip(&usage.counters)
            .enumerate()
            .map(|(number, (name, sum))| {
                // Its quality is judged from the samples: each knows for how long it stood still.
                let verdict = sampled.verdict(&self.counters, number).context("a counter has no sum")?;
                let (quality, count) = (verdict.quality.as_str().to_owned(), verdict.figure);
                let delta = sum.delta;
                Ok(Figure { name, value: delta.value, enabled: delta.enabled, running: delta.running, quality, count })
            })
            .collect::<Result<_>>()?;
        Ok(Account { truth, ran: usage.ran, switches: usage.switches, counters, samples_agree })
    }

    fn usage(&self, total: &Total) -> Option<Usage> {
        let mut totals = Totals::new(&self.counters);
        totals.read(total, 0);
        totals.get(total.cgroup).copied()
    }

    pub(crate) fn noticed(&self) -> Result<Noticed> {
        let health = self.perf.status().context("the status cannot be read")?.kernel;
        Ok(Noticed {
            lost: health.lost,
            insert_failures: health.insert_failures,
            backwards: health.backwards,
            read_failures: health.read_failures,
            contended: health.contended,
            removals_lost: health.removals_lost,
            unattributed: health.unattributed,
            frozen: health.frozen,
        })
    }

    pub(crate) async fn end(self) -> Result<()> {
        self.perf.shutdown().await;
        self.task.await.context("the samples' reader ended badly")
    }
}

impl Noticed {
    /// What came since. All of them only grow.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            lost: self.lost - before.lost,
            insert_failures: self.insert_failures - before.insert_failures,
            backwards: self.backwards - before.backwards,
            read_failures: self.read_failures - before.read_failures,
            contended: self.contended - before.contended,
            removals_lost: self.removals_lost - before.removals_lost,
            unattributed: self.unattributed - before.unattributed,
            frozen: self.frozen - before.frozen,
        }
    }
}
