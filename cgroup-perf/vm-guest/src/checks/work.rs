//! A known amount of work, of one cgroup or several.

use std::collections::HashMap;

use anyhow::Result;
use cgroup_perf::CgroupPerf;

use crate::{
    cgroups::{Cgroup, Worker},
    report::{self, Line, Whole},
    watch::Watch,
};

/// Jobs that are done at once, each in a cgroup of its own.
#[derive(Debug)]
pub(crate) struct Jobs {
    pub(crate) name: &'static str,
    jobs: &'static [&'static str],
}

pub(crate) const ALL: &[Jobs] = &[
    Jobs { name: "alone", jobs: &["spin 1 200"] },
    Jobs { name: "contended", jobs: &["spin 1 100", "spin 1 100"] },
    Jobs { name: "wandering", jobs: &["wander 200 5"] },
];

pub(crate) async fn work(jobs: &Jobs, hook: &str, watch: &Watch) -> Result<Line> {
    let before = watch.noticed()?;
    let mut works = Vec::new();
    for job in jobs.jobs {
        let cgroup = Cgroup::new()?;
        works.push((Worker::waiting(job, &cgroup)?, cgroup));
    }
    for (worker, _) in &mut works {
        worker.go()?;
    }
    let mut cgroups = Vec::new();
    for (worker, cgroup) in works {
        worker.wait()?;
        cgroups.push(cgroup);
    }
    watch.settle().await;
    let accounts = cgroups.iter().map(|cgroup| watch.account(cgroup)).collect::<Result<_>>()?;
    let noticed = watch.noticed()?.since(before);
    cgroups.into_iter().try_for_each(Cgroup::remove)?;
    Ok(Line::Work(report::Work { what: jobs.name.to_owned(), hook: hook.to_owned(), accounts, noticed }))
}

/// From the samples of slots in which both processors were busy: all cgroups together ran for as long as the slots are.
pub(crate) async fn whole() -> Result<Line> {
    let watch = Watch::start(CgroupPerf::builder()).await?;
    let mut works = Vec::new();
    for job in ["spin 0 300", "spin 1 300"] {
        let cgroup = Cgroup::new()?;
        works.push((Worker::waiting(job, &cgroup)?, cgroup));
    }
    for (worker, _) in &mut works {
        worker.go()?;
    }
    let ids: Vec<_> = works.iter().map(|(_, cgroup)| cgroup.id).collect();
    let mut cgroups = Vec::new();
    for (worker, cgroup) in works {
        worker.wait()?;
        cgroups.push(cgroup);
    }
    watch.settle().await;
    // From the first slot in which both ran to the last one, without these two.
    let (from, to) = {
        let samples = watch.samples();
        let first = |id| samples.iter().filter(|sample| sample.cgroup == id).map(|sample| sample.end).min();
        let last = |id| samples.iter().filter(|sample| sample.cgroup == id).map(|sample| sample.start).max();
        (
            ids.iter().filter_map(|id| first(*id)).max().unwrap_or(0),
            ids.iter().filter_map(|id| last(*id)).min().unwrap_or(0),
        )
    };
    let mut slots: HashMap<(u32, u64), u64> = HashMap::new();
    let mut whole = Whole {
        processors: 0,
        slots: 0,
        wall: 0,
        ran: 0,
        cycles: 0,
        instructions: 0,
        inexact: 0,
        noticed: watch.noticed()?,
    };
    for sample in watch.samples().iter().filter(|sample| sample.start >= from && sample.end <= to) {
        slots.insert((sample.cpu, sample.start), sample.end - sample.start);
        whole.ran += sample.ran;
        let [cycles, instructions, ..] = &sample.counters;
        whole.cycles += cycles.value;
        whole.instructions += instructions.value;
        whole.inexact += usize::from(cycles.running < cycles.enabled);
    }
    whole.slots = slots.len();
    whole.wall = slots.values().sum();
    whole.processors = slots.keys().map(|(cpu, _)| cpu).collect::<std::collections::HashSet<_>>().len();
    watch.end().await?;
    cgroups.into_iter().try_for_each(Cgroup::remove)?;
    Ok(Line::Whole(whole))
}
