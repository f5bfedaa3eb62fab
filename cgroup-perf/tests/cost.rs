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
    CgroupPerf,
    events::Event,
    loader::{HookChoice, Loader, Options},
};
use futures::StreamExt;
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

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// The most that the user's side may take of a core for 10,000 records a second, in percent, and what it may have in memory.
const SHARE: f64 = 2.0;
const MEMORY: u64 = 40;

#[tokio::test(flavor = "current_thread")]
#[ignore = "a measurement, for a quiet machine: in a release build, the requirement is checked"]
async fn the_reader_keeps_up_with_storms_on_two_processors() {
    if !support::possible() {
        return;
    }
    // Some 4,000 records a second, of which the pauses between batches are the most; and more than 10,000.
    for pairs in [1, 3] {
        keep_up(pairs).await;
    }
}

/// So many pairs of cgroups on each processor pass bytes to and fro.
async fn keep_up(pairs: u64) {
    let before = resident();
    let counters = events("msr/tsc/ task-clock context-switches");
    let perf = CgroupPerf::builder().counters(counters).start().await.unwrap();
    let mut samples = perf.samples().unwrap();
    let mut storms: Vec<_> = (0..2 * pairs)
        .map(|number| {
            let cpu = number % 2;
            let rounds = 400_000 / pairs;
            let (a, b) = UnixStream::pair().unwrap();
            let cgroups = [Cgroup::new(), Cgroup::new()];
            let one = Child::in_cgroup(&format!("first {cpu} {rounds}"), &cgroups[0], Some(a));
            let two = Child::in_cgroup(&format!("second {cpu} {rounds}"), &cgroups[1], Some(b));
            (one, two, cgroups)
        })
        .collect();
    let (began, cpu) = (support::monotonic(), support::cpu_time());
    let worker = std::thread::spawn(move || {
        for (one, two, _) in &mut storms {
            one.go();
            two.go();
        }
        storms.iter_mut().map(|(one, two, _)| one.done().switches + two.done().switches).sum::<u64>()
    });
    let (mut records, mut lost) = (0, 0);
    while !worker.is_finished() {
        let batch = samples.next().await.unwrap();
        records += batch.samples.len();
        lost += batch.lost;
    }
    let seconds = (support::monotonic() - began) as f64 / 1e9;
    let cpu = (support::cpu_time() - cpu) as f64 / 1e9;
    let switches = worker.join().unwrap();
    let each = cpu / records as f64 * 10_000.0 * 100.0;
    let resident = resident();
    println!(
        "{pairs} pairs: {:.0} switches/s, {:.0} records/s, {lost} lost, {:.2} % of a core ({each:.2} % for each 10,000 \
         records/s), {resident} MiB resident (before: {before})",
        switches as f64 / seconds,
        records as f64 / seconds,
        cpu / seconds * 100.0,
    );
    println!("{:?}", perf.status().unwrap());
    assert_eq!(lost, 0);
    assert!(resident <= MEMORY, "{resident} MiB");
    // Of a single pair, what does not depend on records is the most.
    if !cfg!(debug_assertions) && pairs > 1 {
        assert!(each < SHARE, "{each} %");
    }
    perf.shutdown().await;
}
