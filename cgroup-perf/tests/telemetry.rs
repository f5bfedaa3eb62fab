//! What happens → what the crate counts of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[cfg(feature = "parquet")]
mod common;
mod support;

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cgroup_perf::loader::Options;
use cgroup_perf::quality::Counter as Expected;
use cgroup_perf::resolver::{Join, JoinConfig, Labels, Lookup, Resolver};
use cgroup_perf::sample::{Batch, CgroupId, Delta, MAX_COUNTERS, Sample};
use cgroup_perf::totals::Totals;
use cgroup_perf::watched::Watched;
use cgroup_perf::{CgroupPerf, telemetry};
use futures::StreamExt;
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;
use support::{Cgroup, Child, eventually};

#[test]
fn child() {
    support::child_main();
}

/// Values by `name label=value`.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<BTreeMap<String, Arc<Value>>>>);

#[derive(Default)]
struct Value(AtomicI64);

impl CounterFn for Value {
    fn increment(&self, value: u64) {
        self.0.fetch_add(i64::try_from(value).unwrap(), Ordering::Relaxed);
    }

    fn absolute(&self, _: u64) {
        panic!("several owners share a counter");
    }
}

impl GaugeFn for Value {
    fn increment(&self, value: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "gauges of this crate are counts")]
        self.0.fetch_add(value as i64, Ordering::Relaxed);
    }

    fn decrement(&self, value: f64) {
        GaugeFn::increment(self, -value);
    }

    fn set(&self, _: f64) {
        panic!("several owners share a gauge");
    }
}

impl Recorded {
    fn place(&self, key: &Key) -> Arc<Value> {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = [key.name().to_owned(), labels.join(",")].join(" ").trim_end().to_owned();
        self.0.lock().entry(name).or_default().clone()
    }

    fn get(&self, name: &str) -> i64 {
        self.0.lock().get(name).map_or(0, |value| value.0.load(Ordering::Relaxed))
    }

    #[track_caller]
    fn are(&self, values: &[(&str, i64)]) {
        for (name, value) in values {
            assert_eq!(self.get(name), *value, "{name}");
        }
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.place(&Key::from_name(name));
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.place(&Key::from_name(name));
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("there is none");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.place(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.place(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("there is none");
    }
}

const README: &str = include_str!("../README.md");

#[test]
fn the_readme_the_recorder_and_the_code_have_the_same_metrics() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, telemetry::describe);
    let mut names: Vec<_> = telemetry::METRICS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    names.sort();
    assert_eq!(recorded.0.lock().keys().cloned().collect::<Vec<_>>(), names);
    for (name, _, labels, says) in telemetry::METRICS {
        let labels = if labels.is_empty() { String::new() } else { format!("`{}` ", labels.replace(", ", "`, `")) };
        assert!(README.contains(&format!("| `{name}` | {labels}| {says} |")), "{name}");
    }
    let listed = README.lines().filter(|line| line.starts_with("| `cgroup_perf_")).count();
    assert_eq!(listed, names.len(), "the README has a metric that is none");
}

fn sample(cgroup: u64, deltas: [(u64, u64, u64); 2]) -> Sample {
    let mut counters = [Delta::default(); MAX_COUNTERS];
    for (to, (value, enabled, running)) in counters.iter_mut().zip(deltas) {
        *to = Delta { value, enabled, running };
    }
    let ran = 1_000_000;
    Sample { start: 0, end: ran, cpu: 0, cgroup: CgroupId(cgroup), task: None, ran, switches: 0, counters }
}

const MS: u64 = 1_000_000;
const GOOD: (u64, u64, u64) = (3 * MS, MS, MS);

#[test]
fn readings_are_counted_by_what_they_are_worth() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        let mut totals = Totals::new(&[Expected::CYCLES, Expected::INSTRUCTIONS]);
        let samples = vec![
            sample(7, [GOOD, GOOD]),
            sample(7, [(MS, MS, MS / 2), (0, MS, 0)]),
            sample(8, [(0, 0, 0), (395, MS, MS)]),
            sample(8, [(395, MS, MS), (0, MS, MS)]),
        ];
        totals.add(&Batch { samples, lost: 0 });
    });
    let name = |quality: &str| format!("cgroup_perf_readings_total by=totals,quality={quality}");
    recorded.are(&[
        (&name("exact"), 3),
        (&name("scaled"), 1),
        (&name("not_counted"), 1),
        (&name("stalled"), 1),
        (&name("implausible"), 2),
    ]);
}

