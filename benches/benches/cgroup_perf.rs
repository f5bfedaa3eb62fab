//! What a sample costs outside the kernel: judged, added up, given its labels, put into a batch and into a file; and what
//! sums of pods and slices cost.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark that can't be set up ends")]

// The node that the crate's own tests have.
#[path = "../../cgroup-perf/tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use cgroup_perf::output::arrow::BatchBuilder;
use cgroup_perf::output::openmetrics::{Exporter, Format};
use cgroup_perf::output::parquet::{ParquetConfig, ParquetWriter};
use cgroup_perf::quality::{Counter, Span, judge};
use cgroup_perf::resolver::{Join, JoinConfig, Labels, Lookup, Resolver};
use cgroup_perf::sample::{CgroupId, Sample};
use cgroup_perf::totals::Totals;
use cgroup_perf::tree::{Subtrees, Tree};
use common::{Node, columns, container, labels};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SAMPLES: usize = 10_000;
const COUNTERS: [Counter; 3] = [Counter::CYCLES, Counter::INSTRUCTIONS, Counter::EVENTS];

struct All(Vec<Arc<Labels>>);

impl Resolver for All {
    fn lookup(&self, cgroup: CgroupId) -> Lookup {
        let number = cgroup.0.checked_sub(4_000).and_then(|number| usize::try_from(number / 37).ok());
        number.and_then(|number| self.0.get(number)).map_or(Lookup::Unknown, |labels| Lookup::Known(labels.clone()))
    }
}

/// What 100 containers do in some 2.6 s.
fn samples() -> Vec<Sample> {
    let mut node = Node::new(100);
    let mut samples = Vec::new();
    while samples.len() < SAMPLES {
        samples.extend(node.slot());
    }
    samples.truncate(SAMPLES);
    samples
}

fn benches(c: &mut Criterion) {
    let samples = samples();
    let labels: Vec<_> = (0..100).map(labels).collect();
    each_sample(c, &samples, &labels);
    files(c, &samples, &labels);
    sums(c);
}

fn each_sample(c: &mut Criterion, samples: &[Sample], labels: &[Arc<Labels>]) {
    let mut group = c.benchmark_group("cgroup_perf_sample");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.bench_function("judge_three_counters", |b| {
        b.iter(|| {
            for sample in samples {
                let span = Span { ran: sample.ran, wall: sample.end - sample.start };
                for (counter, delta) in COUNTERS.iter().zip(&sample.counters) {
                    black_box(judge(counter, *delta, span));
                }
            }
        });
    });
    group.bench_function("totals", |b| {
        let mut totals = Totals::new(&COUNTERS);
        b.iter(|| samples.iter().for_each(|sample| totals.add_sample(sample)));
    });
    group.bench_function("join", |b| {
        let resolver = All(labels.to_vec());
        let mut join = Join::new(JoinConfig::default());
        b.iter(|| {
            for sample in samples {
                join.push(sample, &resolver, 0, |sample, labels| {
                    black_box((sample.cgroup, labels.is_some()));
                });
            }
        });
    });
}

fn files(c: &mut Criterion, samples: &[Sample], labels: &[Arc<Labels>]) {
    let mut group = c.benchmark_group("cgroup_perf_output");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.bench_function("arrow_batch", |b| {
        let mut builder = BatchBuilder::new(columns(), SAMPLES);
        b.iter(|| {
            for sample in samples {
                builder.push(sample, Some(&labels[container(sample)]));
            }
            builder.finish().expect("a batch")
        });
    });
    // Into one row group of a file, with the file's end and its name.
    group.bench_function("parquet_file", |b| {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || ParquetWriter::open(ParquetConfig::new(directory.path()), columns()).expect("a directory");
        b.iter_batched(
            open,
            |mut writer| {
                for sample in samples {
                    writer.push(sample, Some(&labels[container(sample)])).expect("a batch");
                }
                writer.finish().expect("a file")
            },
            BatchSize::SmallInput,
        );
    });
}

/// 10,000 cgroups: 4,000 pods of some containers, below 20 slices.
fn sums(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut tree = Tree::new(directory.path()).expect("a directory");
    let mut totals = Totals::new(&COUNTERS);
    let sample = samples().into_iter().next().expect("a sample");
    for number in 0..10_000_u64 {
        let (pod, slice) = (number % 4_000, number % 20);
        let path = match number {
            0..20 => format!("slice-{slice}"),
            20..4_020 => format!("slice-{slice}/pod-{pod}"),
            _ => format!("slice-{slice}/pod-{pod}/{number}"),
        };
        let cgroup = CgroupId((1 << 40) + number);
        tree.enter(cgroup, Path::new(&path), 0);
        totals.add_sample(&Sample { cgroup, ..sample });
    }
    let mut group = c.benchmark_group("cgroup_perf_10000_cgroups");
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("subtrees", |b| {
        let mut subtrees = Subtrees::default();
        b.iter(|| {
            subtrees.fill(&tree, &totals);
            subtrees.get(tree.root()).map(|total| total.ran)
        });
    });
    group.bench_function("settle_when_nothing_changed", |b| b.iter(|| tree.settle(&mut totals, sample.end)));
    drop(group);
    let mut group = c.benchmark_group("cgroup_perf_1000_containers");
    group.bench_function("openmetrics", |b| {
        let mut exporter = Exporter::new(columns().events().to_vec());
        let labels: Vec<_> = (0..1_000).map(labels).collect();
        b.iter(|| {
            for ((number, total), labels) in totals.iter().zip(&labels) {
                exporter.update(number, labels, total);
            }
            exporter.end_interval();
            exporter.render(Format::OpenMetrics).len()
        });
    });
}

criterion_group!(cgroup_perf, benches);
criterion_main!(cgroup_perf);
