//! How often a sample allocates on its way: counted, not timed.
//!
//! A program of its own: allocations are counted per thread.
#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use allocation_counter::measure;
use cgroup_perf::output::arrow::BatchBuilder;
use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter};
use cgroup_perf::quality::Counter;
use cgroup_perf::resolver::{Join, JoinConfig, Lookup, Resolver};
use cgroup_perf::sample::{CgroupId, Sample};
use cgroup_perf::totals::Totals;
use common::{Node, columns, container, labels};

const ROWS: usize = 10_000;

fn samples() -> Vec<Sample> {
    let mut node = Node::new(100);
    let mut samples = Vec::new();
    while samples.len() < ROWS {
        samples.extend(node.slot());
    }
    samples.truncate(ROWS);
    samples
}

#[test]
fn a_sample_on_its_way_into_a_batch_allocates_nothing() {
    let samples = samples();
    let labels: Vec<_> = (0..100).map(labels).collect();
    let mut builder = BatchBuilder::new(columns(), ROWS);
    let fill = |builder: &mut BatchBuilder| {
        for sample in &samples {
            builder.push(sample, Some(&labels[container(sample)]));
        }
    };
    for _ in 0..3 {
        let pushed = measure(|| fill(&mut builder));
        assert_eq!(pushed.count_total, 0);
        // A batch costs its columns' memory, however many rows it has.
        let made = measure(|| drop(builder.finish().unwrap()));
        println!("{} allocations for a batch of {ROWS} rows", made.count_total);
        assert!(made.count_total < 400, "{made:?}");
        assert!(made.bytes_current <= 0, "{made:?}");
    }
}

#[test]
fn a_sample_of_a_cgroup_that_is_known_allocates_nothing_in_totals_and_join() {
    struct All(Vec<std::sync::Arc<cgroup_perf::resolver::Labels>>);
    impl Resolver for All {
        fn lookup(&self, cgroup: CgroupId) -> Lookup {
            let number = usize::try_from((cgroup.0 - 4_000) / 37).unwrap();
            Lookup::Known(self.0[number].clone())
        }
    }
    let samples = samples();
    let resolver = All((0..100).map(labels).collect());
    let mut totals = Totals::new(&[Counter::CYCLES, Counter::INSTRUCTIONS, Counter::EVENTS]);
    let mut join = Join::new(JoinConfig::default());
    let mut labelled = 0;
    let mut pass = || {
        for sample in &samples {
            totals.add_sample(sample);
            join.push(sample, &resolver, 0, |_, labels| labelled += usize::from(labels.is_some()));
        }
    };
    // The first time makes the entries.
    pass();
    assert_eq!(measure(&mut pass).count_total, 0);
    assert_eq!(labelled, 2 * ROWS);
}

#[test]
fn a_writer_holds_a_few_megabytes() {
    let directory = tempfile::tempdir().unwrap();
    let labels: Vec<_> = (0..100).map(labels).collect();
    let held = measure(|| {
        let mut writer = ParquetWriter::open(ParquetConfig::new(directory.path()), columns()).unwrap();
        let mut node = Node::new(100);
        for sample in (0..120_000).flat_map(|_| node.slot()) {
            writer.push(&sample, Some(&labels[container(&sample)])).unwrap();
            writer.tick(sample.end).unwrap();
        }
        writer.finish().unwrap();
    });
    println!("at most {} bytes, in {} allocations", held.bytes_max, held.count_total);
    assert!(held.bytes_max < 16_000_000, "{held:?}");
    assert!(held.bytes_current < 100_000, "{held:?}");
}