/// Knows 7 from the start, 8 from some time on, and 9 never.
struct Late(AtomicI64);

impl Resolver for Late {
    fn lookup(&self, cgroup: CgroupId) -> Lookup {
        match (cgroup.0, self.0.load(Ordering::Relaxed)) {
            (7, _) | (8, 1) => Lookup::Known(Arc::new(Labels::default())),
            _ => Lookup::Later,
        }
    }
}

#[test]
fn joins_are_counted_by_how_they_end() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        let mut config = JoinConfig::default();
        config.most_held = 2;
        let mut join = Join::new(config);
        let resolver = Late(AtomicI64::new(0));
        for cgroup in [7, 7, 9, 8, 9] {
            join.push(&sample(cgroup, [GOOD; 2]), &resolver, 0, |_, _| {});
        }
        recorded.are(&[("cgroup_perf_join_queue", 0)]);
        join.release(&resolver, 1, |_, _| {});
        recorded.are(&[
            ("cgroup_perf_join_samples_total result=hit", 2),
            ("cgroup_perf_join_samples_total result=overflowed", 1),
            ("cgroup_perf_join_queue", 2),
        ]);
        resolver.0.store(1, Ordering::Relaxed);
        join.release(&resolver, 200 * MS, |_, _| {});
        recorded.are(&[("cgroup_perf_join_samples_total result=late", 1), ("cgroup_perf_join_queue", 1)]);
        join.release(&resolver, 3_000 * MS, |_, _| {});
        recorded.are(&[("cgroup_perf_join_samples_total result=unresolved", 1), ("cgroup_perf_join_queue", 0)]);
        join.push(&sample(8, [GOOD; 2]), &resolver, 3_000 * MS, |_, _| {});
        join.finish(|_, _| {});
    });
    recorded.are(&[("cgroup_perf_join_samples_total result=hit", 3)]);
}

#[cfg(feature = "parquet")]
#[test]
fn files_are_counted_with_their_rows() {
    use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter};
    let recorded = Recorded::default();
    let directory = tempfile::tempdir().unwrap();
    metrics::with_local_recorder(&recorded, || {
        let mut config = ParquetConfig::new(directory.path());
        (config.batch_rows, config.row_group_rows, config.most_waiting) = (100, 1_000, 1);
        let mut writer = ParquetWriter::open(config, common::columns()).unwrap();
        let mut node = common::Node::new(10);
        let mut pushed = 0;
        for sample in (0..).flat_map(|_| node.slot()).take(2_500) {
            writer.push(&sample, None).unwrap();
            pushed += 1;
        }
        assert_eq!(pushed, 2_500);
        recorded.are(&[("cgroup_perf_parquet_row_groups_total result=written", 2)]);
        // The directory goes: what waits has no place any more, and is dropped.
        std::fs::remove_dir_all(directory.path()).unwrap();
        for sample in (0..).flat_map(|_| node.slot()).take(5_000) {
            drop(writer.push(&sample, None));
        }
        drop(writer);
    });
    let written = recorded.get("cgroup_perf_parquet_rows_total result=written");
    let dropped = recorded.get("cgroup_perf_parquet_rows_total result=dropped");
    println!(
        "{:?}",
        recorded
            .0
            .lock()
            .iter()
            .map(|(name, value)| (name.clone(), value.0.load(Ordering::Relaxed)))
            .collect::<Vec<_>>()
    );
    assert!(written >= 2_000 && dropped > 0 && written + dropped <= 7_500, "{written} {dropped}");
    assert!(recorded.get("cgroup_perf_parquet_row_groups_total result=dropped") > 0);
    assert!(recorded.get("cgroup_perf_parquet_write_errors_total") > 0);
    assert!(recorded.get("cgroup_perf_parquet_bytes_total") > 0);
    assert!(recorded.get("cgroup_perf_readings_total by=files,quality=exact") > 0);
    recorded.are(&[("cgroup_perf_parquet_queue", 0)]);
}

