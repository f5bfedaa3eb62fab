//! Pods and containers that come and go → an index and a process that stay small.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use parking_lot::Mutex;

use super::node::{each, say, until};
use super::plugin::{index, join, run};

/// For each version.
const TIME: Duration = Duration::from_secs(15);
/// When memory is looked at: once whatever is allocated once is, and at the end, for as long.
const BEGIN: Duration = Duration::from_secs(4);
const BEGUN: Duration = Duration::from_secs(8);
const END: Duration = Duration::from_secs(11);
const GRACE: Duration = Duration::from_millis(500);
/// Pods at once; each is another one after so many containers.
const WORKERS: usize = 4;
const CONTAINERS: usize = 6;
/// The most that may be known: those that run, and those of the grace time, on a machine ten times as fast.
const KNOWN: usize = 256;
/// Of memory, per container: a third of what one takes in the index.
const GROWTH: u64 = 1024;
/// And whatever else goes on in this process: other tests run beside this one. It is a third of what 128 containers take
/// in the index.
const BESIDE: u64 = 128 << 10;

/// The resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// What was seen after a container.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    resident: u64,
    known: usize,
    took: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_that_come_and_go_leave_memory_flat() {
    each(async |node| {
        let index = index(GRACE);
        let session = join(node, Arc::new(index.clone())).await;
        let _running = run(&index);
        // All of it before, so that writing it down takes no memory later.
        let samples = Mutex::new(Vec::with_capacity(100_000));
        let began = Instant::now();
        let (node, index) = (&*node, &index);
        join_all((0..WORKERS).map(async |worker| {
            while began.elapsed() < TIME {
                let pod = node.run_pod(&format!("pod{worker}")).await;
                for _ in 0..CONTAINERS {
                    let start = Instant::now();
                    let id = node.run(&pod, "main").await;
                    assert!(index.by_container_id(&id).unwrap().cgroup.is_some());
                    node.remove_container(&id).await;
                    let (at, known, took) = (began.elapsed(), index.len(), start.elapsed());
                    samples.lock().push(Sample { at, resident: resident(), known, took });
                }
                node.remove_pod(&pod).await;
            }
        }))
        .await;
        until("an empty index", || index.is_empty()).await;

        let samples = samples.into_inner();
        // Of each time the least: memory that is freed again does not count.
        let least = |from: Duration, to: Duration| {
            samples.iter().filter(|sample| (from..to).contains(&sample.at)).map(|sample| sample.resident).min().unwrap()
        };
        let (before, after) = (least(BEGIN, BEGUN), least(END, TIME * 2));
        let between = samples.iter().filter(|sample| sample.at > BEGUN).count() as u64;
        let longest = samples.iter().map(|sample| sample.took).max().unwrap();
        let most = samples.iter().map(|sample| sample.known).max().unwrap();
        say(&format!(
            "containerd {}: {} containers in {} pods came and went in {:?}, one in {longest:?} at most, {most} known at \
             most; {} KiB resident at the \
             begin, {} KiB at the end",
            node.version(),
            samples.len(),
            samples.len() / CONTAINERS,
            began.elapsed(),
            before >> 10,
            after >> 10
        ));
        assert!(most < KNOWN, "{most} are known at once");
        assert!(after <= before + GROWTH * between + BESIDE, "{before} bytes became {after} by {between} containers");
        session.shutdown().await.unwrap();
    })
    .await;
}
