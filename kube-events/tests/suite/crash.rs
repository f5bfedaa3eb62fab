//! A process that is killed at any moment → what its files have in the end.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster_sim::Sim;
use futures::FutureExt;
use futures::future::BoxFuture;
use kube_events::checkpoint::{File as Position, Marks, SaveOptions};
use kube_events::event::EnhancedEvent;
use kube_events::pipeline::{Pipeline, PipelineOptions};
use kube_events::sink::file::FileOptions;
use kube_events::sink::{
    BatchOptions, Body, Delivery, DeliveryError, EncodeError, File, OutletOptions, Record, RetryOptions, Sink,
    SpillOptions,
};
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

const CHILD: &str = "KUBE_EVENTS_TEST_EXPORT_TO";
const KILLS: usize = 14;
const PATIENCE: Duration = Duration::from_secs(30);
/// What a kill may repeat at most, in the time in which it happened: a position is kept each 100 ms, on a machine that
/// may be very busy.
const REPEATED: Duration = Duration::from_secs(5);

fn position(directory: &Path) -> PathBuf {
    directory.join("position.json")
}

/// While there is this file, the second receiver's sink takes nothing.
fn outage(directory: &Path) -> PathBuf {
    directory.join("outage")
}

/// A file behind a connection that may be down.
struct Remote {
    file: File,
    outage: PathBuf,
}

impl Sink for Remote {
    fn kind(&self) -> &'static str {
        "remote"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        self.file.encode(event)
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        if self.outage.exists() {
            return async { Err(DeliveryError::again("nobody is there")) }.boxed();
        }
        self.file.deliver(batch)
    }
}

/// Not a test of its own: the process that is killed. It ends by itself when its input does.
#[test]
fn exports_until_it_is_killed() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (url, directory) = told.split_once(' ').unwrap();
    let directory = Path::new(directory);
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let client = kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
        let file = |name: &str| File::new(FileOptions::new(directory.join(name)), Body::json());
        let options = OutletOptions {
            batch: BatchOptions { events: 20, ..BatchOptions::default() },
            retry: RetryOptions {
                first: Duration::from_millis(20),
                longest: Duration::from_millis(100),
                ..RetryOptions::default()
            },
            ..OutletOptions::default()
        };
        let spill = SpillOptions { after: Duration::from_millis(50), ..SpillOptions::new(directory.join("spill")) };
        let pipeline = Pipeline::builder(client)
            .checkpoint(Position::new(position(directory)))
            .options(PipelineOptions {
                save: SaveOptions { interval: Duration::from_millis(100), ..SaveOptions::default() },
                ..PipelineOptions::default()
            })
            .receiver("file", file("file.log"), options.clone())
            .receiver(
                "remote",
                Remote { file: file("remote.log"), outage: outage(directory) },
                OutletOptions { queue: 50, spill: Some(spill), ..options },
            )
            .spawn()
            .await
            .unwrap();
        let end = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
        end.await.unwrap().unwrap();
        pipeline.shutdown().await;
    });
}

