//! A processor that really goes away and comes back. Only where `CGROUP_PERF_HOTPLUG` is set: it disturbs whatever else
//! the machine does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]

mod support;

use std::{fs, path::Path};

use cgroup_perf::{
    CgroupPerf,
    loader::{HookChoice, TimerChoice},
    sample::{CgroupId, Total},
};
use support::{Cgroup, Child, eventually};

const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";

#[test]
fn child() {
    support::child_main();
}

/// Brings the processor back, whatever happens.
struct Offline;

impl Offline {
    fn new() -> Self {
        fs::write(ONLINE, "0").unwrap();
        Self
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        fs::write(ONLINE, "1").unwrap();
    }
}

fn total(perf: &CgroupPerf, cgroup: CgroupId) -> Option<Total> {
    perf.counters().unwrap().into_iter().find(|total| total.cgroup == cgroup)
}

/// Works on the processor, and waits until the total says so: by the clock, and by the counter.
fn works(name: &str, perf: &CgroupPerf) {
    let cgroup = Cgroup::new();
    let mut child = Child::in_cgroup("spin 1 100", &cgroup, None);
    child.go();
    let work = child.done();
    let mut last = None;
    eventually(&format!("{name}: {work:?}"), || {
        let total = total(perf, cgroup.id)?;
        let counted = total.counters[0].enabled;
        if last != Some(total) {
            println!("{name}: {work:?}: ran {}, counted {counted}", total.ran);
            last = Some(total);
        }
        // On an emulated processor, what the child does beside its measure takes long.
        let ran = total.ran > work.cpu / 20 * 19 && total.ran < work.cpu * 2;
        (ran && counted.abs_diff(total.ran) < total.ran / 20).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_opened_anew_and_count_once() {
    if !support::possible() {
        return;
    }
    if std::env::var_os("CGROUP_PERF_HOTPLUG").is_none() || !Path::new(ONLINE).exists() {
        eprintln!("skipped: CGROUP_PERF_HOTPLUG is not set, or the processor cannot be turned off");
        return;
    }
    for (hook, timer) in [
        (HookChoice::SchedSwitch, TimerChoice::Auto),
        (HookChoice::SchedSwitch, TimerChoice::PerfClock),
        (HookChoice::CgroupSwitches, TimerChoice::Auto),
        (HookChoice::SchedSwitchRaw, TimerChoice::Auto),
    ] {
        let name = format!("{hook:?} {timer:?}");
        let perf = CgroupPerf::builder().hook(hook).timer(timer).start().await.unwrap();
        works(&format!("{name} before"), &perf);
        // For long enough to be seen away, and then for a moment only.
        for long in [true, false] {
            let reopened = perf.status().unwrap().reopened;
            let offline = Offline::new();
            if long {
                std::thread::sleep(std::time::Duration::from_millis(1500));
            }
            drop(offline);
            eventually("the counters are opened anew", || (perf.status().unwrap().reopened > reopened).then_some(()));
            works(&format!("{name} after {long}"), &perf);
        }
        let status = perf.status().unwrap();
        println!("{name}: {status:?}");
        assert_eq!(status.kernel.backwards, 0);
        perf.shutdown().await;
    }
}
