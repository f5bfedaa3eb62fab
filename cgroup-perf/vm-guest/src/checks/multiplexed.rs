//! More counters than the processor has: it has six, and one for cycles alone.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use cgroup_perf::{
    CgroupPerf,
    events::Event,
    quality::{Span, judge},
};

use crate::{
    cgroups::{Cgroup, Worker},
    report::{self, Line},
    watch::Watch,
};

/// The number of `INST_RETIRED`.
const INSTRUCTIONS: u64 = 0x08;

pub(crate) async fn multiplexed() -> Result<Line> {
    let mut events = vec![Event::Cycles, Event::Instructions];
    events.resize(8, Event::Raw(INSTRUCTIONS));
    let watch = Watch::start(CgroupPerf::builder().counters(events)).await?;
    let cgroup = Cgroup::new()?;
    let mut worker = Worker::waiting("spin 1 500", &cgroup)?;
    worker.go()?;
    worker.wait()?;
    watch.settle().await;
    let account = watch.account(&cgroup)?;
    let last = watch.counters.len().checked_sub(1).context("nothing is counted")?;
    let counter = watch.counters.get(last).context("nothing is counted")?;
    let mut samples: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in watch.samples().iter().filter(|sample| sample.cgroup == cgroup.id) {
        let delta = sample.counters.get(last).copied().unwrap_or_default();
        let span = Span { ran: sample.ran, wall: sample.end - sample.start };
        *samples.entry(judge(counter, delta, span).quality.as_str()).or_default() += 1;
    }
    let line = Line::Multiplexed(report::Multiplexed {
        groups: watch.perf.capabilities().groups,
        account,
        samples: samples.into_iter().map(|(quality, number)| (quality.to_owned(), number)).collect(),
        noticed: watch.noticed()?,
    });
    watch.end().await?;
    cgroup.remove()?;
    Ok(line)
}