fn spawn(sim: &Sim, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::exports_until_it_is_killed"])
        .env(CHILD, format!("{} {}", sim.url(), directory.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits for what comes sooner or later, while the process lives.
fn wait_for(child: &mut Child, what: &str, mut is_there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_there() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended by itself before {what}");
        assert!(began.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Lets a process end by itself.
fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// The version up to which a restart repeats nothing.
fn mark(directory: &Path) -> u64 {
    let marks: Marks = serde_json::from_slice(&fs::read(position(directory)).unwrap()).unwrap();
    marks.of("").unwrap().resource_version.parse().unwrap()
}

/// The versions of the lines of a file, and how many lines are half.
fn lines(directory: &Path, name: &str) -> (Vec<u64>, usize) {
    let bytes = fs::read(directory.join(name)).unwrap_or_default();
    let whole = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut versions, mut torn) = (Vec::new(), 0);
    for line in whole {
        match serde_json::from_slice::<Value>(line) {
            Ok(event) => versions.push(event["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()),
            Err(_) => torn += 1,
        }
    }
    (versions, torn)
}

/// What the API server has acknowledged: versions of events, and when.
type Happened = Arc<Mutex<Vec<(u64, Instant)>>>;

fn event(name: usize, count: u64) -> Value {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("e{name}"), "namespace": "web"},
        "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": "web", "name": "web-0", "uid": "u"},
        "reason": "Tested", "message": format!("event {name}"), "type": "Normal", "count": count,
        "firstTimestamp": now, "lastTimestamp": now, "source": {"component": "test"},
    })
}

/// Events happen, some of them again, until it is told to stop.
fn happen(sim: &Sim, happened: &Happened, seed: u64, stop: &AtomicBool) {
    let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut counts: Vec<u64> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let again = !counts.is_empty() && dice.random_bool(0.2);
        let name = if again { dice.random_range(0..counts.len()) } else { counts.len() };
        counts.resize(counts.len().max(name + 1), 0);
        counts[name] += 1;
        {
            // Whoever looks at them finds each that may have been told.
            let mut happened = happened.lock();
            let stored = sim.upsert(event(name, counts[name])).unwrap();
            let version = stored["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
            happened.push((version, Instant::now()));
        }
        std::thread::sleep(Duration::from_micros(dice.random_range(0..4000)));
    }
}

/// Kills at random points of its life: while it starts, reads, writes lines, positions or spills. Each process has to go
/// on right after the position that the one before has left, in order and without a gap: so nothing is lost, and what
/// is repeated is what stood in the file after that position.
#[test]
fn a_killed_process_loses_nothing_and_repeats_what_was_not_kept() {
    let runtime: Runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for seed in [1, 2] {
        let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let sim = runtime.block_on(async {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}});
            Sim::builder().history(1_000_000).objects([namespace]).start().await.unwrap()
        });
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let happened = Happened::default();
        let began = Instant::now();

        // A first start tells what is young; from the first position on nothing may be lost.
        let mut child = spawn(&sim, directory);
        wait_for(&mut child, "position", || position(directory).exists());
        let stop = AtomicBool::new(false);
        let (mut repeated, mut most) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| happen(&sim, &happened, seed, &stop));
            // Whatever fails, the events end.
            let _stop = Stop(&stop);
            let mut seen = Vec::new();
            let mut from = mark(directory);
            for kill in 0..=KILLS {
                let is_last = kill == KILLS;
                if is_last {
                    stop.store(true, Ordering::Relaxed);
                    let _ = fs::remove_file(outage(directory));
                    // All that happened is there, in both.
                    wait_for(&mut child, "last event", || {
                        let last = happened.lock().last().unwrap().0;
                        ["file.log", "remote.log"].iter().all(|name| lines(directory, name).0.contains(&last))
                    });
                    drop(child.stdin.take());
                } else {
                    std::thread::sleep(Duration::from_millis(dice.random_range(0..600)));
                    child.kill().unwrap();
                }
                assert_eq!(child.wait().unwrap().success(), is_last, "it does not end by itself");
                let killed = Instant::now();
                let (now, _) = lines(directory, "file.log");
                let told = now.get(seen.len()..).unwrap_or_else(|| panic!("seed {seed}, kill {kill}: lines are gone"));
                let due: Vec<u64> =
                    happened.lock().iter().map(|(version, _)| *version).filter(|version| *version > from).collect();
                assert_eq!(
                    told,
                    &due[..told.len()],
                    "seed {seed}, kill {kill}: in order, without a gap, from {from} on"
                );
                if is_last {
                    assert_eq!(told.len(), due.len(), "seed {seed}: all of them in the end");
                }
                seen = now;
                from = mark(directory);
                let known: BTreeSet<u64> = seen.iter().copied().filter(|version| *version > from).collect();
                let recent = happened.lock().iter().filter(|(_, at)| killed - *at < REPEATED).count();
                assert!(known.len() <= recent, "seed {seed}, kill {kill}: {} are to be repeated", known.len());
                most = most.max(known.len());
                repeated += known.len();
                if dice.random_bool(0.5) {
                    fs::File::create(outage(directory)).unwrap().flush().unwrap();
                } else {
                    let _ = fs::remove_file(outage(directory));
                }
                if !is_last {
                    child = spawn(&sim, directory);
                }
            }
        });

        // After an orderly end nothing is repeated.
        assert_eq!(mark(directory), happened.lock().last().unwrap().0);
        let _ = fs::remove_file(outage(directory));
        let before = ["file.log", "remote.log"].map(|name| lines(directory, name));
        let watches = sim.requests().count(cluster_sim::Verb::Watch, "events");
        let mut child = spawn(&sim, directory);
        wait_for(&mut child, "watch", || sim.requests().count(cluster_sim::Verb::Watch, "events") > watches);
        end(child);
        assert_eq!(["file.log", "remote.log"].map(|name| lines(directory, name)), before);

        let happened: BTreeSet<u64> = happened.lock().iter().map(|(version, _)| *version).collect();
        for (name, (versions, torn)) in ["file.log", "remote.log"].iter().zip(before) {
            let told: BTreeSet<u64> = versions.iter().copied().collect();
            assert_eq!(told, happened, "seed {seed}, {name}: each at least once");
            let twice = versions.len() - told.len();
            println!("seed {seed}, {name}: {} events, {twice} repeated, {torn} half lines", told.len());
        }
        println!(
            "seed {seed}: {KILLS} kills repeat {repeated} at most, {most} by one, in {:.1} s",
            began.elapsed().as_secs_f64()
        );
        runtime.block_on(sim.shutdown());
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
