//! Cgroups that come and go.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::field_reassign_with_default, reason = "as users set options")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, and none below zero")]

mod support;

use std::{
    collections::{HashMap, HashSet},
    fs,
    sync::Arc,
    time::Duration,
};

use cgroup_perf::{CgroupPerf, loader::Options, sample::CgroupId};
use futures::StreamExt;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use support::{Cgroup, Child, eventually, stolen};

#[test]
fn child() {
    support::child_main();
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Processor time of a process that sleeps or is stopped, in nanoseconds.
fn ran(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path().join("schedstat"));
    tasks.map(|path| fs::read_to_string(path).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// What samples say of each cgroup.
#[derive(Default)]
struct Seen {
    ran: HashMap<CgroupId, u64>,
    lost: u64,
    /// When the latest slot began.
    last: u64,
}

/// So many cgroups come and go while a process runs through every eighth of them.
async fn come_and_go(cgroups: usize) {
    let mut options = Options::default();
    options.max_cgroups = 16_384;
    let perf = CgroupPerf::builder().options(options).grace(Duration::from_secs(1)).start().await.unwrap();
    let mut samples = perf.samples().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let reader = tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while let Some(batch) = samples.next().await {
                let mut seen = seen.lock();
                seen.lost += batch.lost;
                for sample in batch.samples {
                    seen.last = seen.last.max(sample.start);
                    *seen.ran.entry(sample.cgroup).or_default() += sample.ran;
                }
            }
        }
    });
    let (stranger, base) = (Cgroup::new(), Cgroup::new());
    let mut steady = Child::in_cgroup("spin 0 20", &stranger, None);
    let mut moving = Child::in_cgroup("spin 1 600000", &base, None);
    let pid = Pid::from_raw(i32::try_from(moving.pid()).unwrap()).unwrap();
    let (before, steal) = (ran(moving.pid()), stolen());
    moving.go();
    let mut ids = HashSet::new();
    let begun = resident();
    let mut largest = 0;
    for number in 0..cgroups {
        let cgroup = Cgroup::new();
        assert!(ids.insert(cgroup.id), "ids are not used again");
        if number % 8 == 0 {
            // It runs in there while its cgroup is left and removed.
            cgroup.adopt(moving.pid());
            base.adopt(moving.pid());
        }
        drop(cgroup);
        if number % 500 == 0 {
            largest = largest.max(perf.counters().unwrap().len());
            tokio::task::yield_now().await;
        }
    }
    steady.go();
    let work = steady.done();
    kill_process(pid, Signal::STOP).unwrap();
    eventually("it is stopped", || {
        fs::read_to_string(format!("/proc/{}/stat", moving.pid())).unwrap().contains(") T ").then_some(())
    });
    let moved = ran(moving.pid()) - before;
    let steal = stolen() - steal;
    // The moving process's time is complete, wherever it ran: no part is lost, and none of it a stranger's.
    // What the hypervisor took is in the one account and not in the other, and is known to ten milliseconds.
    let missing = moved / 200 + 1_000_000;
    let beyond = missing + steal + 10_000_000;
    // Slots that began after it stopped are released after those in which it ran.
    let stopped = support::monotonic();
    eventually("later slots", || (seen.lock().last > stopped).then_some(()));
    let sum: u64 = {
        let seen = seen.lock();
        assert_eq!(seen.lost, 0);
        seen.ran.iter().filter(|(cgroup, _)| **cgroup == base.id || ids.contains(cgroup)).map(|(_, ran)| ran).sum()
    };
    println!(
        "{sum} of {moved} ns ({:+.3} %), {missing} may be missing, {beyond} too much",
        (sum as f64 / moved as f64 - 1.0) * 100.0
    );
    assert!(sum + missing >= moved && sum <= moved + beyond);
    // Everything that was removed is given back.
    let rest = eventually("places are given back", || {
        let rest: Vec<CgroupId> = perf.counters().unwrap().iter().map(|total| total.cgroup).collect();
        rest.iter().all(|id| !ids.contains(id)).then_some(rest)
    });
    // One in which nothing ran has no place to give back, but is told of, maybe later than the last that has.
    let status = eventually("each removed one is told of", || {
        let status = perf.status().unwrap();
        (status.reclaimed >= cgroups as u64).then_some(status)
    });
    println!("at most {largest} places, {} at the end, {status:?}", rest.len());
    println!("resident: {begun} at the start, {} at the end", resident());
    assert_eq!((status.kernel.insert_failures, status.kernel.removals_lost, status.kernel.lost), (0, 0, 0));
    assert!(resident() < begun + (8 << 20), "memory is flat");
    let total = perf.counters().unwrap().into_iter().find(|total| total.cgroup == stranger.id).unwrap();
    let missing = work.cpu / 20 + 2_000_000;
    let beyond = missing + steal + 10_000_000;
    assert!(total.ran + missing >= work.cpu && total.ran <= work.cpu + beyond, "{total:?} {work:?} {steal} ns stolen");
    perf.shutdown().await;
    reader.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_cgroups_leave_nothing_behind() {
    if support::possible() {
        come_and_go(2_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long"]
async fn twenty_thousand_cgroups_leave_nothing_behind() {
    if support::possible() {
        come_and_go(20_000).await;
    }
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