#[cfg(feature = "parquet")]
#[test]
fn files_that_were_completed_are_counted() {
    use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter};
    let recorded = Recorded::default();
    let directory = tempfile::tempdir().unwrap();
    metrics::with_local_recorder(&recorded, || {
        let mut writer = ParquetWriter::open(ParquetConfig::new(directory.path()), common::columns()).unwrap();
        for sample in common::Node::new(10).slot() {
            writer.push(&sample, None).unwrap();
        }
        writer.finish().unwrap();
    });
    recorded
        .are(&[("cgroup_perf_parquet_files_total result=written", 1), ("cgroup_perf_parquet_write_errors_total", 0)]);
}

/// All on one thread, so that the recorder is the test's own.
#[tokio::test]
async fn what_comes_from_the_kernel_is_counted() {
    if !support::possible() {
        return;
    }
    let recorded = Recorded::default();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let mut options = Options::default();
    options.ring_bytes = 1 << 16;
    options.max_cgroups = 16;
    let perf = CgroupPerf::builder().options(options).grace(Duration::from_secs(1)).start().await.unwrap();
    let mut samples = perf.samples().unwrap();
    let (mut read, mut lost) = (0, 0);
    let cgroups: Vec<Cgroup> = (0..24).map(|_| Cgroup::new()).collect();
    let (a, b) = UnixStream::pair().unwrap();
    let mut one = Child::in_cgroup("first 1 200", &cgroups[0], Some(a));
    let mut two = Child::in_cgroup("second 1 200", &cgroups[1], Some(b));
    one.go();
    two.go();
    one.done();
    two.done();
    let mut watched = Watched::open(&[&cgroups[0].path], &["task-clock".parse().unwrap()]).unwrap();
    watched.read().unwrap();
    assert!(recorded.get("cgroup_perf_readings_total by=watched,quality=exact") > 0);
    drop(watched);
    // More cgroups than there is room for.
    let mut children: Vec<_> = cgroups[2..].iter().map(|cgroup| Child::in_cgroup("spin 1 1", cgroup, None)).collect();
    children.iter_mut().for_each(Child::go);
    for child in &mut children {
        child.done();
    }
    drop((children, one, two));
    drop(cgroups);
    let deadline = std::time::Instant::now() + support::PATIENCE;
    while recorded.get("cgroup_perf_reclaimed_total") == 0 || recorded.get("cgroup_perf_insert_failures_total") == 0 {
        assert!(std::time::Instant::now() < deadline, "{:?} {:?}", perf.status(), recorded.0.lock().keys());
        let batch = samples.next().await.unwrap();
        (read, lost) = (read + batch.samples.len(), lost + batch.lost);
    }
    // Nobody reads: the ring runs full.
    let mut options = Options::default();
    options.ring_bytes = 4096;
    options.slot = Duration::from_micros(100);
    let small = CgroupPerf::builder().options(options).start().await.unwrap();
    let _unread = small.samples().unwrap();
    let mut storm = (Cgroup::new(), None);
    storm.1 = Some(Child::in_cgroup("spin 1 600000", &storm.0, None));
    storm.1.as_mut().unwrap().go();
    let deadline = std::time::Instant::now() + support::PATIENCE;
    while recorded.get("cgroup_perf_records_total result=lost") == 0 {
        assert!(std::time::Instant::now() < deadline, "{:?}", small.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let counted = recorded.get("cgroup_perf_samples_total result=in_order")
        + recorded.get("cgroup_perf_samples_total result=late");
    assert!(counted >= i64::try_from(read).unwrap() && read > 0, "{counted} of {read}");
    assert!(recorded.get("cgroup_perf_records_total result=read") >= counted);
    assert_eq!(recorded.get("cgroup_perf_records_total result=malformed"), 0);
    perf.shutdown().await;
    small.shutdown().await;
    drop(storm.1.take());
    eventually("the queues are given back", || (recorded.get("cgroup_perf_merge_queue") == 0).then_some(()));
}
