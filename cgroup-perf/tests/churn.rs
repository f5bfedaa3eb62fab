//! Cgroups that come and go.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::field_reassign_with_default, reason = "as users set options")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, and none below zero")]

mod support;

use std::{collections::HashSet, fs, time::Duration};

use cgroup_perf::{CgroupPerf, loader::Options, sample::CgroupId};
use support::{Cgroup, Child, eventually};

const CGROUPS: usize = 20_000;

#[test]
fn child() {
    support::child_main();
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_cgroups_leave_nothing_behind() {
    if !support::possible() {
        return;
    }
    let mut options = Options::default();
    options.max_cgroups = 16_384;
    let perf = CgroupPerf::builder().options(options).grace(Duration::from_secs(1)).start().await.unwrap();
    let mut samples = perf.samples().unwrap();
    let stranger = Cgroup::new();
    let mut steady = Child::in_cgroup("spin 0 20", &stranger, None);
    let mut moving = Child::start("spin 1 600000", None);
    moving.go();
    let mut ids = HashSet::new();
    let begun = resident();
    let mut largest = 0;
    for number in 0..CGROUPS {
        let cgroup = Cgroup::new();
        assert!(ids.insert(cgroup.id), "ids are not used again");
        if number % 8 == 0 {
            // It runs in there while its cgroup is left and removed.
            cgroup.adopt(moving.pid());
            home().adopt(moving.pid());
        }
        drop(cgroup);
        if number % 500 == 0 {
            largest = largest.max(perf.counters().unwrap().len());
            tokio::task::yield_now().await;
            while let Ok(Some(_)) =
                tokio::time::timeout(Duration::from_millis(1), futures::StreamExt::next(&mut samples)).await
            {
            }
        }
    }
    steady.go();
    let work = steady.done();
    // Everything that was removed is given back.
    let rest = eventually("places are given back", || {
        let rest: Vec<CgroupId> = perf.counters().unwrap().iter().map(|total| total.cgroup).collect();
        rest.iter().all(|id| !ids.contains(id)).then_some(rest)
    });
    let status = perf.status().unwrap();
    println!("at most {largest} places, {} at the end, {status:?}", rest.len());
    println!("resident: {begun} at the start, {} at the end", resident());
    assert_eq!((status.kernel.insert_failures, status.kernel.removals_lost), (0, 0));
    assert!(status.reclaimed >= CGROUPS as u64, "{status:?}");
    assert!(resident() < begun + (8 << 20), "memory is flat");
    let total = perf.counters().unwrap().into_iter().find(|total| total.cgroup == stranger.id).unwrap();
    assert!(total.ran.abs_diff(work.cpu) < work.cpu / 20 + 2_000_000, "{total:?} {work:?}");
}

/// The cgroup that this process is in, which is not ours to remove.
struct Home(std::path::PathBuf);

impl Home {
    fn adopt(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

fn home() -> Home {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    Home(support::mount().unwrap().join(path))
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_of_a_removed_cgroup_stay_for_the_grace_time() {
    if !support::possible() {
        return;
    }
    let grace = Duration::from_secs(1);
    let perf = CgroupPerf::builder().grace(grace).start().await.unwrap();
    let find = |id: CgroupId| perf.counters().unwrap().into_iter().find(|total| total.cgroup == id);
    let cgroup = Cgroup::new();
    let id = cgroup.id;
    let mut child = Child::in_cgroup("spin 1 50", &cgroup, None);
    child.go();
    child.done();
    let before = eventually("the total", || find(id).filter(|total| total.ran > 49_000_000));
    drop(child);
    let removed = std::time::Instant::now();
    drop(cgroup);
    let mut last = before;
    eventually("it is forgotten", || match find(id) {
        Some(total) => {
            assert!(total.ran >= last.ran, "it does not shrink");
            last = total;
            None
        }
        None => Some(()),
    });
    assert!(removed.elapsed() >= grace, "it was there for {:?}", removed.elapsed());
    assert!(perf.status().unwrap().reclaimed >= 1);
}
