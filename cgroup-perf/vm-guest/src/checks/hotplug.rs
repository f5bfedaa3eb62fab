//! A processor that goes and comes: its counters are frozen until they are opened anew.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use cgroup_perf::{
    CgroupPerf,
    loader::HookChoice,
    sample::{CgroupId, Total},
};

use crate::{
    cgroups::{Cgroup, Worker},
    machine::set_online,
    report::{self, Account, Line},
    watch::Watch,
};

/// How long the counters' return is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn hotplug(off: u64, by: &str, hook: HookChoice) -> Result<Line> {
    let watch = Arc::new(Watch::start(CgroupPerf::builder().hook(hook)).await?);
    let begun = watch.perf.status()?.reopened;
    let ends = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(read_on(Arc::clone(&watch), Arc::clone(&ends)));
    let other = Cgroup::new()?;
    let mut elsewhere = Worker::waiting("pulse 0 2 8", &other)?;
    elsewhere.go()?;

    let before = spin(&watch, 100).await?;
    set_online(1, false)?;
    tokio::time::sleep(Duration::from_millis(off)).await;
    set_online(1, true)?;
    // Longer than it takes until somebody looks.
    let cgroup = Cgroup::new()?;
    let gap = run(&watch, &cgroup, 1_300).await?;
    let stalled = stalled(&watch, cgroup.id)?;
    let deadline = Instant::now() + PATIENCE;
    while watch.perf.status()?.reopened == begun {
        if Instant::now() > deadline {
            bail!("the counters are not opened anew within {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = spin(&watch, 200).await?;

    elsewhere.wait()?;
    watch.settle().await;
    let other_account = watch.account(&other)?;
    ends.store(true, Ordering::Relaxed);
    let readings = reader.await.context("the reader ended badly")??;
    let reopened = watch.perf.status()?.reopened - begun;
    let noticed = watch.noticed()?;
    Arc::into_inner(watch).context("somebody else has it")?.end().await?;
    cgroup.remove()?;
    other.remove()?;
    Ok(Line::Hotplug(report::Hotplug {
        by: by.to_owned(),
        off: off * 1_000_000,
        before,
        gap,
        stalled,
        after,
        other: other_account,
        reopened,
        readings: readings.number,
        fell: readings.fell,
        leap: readings.leap,
        noticed,
    }))
}

async fn spin(watch: &Watch, time: u64) -> Result<Account> {
    let cgroup = Cgroup::new()?;
    let account = run(watch, &cgroup, time).await?;
    cgroup.remove()?;
    Ok(account)
}

async fn run(watch: &Watch, cgroup: &Cgroup, time: u64) -> Result<Account> {
    let mut worker = Worker::waiting(&format!("spin 1 {time}"), cgroup)?;
    worker.go()?;
    tokio::task::spawn_blocking(move || worker.wait()).await.context("nobody waits")??;
    watch.settle().await;
    watch.account(cgroup)
}

/// What the samples of a cgroup say of the first counter's standing still, in nanoseconds.
fn stalled(watch: &Watch, cgroup: CgroupId) -> Result<u64> {
    let mut totals = cgroup_perf::totals::Totals::new(&watch.counters);
    for sample in watch.samples().iter().filter(|sample| sample.cgroup == cgroup) {
        totals.add_sample(sample);
    }
    let usage = totals.get(cgroup).context("there is no sample of the gap")?;
    Ok(usage.counters.first().context("nothing is counted")?.stalled)
}

/// What came of reading the totals all the while.
#[derive(Debug, Default)]
struct Readings {
    number: usize,
    fell: usize,
    leap: u64,
}

async fn read_on(watch: Arc<Watch>, ends: Arc<AtomicBool>) -> Result<Readings> {
    let mut readings = Readings::default();
    let mut last: HashMap<CgroupId, Total> = HashMap::new();
    let mut when = Instant::now();
    while !ends.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let totals = watch.totals()?;
        let now = Instant::now();
        let mut came = 0;
        for total in totals {
            let earlier = last.insert(total.cgroup, total);
            let ran = earlier.map_or(0, |earlier| earlier.ran);
            if earlier.is_some_and(|earlier| fell(&earlier, &total)) {
                readings.fell += 1;
            }
            let value = |total: &Total| total.counters.first().map_or(0, |counter| counter.value);
            let cycles = value(&total).saturating_sub(earlier.as_ref().map_or(0, value));
            came += total.ran.saturating_sub(ran).max(cycles);
        }
        // Two processors, and a slot on each side.
        let most = 2 * (u64::try_from(now.duration_since(when).as_nanos())? + 2_000_000);
        if readings.number > 0 {
            readings.leap = readings.leap.max(came * 100 / most);
        }
        readings.number += 1;
        when = now;
    }
    Ok(readings)
}

fn fell(earlier: &Total, now: &Total) -> bool {
    now.ran < earlier.ran
        || now.switches < earlier.switches
        || now.counters.iter().zip(&earlier.counters).any(|(now, earlier)| {
            now.value < earlier.value || now.enabled < earlier.enabled || now.running < earlier.running
        })
}
