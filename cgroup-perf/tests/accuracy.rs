//! Processor time of child cgroups against the kernel's own account of their processes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::field_reassign_with_default, reason = "as users set options")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, and none below zero")]

mod support;

use std::os::unix::net::UnixStream;
use std::time::Duration;

use cgroup_perf::{
    loader::{Attached, HookChoice, Loader, Options, TimerChoice},
    sample::{CgroupId, Total},
};
use support::{Cgroup, Child, Work, measured, stolen, within};

/// The last slot may not be over yet, when the jobs are; far longer than that.
const SETTLED: Duration = Duration::from_secs(2);

#[test]
fn child() {
    support::child_main();
}

fn total(attached: &Attached, cgroup: CgroupId) -> Option<Total> {
    attached.totals().unwrap().into_iter().find(|total| total.cgroup == cgroup)
}

fn before(attached: &Attached, cgroup: &Cgroup) -> u64 {
    total(attached, cgroup.id).map_or(0, |total| total.ran)
}

/// Fifty nanoseconds for each switch, as the two accounts place it differently; one percent; what the hypervisor took,
/// which the kernel leaves out; and a millisecond for what the child does outside of its measure.
fn allowed(work: &Work, stolen: u64) -> u64 {
    work.switches * 50 + work.cpu / 100 + stolen + 1_000_000
}

/// Has each job done in a cgroup of its own, all at once, until the cgroups' totals say the same.
fn check(name: &str, attached: &Attached, jobs: &[&str]) {
    measured(name, || measure(name, attached, jobs));
}

/// Whether they do, some time after the jobs are done.
fn measure(name: &str, attached: &Attached, jobs: &[&str]) -> Option<()> {
    let pair = jobs[0].starts_with("first");
    let mut sockets = Vec::new();
    if pair {
        let (one, two) = UnixStream::pair().unwrap();
        sockets = vec![two, one];
    }
    let cgroups: Vec<Cgroup> = jobs.iter().map(|_| Cgroup::new()).collect();
    let mut children: Vec<Child> =
        jobs.iter().zip(&cgroups).map(|(job, cgroup)| Child::in_cgroup(job, cgroup, sockets.pop())).collect();
    let begun: Vec<u64> = cgroups.iter().map(|cgroup| before(attached, cgroup)).collect();
    let steal = stolen();
    for child in &mut children {
        child.go();
    }
    let works: Vec<Work> = children.iter_mut().map(Child::done).collect();
    let stolen = stolen() - steal;
    for ((cgroup, work), begun) in cgroups.iter().zip(works).zip(begun) {
        let allowed = allowed(&work, stolen);
        let mut last = 0;
        let ran = within(SETTLED, || {
            let ran = total(attached, cgroup.id)?.ran - begun;
            if ran != last {
                last = ran;
                println!("{name}: {ran} ns of {work:?}, {allowed} allowed");
            }
            (ran.abs_diff(work.cpu) <= allowed).then_some(ran)
        })?;
        println!(
            "{name}: {} ns, {:+.3} %, {} switches, {stolen} ns stolen",
            work.cpu,
            (ran as f64 / work.cpu as f64 - 1.0) * 100.0,
            work.switches,
        );
    }
    Some(())
}

#[test]
fn quiet_contended_and_storm_by_every_hook() {
    if !support::possible() {
        return;
    }
    for (hook, timer) in [
        (HookChoice::SchedSwitch, TimerChoice::Auto),
        (HookChoice::SchedSwitch, TimerChoice::PerfClock),
        (HookChoice::CgroupSwitches, TimerChoice::Auto),
        (HookChoice::SchedSwitchRaw, TimerChoice::Auto),
    ] {
        let mut options = Options::default();
        options.hook = hook;
        options.timer = timer;
        let attached = Loader::new().load(&options).unwrap();
        let name = |what: &str| format!("{hook:?} {timer:?} {what}");
        check(&name("quiet"), &attached, &["spin 1 300"]);
        check(&name("contended"), &attached, &["spin 1 200", "spin 1 200", "spin 1 200"]);
        check(&name("storm"), &attached, &["first 1 50000", "second 1 50000"]);
        println!("{:?}", attached.health().unwrap());
    }
}
