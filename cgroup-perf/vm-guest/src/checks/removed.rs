//! Cgroups that are removed in the moment in which their last process ends.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::Result;
use cgroup_perf::{CgroupPerf, sample::CgroupId};

use crate::{
    cgroups::{Cgroup, Worker},
    report::{self, Line},
    watch::Watch,
};

const CGROUPS: usize = 1_000;
const GRACE: Duration = Duration::from_secs(1);
/// How long places may take to be given back after the grace time.
const PATIENCE: Duration = Duration::from_secs(10);
/// From how much on one is told that is off, in nanoseconds.
const ASTRAY: u64 = 100_000;
/// The root, in which everything else runs.
const ROOT: u64 = 1;

pub(crate) async fn removed() -> Result<Line> {
    let watch = Watch::start(CgroupPerf::builder().grace(GRACE)).await?;
    let stranger = Cgroup::new()?;
    let mut pulse = Worker::waiting("pulse 0 1 9", &stranger)?;
    pulse.go()?;
    let mut truth: HashMap<CgroupId, (u64, Instant)> = HashMap::new();
    let (mut most_places, mut early) = (0, 0);
    for number in 0..CGROUPS {
        let cgroup = Cgroup::new()?;
        let mut worker = Worker::waiting(&format!("spin {} 1", number % 2), &cgroup)?;
        worker.go()?;
        worker.wait()?;
        let used = cgroup.used()?;
        let id = cgroup.id;
        cgroup.remove()?;
        truth.insert(id, (used, Instant::now()));
        if number % 50 == 49 {
            watch.settle().await;
            let places: HashSet<CgroupId> = watch.totals()?.iter().map(|total| total.cgroup).collect();
            let now = Instant::now();
            most_places = most_places.max(places.len());
            let kept = truth.iter().filter(|(_, (_, removed))| now.duration_since(*removed) < GRACE);
            early += kept.filter(|(id, _)| !places.contains(id)).count();
        }
    }
    pulse.wait()?;
    watch.settle().await;
    let account = watch.account(&stranger)?;

    // What each ran, its cycles, and where it was last.
    let mut samples: HashMap<CgroupId, (u64, u64, u32)> = HashMap::new();
    for sample in watch.samples().iter() {
        let [cycles, ..] = &sample.counters;
        let sum = samples.entry(sample.cgroup).or_default();
        sum.0 += sample.ran;
        sum.1 += cycles.value;
        sum.2 = sample.cpu;
    }
    let known = |id: &CgroupId| truth.contains_key(id) || id.0 == ROOT || *id == stranger.id;
    let unknown = samples.keys().filter(|id| !known(id)).count();
    let of = |id: &CgroupId| samples.get(id).copied().unwrap_or_default();
    let worst = truth.iter().map(|(id, (used, _))| used.abs_diff(of(id).0)).max().unwrap_or(0);

    let astray = truth.iter().filter_map(|(id, (used, _))| {
        let (ran, _, cpu) = of(id);
        (used.abs_diff(ran) > ASTRAY).then_some((cpu, *used, ran))
    });
    let astray: Vec<_> = astray.collect();

    let left =
        || -> Result<usize> { Ok(watch.totals()?.iter().filter(|total| truth.contains_key(&total.cgroup)).count()) };
    let deadline = Instant::now() + GRACE + PATIENCE;
    while left()? > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // One that were counted for after its place was given back would take it again.
    tokio::time::sleep(GRACE / 2).await;
    let line = Line::Removed(report::Removed {
        cgroups: truth.len(),
        truth: truth.values().map(|(used, _)| used).sum(),
        ran: truth.keys().map(|id| of(id).0).sum(),
        cycles: truth.keys().map(|id| of(id).1).sum(),
        worst,
        astray,
        absent: truth.keys().filter(|id| !samples.contains_key(id)).count(),
        unknown,
        stranger: account,
        most_places,
        early,
        left: left()?,
        reclaimed: watch.perf.status()?.reclaimed,
        noticed: watch.noticed()?,
    });
    watch.end().await?;
    stranger.remove()?;
    Ok(line)
}
