//! The stream of samples, and what becomes of it where nobody reads, where cgroups come and go, and beside another one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]
#![allow(clippy::field_reassign_with_default, reason = "as users set options")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, and none below zero")]

mod support;

use std::{
    collections::HashMap,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use cgroup_perf::{
    Builder, CgroupPerf, Samples,
    events::Event,
    loader::{HookChoice, Options},
    sample::{Batch, CgroupId, Delta, MAX_COUNTERS, Sample, Total},
};
use futures::StreamExt;
use support::{Cgroup, Child, PATIENCE, Work, eventually, measured, monotonic, within};
use tokio::{runtime::Handle, task::block_in_place, time::timeout};

#[test]
fn child() {
    support::child_main();
}

fn builder(counters: &str) -> Builder {
    CgroupPerf::builder().counters(counters.split(' ').map(|event| event.parse::<Event>().unwrap()))
}

fn total(perf: &CgroupPerf, cgroup: CgroupId) -> Option<Total> {
    perf.counters().unwrap().into_iter().find(|total| total.cgroup == cgroup)
}

/// What each of `perfs` has of a child's work, where that is `near` the kernel's own account.
fn spin<const N: usize>(milliseconds: u64, perfs: [&CgroupPerf; N], near: impl Fn(&Total, Work) -> bool) -> [Total; N] {
    measured(&format!("{milliseconds} ms of work"), || {
        let cgroup = Cgroup::new();
        let mut child = Child::in_cgroup(&format!("spin 1 {milliseconds}"), &cgroup, None);
        child.go();
        let work = child.done();
        let mut seen = [None; N];
        let all = within(PATIENCE / 10, || {
            seen = perfs.map(|perf| total(perf, cgroup.id).filter(|total| near(total, work)));
            seen.iter().all(Option::is_some).then_some(())
        });
        if all.is_none() {
            println!("{work:?}, and {:?}", perfs.map(|perf| total(perf, cgroup.id)));
        }
        all.map(|()| seen.map(Option::unwrap))
    })
}

async fn next(samples: &mut Samples) -> Batch {
    timeout(PATIENCE, samples.next()).await.unwrap().unwrap()
}

/// Two processes in two cgroups that pass a byte to and fro on a processor.
struct Pair {
    one: Child,
    two: Child,
    cgroups: [Cgroup; 2],
}

impl Pair {
    fn new(cpu: u32, rounds: u64) -> Self {
        let (a, b) = UnixStream::pair().unwrap();
        let cgroups = [Cgroup::new(), Cgroup::new()];
        let one = Child::in_cgroup(&format!("first {cpu} {rounds}"), &cgroups[0], Some(a));
        let two = Child::in_cgroup(&format!("second {cpu} {rounds}"), &cgroups[1], Some(b));
        Self { one, two, cgroups }
    }

    fn go(&mut self) {
        self.one.go();
        self.two.go();
    }

    fn done(&mut self) -> [Work; 2] {
        [self.one.done(), self.two.done()]
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Sum {
    ran: u64,
    switches: u64,
    counters: [Delta; MAX_COUNTERS],
}

impl Sum {
    fn add(&mut self, sample: &Sample) {
        self.ran += sample.ran;
        self.switches += u64::from(sample.switches);
        for (to, from) in self.counters.iter_mut().zip(&sample.counters) {
            to.value += from.value;
            to.enabled += from.enabled;
            to.running += from.running;
        }
    }

    fn of(total: &Total) -> Self {
        Self { ran: total.ran, switches: total.switches, counters: total.counters }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_add_up_to_the_totals() {
    if !support::possible() {
        return;
    }
    for hook in [HookChoice::SchedSwitch, HookChoice::CgroupSwitches, HookChoice::SchedSwitchRaw] {
        let mut options = Options::default();
        options.hook = hook;
        options.counters = vec!["msr/tsc/".parse().unwrap(), "context-switches".parse().unwrap()];
        let perf = CgroupPerf::builder().options(options).start().await.unwrap();
        let mut samples = perf.samples().unwrap();
        assert!(perf.samples().is_none(), "there is one stream");
        let mut pair = Pair::new(1, 20_000);
        pair.go();
        let works = pair.done();
        let ids = [pair.cgroups[0].id, pair.cgroups[1].id];
        let mut sums: HashMap<CgroupId, Sum> = HashMap::new();
        let (mut last, mut late, mut slots) = (0, 0, 0);
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "{works:?}, {sums:?}, {:?}", perf.status());
            let batch = next(&mut samples).await;
            assert_eq!(batch.lost, 0);
            assert!(batch.samples.is_sorted_by_key(|sample| (sample.start, sample.cpu)));
            late += batch.samples.iter().filter(|sample| sample.start < last).count() as u64;
            last = batch.samples.last().map_or(last, |sample| last.max(sample.start));
            for sample in &batch.samples {
                assert!(sample.end > sample.start, "{sample:?}");
                assert_eq!((sample.start % 1_000_000, sample.end % 1_000_000), (0, 0), "{sample:?}");
                slots += usize::from(sample.cgroup == ids[0]);
                sums.entry(sample.cgroup).or_default().add(sample);
            }
            // The children sleep by now, so that their totals stand still.
            let done =
                ids.iter().all(|id| total(&perf, *id).is_some_and(|total| sums.get(id) == Some(&Sum::of(&total))));
            let ran = |index: usize| sums.get(&ids[index]).map_or(0, |sum: &Sum| sum.ran);
            if done && ran(0) > works[0].cpu / 10 * 9 && ran(1) > works[1].cpu / 10 * 9 {
                break;
            }
        }
        println!("{hook:?}: {slots} slots, {works:?}, {:?}", sums[&ids[0]]);
        let status = perf.status().unwrap();
        assert_eq!((status.kernel.backwards, status.kernel.insert_failures), (0, 0));
        // A processor that stood for longer than samples are waited for is late, and said to be.
        assert!(late <= status.late, "{late} out of order, {} said to be", status.late);
        perf.shutdown().await;
        perf.shutdown().await;
        assert!(perf.counters().is_err());
        while samples.next().await.is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_stamp_counter_stands_in_for_the_processors_own() {
    if !support::possible() {
        return;
    }
    if !std::path::Path::new("/sys/bus/event_source/devices/msr/events/tsc").exists() {
        eprintln!("skipped: no PMU msr");
        return;
    }
    let perf = builder("msr/tsc/ msr/tsc/ msr/tsc/").start().await.unwrap();
    println!("{}", perf.capabilities());
    assert_eq!(perf.capabilities().groups, 1);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let mhz = cpuinfo.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split_once(": ")?.1.parse::<f64>().ok());
    let mut rates: Vec<f64> = Vec::new();
    for milliseconds in [50, 100, 200] {
        let [total] = spin(milliseconds, [&perf], |total, work| total.ran > work.cpu / 100 * 99);
        for delta in &total.counters[..3] {
            rates.push(delta.value as f64 / delta.enabled as f64);
            assert_eq!(delta.enabled, delta.running, "it always counts");
            assert_eq!(delta.enabled, total.ran);
        }
        assert_eq!(total.counters[3], Delta::default());
    }
    println!("per nanosecond: {rates:?}; the kernel says {mhz:?} MHz");
    // It ticks at one rate, whoever runs and for how long.
    for rate in &rates {
        assert!((rate / rates[0] - 1.0).abs() < 0.002, "{rates:?}");
    }
    if let Some(mhz) = mhz {
        let rate = rates[0] * 1000.0;
        assert!(rate > mhz / 4.0 && rate < mhz * 4.0, "{rate} and {mhz} MHz");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_loses_records_and_blocks_nothing() {
    if !support::possible() {
        return;
    }
    let mut options = Options::default();
    options.ring_bytes = 4096;
    options.slot = Duration::from_micros(100);
    let perf = CgroupPerf::builder().options(options).start().await.unwrap();
    let mut samples = perf.samples().unwrap();
    let mut pair = Pair::new(1, 50_000);
    pair.go();
    let works = pair.done();
    let status = eventually("lost records", || {
        let status = perf.status().unwrap();
        (status.kernel.lost > 0).then_some(status)
    });
    println!("{status:?}");
    // The totals have it all.
    for (cgroup, work) in pair.cgroups.iter().zip(works) {
        eventually("the totals", || total(&perf, cgroup.id).filter(|total| total.ran > work.cpu / 100 * 98));
    }
    // What is lost is told, and samples go on.
    let mut lost = 0;
    let mut begun = 0;
    let mut after = false;
    while lost == 0 || !after {
        let batch = next(&mut samples).await;
        if lost > 0 && batch.samples.iter().any(|sample| sample.start > begun) {
            after = true;
        }
        lost += batch.lost;
        begun = begun.max(monotonic());
    }
    let by_cpu = perf.status().unwrap().kernel.lost;
    assert!(lost <= by_cpu, "{lost} told, {by_cpu} counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_count_the_same() {
    if !support::possible() {
        return;
    }
    let (one, two) = tokio::join!(builder("msr/tsc/ task-clock").start(), builder("task-clock").start());
    let (one, two) = (one.unwrap(), two.unwrap());
    let near = |total: &Total, work: Work| total.ran.abs_diff(work.cpu) < work.cpu / 50 + 1_000_000;
    spin(100, [&one, &two], near);
    drop(one);
    spin(100, [&two], near);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_told_apart_within_a_cgroup() {
    if !support::possible() {
        return;
    }
    for hook in [HookChoice::SchedSwitch, HookChoice::SchedSwitchRaw] {
        let perf = CgroupPerf::builder().hook(hook).per_task(true).start().await.unwrap();
        let mut samples = perf.samples().unwrap();
        measured("two processes of a cgroup", || {
            let cgroup = Cgroup::new();
            let mut children = [50, 100].map(|ms| Child::in_cgroup(&format!("spin 1 {ms}"), &cgroup, None));
            for child in &mut children {
                child.go();
            }
            let works = children.each_mut().map(Child::done);
            let mut ran: HashMap<u32, u64> = HashMap::new();
            within(PATIENCE / 10, || {
                let batch = block_in_place(|| Handle::current().block_on(next(&mut samples)));
                for sample in batch.samples.iter().filter(|sample| sample.cgroup == cgroup.id) {
                    let task = sample.task.unwrap();
                    assert!(task.comm.starts_with(b"child") || task.comm.starts_with(b"stream"), "{task:?}");
                    *ran.entry(task.pid).or_default() += sample.ran;
                }
                let near = |(child, work): (&Child, &Work)| {
                    let ran = ran.get(&child.pid()).copied().unwrap_or(0);
                    ran.abs_diff(work.cpu) < work.cpu / 20 + 2_000_000
                };
                children.iter().zip(&works).all(near).then_some(())
            })
        });
        perf.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_ends_samples_and_not_the_totals() {
    if !support::possible() {
        return;
    }
    let perf = builder("task-clock").start().await.unwrap();
    let mut samples = perf.samples().unwrap();
    next(&mut samples).await;
    drop(samples);
    spin(50, [&perf], |total, work| total.ran > work.cpu / 100 * 98);
    assert_eq!(perf.status().unwrap().kernel.lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_cgroups_than_a_slot_has_places_for_lose_nothing() {
    if !support::possible() {
        return;
    }
    let mut options = Options::default();
    options.slot = Duration::from_secs(1);
    options.counters = vec!["task-clock".parse().unwrap()];
    let perf = CgroupPerf::builder().options(options).start().await.unwrap();
    let mut samples = perf.samples().unwrap();
    // Asleep in their cgroups, and then all in the same second or two.
    // The process goes before its cgroup.
    let mut children: Vec<(Child, Cgroup)> = Vec::new();
    for _ in 0..150 {
        let cgroup = Cgroup::new();
        let child = Child::in_cgroup("spin 1 1", &cgroup, None);
        children.push((child, cgroup));
    }
    for (child, _) in &mut children {
        child.go();
    }
    let works: Vec<Work> = children.iter_mut().map(|(child, _)| child.done()).collect();
    let mut sums: HashMap<CgroupId, Sum> = HashMap::new();
    let mut slots = HashMap::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let batch = next(&mut samples).await;
        assert_eq!(batch.lost, 0);
        if Instant::now() > deadline {
            for ((_, cgroup), work) in children.iter().zip(&works) {
                let total = total(&perf, cgroup.id).as_ref().map(Sum::of);
                if total.as_ref() != sums.get(&cgroup.id) || total.is_none() {
                    println!("{:?} {work:?} {total:?} {:?}", cgroup.id, sums.get(&cgroup.id));
                }
            }
            panic!("the sums never became the totals: {:?}", perf.status().unwrap());
        }
        for sample in &batch.samples {
            assert!(sample.end > sample.start, "{sample:?}");
            sums.entry(sample.cgroup).or_default().add(sample);
            *slots.entry((sample.start, sample.cpu, sample.cgroup)).or_insert(0) += 1;
        }
        let done = children.iter().zip(&works).all(|((_, cgroup), work)| {
            let total = total(&perf, cgroup.id);
            total.is_some_and(|total| total.ran > work.cpu / 2 && sums.get(&cgroup.id) == Some(&Sum::of(&total)))
        });
        if done {
            break;
        }
    }
    let health = perf.status().unwrap().kernel;
    println!("{health:?}");
    assert!(health.early > 0, "there were more than places: {health:?}");
    assert!(slots.values().all(|count| *count == 1), "one sample for each cgroup in a slot");
}

#[tokio::test]
async fn messages_of_the_programs_are_for_those_who_want_them() {
    if !support::possible() {
        return;
    }
    for wanted in [true, false] {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let mut options = Options::default();
        options.kernel_log = wanted;
        let perf = CgroupPerf::builder().options(options).start().await.unwrap();
        let mut samples = perf.samples().unwrap();
        let begun = monotonic();
        let told = |lines: &Lines| lines.text().contains("the timer runs in mode 0");
        // The messages are read four times a second.
        while !told(&lines) && (wanted || monotonic() < begun + 600_000_000) {
            next(&mut samples).await;
        }
        assert_eq!(told(&lines), wanted, "{}", lines.text());
        perf.shutdown().await;
    }
}

#[derive(Clone, Default)]
struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
