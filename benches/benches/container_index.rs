//! Looking a container up by its cgroup's id while another thread writes, and taking events in.
#![allow(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nix::time::{ClockId, clock_gettime};
use nri_plugin::cgroup::CgroupFs;
use nri_plugin::index::{Container, ContainerIndex, ContainerInfo, Event, PodInfo};
use parking_lot::RwLock;
use tempfile::TempDir;

/// A large node: the kubelet's default is 110 pods.
const PODS: usize = 500;
const CONTAINERS: usize = 2 * PODS;

fn pod(number: usize) -> PodInfo {
    PodInfo {
        id: format!("{:064x}", 1_000_000 + number),
        name: format!("web-{number}"),
        namespace: "shop".to_owned(),
        uid: format!("{number:08x}-1234-4abc-8def-0123456789ab"),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        ..PodInfo::default()
    }
}

fn container(number: usize) -> ContainerInfo {
    let id = format!("{number:064x}");
    let pod = pod(number / 2);
    let pid = u32::try_from(number + 1).ok();
    let cgroups_path = format!("/kubepods/burstable/pod{}/{id}", pod.uid);
    ContainerInfo { pod_id: pod.id, name: format!("app-{number}"), cgroups_path, pid, id, ..ContainerInfo::default() }
}

/// A host's files in a temporary directory, an index of it, and its cgroups' ids.
struct Node {
    _host: TempDir,
    index: ContainerIndex,
    ids: Vec<u64>,
}

fn node() -> Node {
    let host = tempfile::tempdir().expect("a directory");
    let root = host.path();
    let write = |path: String, text: String| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    };
    write("proc/self/mountinfo".to_owned(), "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n".to_owned());
    let mut ids = Vec::new();
    // One more than there are: the writer's.
    for number in 0..=CONTAINERS {
        let ContainerInfo { cgroups_path, .. } = container(number);
        write(format!("proc/{}/cgroup", number + 1), format!("0::{cgroups_path}\n"));
        let directory = root.join(format!("sys/fs/cgroup{cgroups_path}"));
        fs::create_dir_all(&directory).expect("a directory");
        ids.push(fs::metadata(directory).expect("a directory").ino());
    }
    ids.truncate(CONTAINERS);
    let index = ContainerIndex::builder(CgroupFs::discover_in(root).expect("a mount")).build();
    index.apply(Event::Synchronized {
        pods: (0..PODS).map(pod).collect(),
        containers: (0..CONTAINERS).map(container).collect(),
    });
    Node { _host: host, index, ids }
}

/// The processor time that this thread has used.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

/// Processor time of so many look-ups: on a machine with other work, the time on the wall is mostly that of waiting.
fn look_up(ids: &[u64], gets: u64, get: impl Fn(u64) -> Option<Arc<Container>>) -> Duration {
    let began = thread_time();
    let mut at = 0;
    for _ in 0..gets {
        // A stride through all, so that no look-up finds what the one before it left in the processor.
        at = (at + 379) % ids.len();
        black_box(get(ids[at]).expect("a container"));
    }
    thread_time().saturating_sub(began)
}

/// Runs `work` while another thread writes without a pause.
fn beside(write: impl Fn() + Send + 'static, work: impl FnOnce()) {
    let stop = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(Ordering::Relaxed) {
                write();
            }
        }
    });
    work();
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer");
}

fn by_cgroup_id(criterion: &mut Criterion) {
    let Node { _host, index, ids } = node();
    let mut group = criterion.benchmark_group("container_index/by_cgroup_id");
    group.throughput(Throughput::Elements(1));
    group.bench_function("alone", |bencher| {
        bencher.iter_custom(|gets| look_up(&ids, gets, |id| index.by_cgroup_id(id)));
    });
    let writing = index.clone();
    let write = move || {
        writing.apply(Event::ContainerStarted(container(CONTAINERS)));
        writing.apply(Event::ContainerRemoved(container(CONTAINERS).id));
    };
    beside(write, || {
        group.bench_function("and_a_writer", |bencher| {
            bencher.iter_custom(|gets| look_up(&ids, gets, |id| index.by_cgroup_id(id)));
        });
    });
    group.bench_function("miss", |bencher| bencher.iter(|| black_box(index.by_cgroup_id(black_box(u64::MAX)))));

    // What it is judged against: a map behind a lock.
    let locked: HashMap<u64, Arc<Container>> =
        ids.iter().map(|id| (*id, index.by_cgroup_id(*id).expect("a container"))).collect();
    let locked = Arc::new(RwLock::new(locked));
    group.bench_function("rwlock_alone", |bencher| {
        bencher.iter_custom(|gets| look_up(&ids, gets, |id| locked.read().get(&id).cloned()));
    });
    let (writing, value) = (locked.clone(), index.by_cgroup_id(ids[0]).expect("a container"));
    let write = move || {
        writing.write().insert(0, value.clone());
        // The files that an event makes the index read.
        thread::sleep(Duration::from_micros(20));
    };
    beside(write, || {
        group.bench_function("rwlock_and_a_writer", |bencher| {
            bencher.iter_custom(|gets| look_up(&ids, gets, |id| locked.read().get(&id).cloned()));
        });
    });
}

fn apply(criterion: &mut Criterion) {
    let Node { _host, index, .. } = node();
    let mut group = criterion.benchmark_group("container_index/apply");
    group.bench_function("start_and_remove", |bencher| {
        bencher.iter(|| {
            index.apply(Event::ContainerStarted(container(CONTAINERS)));
            index.apply(Event::ContainerRemoved(container(CONTAINERS).id));
        });
    });
    let (pods, containers): (Vec<_>, Vec<_>) = ((0..PODS).map(pod).collect(), (0..CONTAINERS).map(container).collect());
    group.bench_function("full_set_of_1000", |bencher| {
        bencher.iter_batched(
            || Event::Synchronized { pods: pods.clone(), containers: containers.clone() },
            |full| index.apply(full),
            criterion::BatchSize::LargeInput,
        );
    });
    group.bench_function("scan_of_1000", |bencher| bencher.iter(|| index.scan()));
    group.bench_function("by_pid", |bencher| bencher.iter(|| index.by_pid(black_box(7)).expect("a container")));
}

criterion_group!(benches, by_cgroup_id, apply);
criterion_main!(benches);
