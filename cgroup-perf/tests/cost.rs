//! What the programs cost, by the kernel's own statistics.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::field_reassign_with_default, reason = "as users set options")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, and none below zero")]

mod support;

use std::os::unix::net::UnixStream;

use aya::{
    Btf, Ebpf,
    programs::BtfTracePoint,
    sys::{Stats, enable_stats},
};
use cgroup_perf::{
    events::Event,
    loader::{HookChoice, Loader, Options},
};
use support::{Cgroup, Child};

const ROUNDS: u64 = 100_000;

#[test]
fn child() {
    support::child_main();
}

/// Two processes in two cgroups on one processor pass a byte to and fro: every switch changes the cgroup.
fn storm() {
    let (a, b) = UnixStream::pair().unwrap();
    let (one, two) = (Cgroup::new(), Cgroup::new());
    let mut first = Child::in_cgroup(&format!("first 1 {ROUNDS}"), &one, Some(a));
    let mut second = Child::in_cgroup(&format!("second 1 {ROUNDS}"), &two, Some(b));
    first.go();
    second.go();
    first.done();
    second.done();
}

/// The empty program's nanoseconds per run.
fn empty() -> f64 {
    let mut ebpf = Ebpf::load(Loader::new().object()).unwrap();
    let program: &mut BtfTracePoint = ebpf.program_mut("nothing").unwrap().try_into().unwrap();
    program.load("sched_switch", &Btf::from_sys_fs().unwrap()).unwrap();
    program.attach().unwrap();
    storm();
    let info = program.info().unwrap();
    info.run_time().as_nanos() as f64 / info.run_count() as f64
}

fn events(text: &str) -> Vec<Event> {
    text.split(' ').map(|event| event.parse().unwrap()).collect()
}

#[test]
#[ignore = "a measurement, for a quiet machine"]
fn nanoseconds_for_each_switch_and_tick() {
    if !support::possible() {
        return;
    }
    let _on = enable_stats(Stats::RunTime).unwrap();
    let best = |mut run: Box<dyn FnMut() -> f64>| (0..3).map(|_| run()).fold(f64::INFINITY, f64::min);
    let empty = best(Box::new(empty));
    println!("empty program: {empty:.0} ns");
    for counters in [
        "msr/tsc/",
        "context-switches page-faults migrations",
        "task-clock context-switches page-faults",
        "msr/tsc/ msr/tsc/ msr/tsc/",
    ] {
        for hook in [HookChoice::SchedSwitch, HookChoice::CgroupSwitches] {
            let mut figures = Vec::new();
            for _ in 0..3 {
                let mut options = Options::default();
                options.counters = events(counters);
                options.hook = hook;
                options.measure_ticks = true;
                options.samples = false;
                let attached = Loader::new().load(&options).unwrap();
                storm();
                let health = attached.health().unwrap();
                let times: Vec<_> = attached
                    .run_times()
                    .into_iter()
                    .filter(|time| time.runs > 1000)
                    .map(|time| (time.program, (time.time.as_nanos() as f64 / time.runs as f64).round(), time.runs))
                    .collect();
                let tick = health.tick_time / health.ticks;
                figures.push((times, tick, health.tick_longest, health.ticks));
            }
            for figure in figures {
                println!("{counters} {hook:?}: {figure:?}");
            }
        }
    }
}
