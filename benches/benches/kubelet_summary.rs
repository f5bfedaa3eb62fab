//! Reading a kubelet's summary, and what is worked out of it: of a node with 110 pods, as kubelets write it.
#![allow(clippy::unwrap_used, reason = "a benchmark that can't be set up ends")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kubelet_summary::exposition::collect;
use kubelet_summary::rates::Rates;
use kubelet_summary::storage::{Attribution, pod_storage};
use kubelet_summary::{Parts, Summary};
use serde::de::IgnoredAny;

#[allow(dead_code, reason = "some of its shapes are for tests")]
#[path = "../../kubelet-summary/tests/generate/mod.rs"]
mod generate;

use generate::MEGABYTE;

fn read(criterion: &mut Criterion) {
    let document = MEGABYTE.document(0);
    let mut group = criterion.benchmark_group("kubelet_summary/read");
    group.throughput(Throughput::Bytes(document.len() as u64));
    for (name, parts) in [
        ("all", Parts::ALL),
        ("usage", Parts::USAGE),
        ("storage", Parts::STORAGE),
        ("cpu_and_memory", Parts::CPU_AND_MEMORY),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| Summary::from_slice_keeping(black_box(&document), parts).unwrap());
        });
    }
    // A number that no parser of floats takes, so that each pod is read for itself.
    let sound = MEGABYTE.summary(0).to_string();
    let bad = sound.replacen("\"usageNanoCores\":", "\"usageNanoCores\":1e999,\"before\":", 1);
    group.bench_function("all_after_a_bad_value", |bencher| {
        bencher.iter(|| Summary::from_slice_keeping(black_box(bad.as_bytes()), Parts::ALL).unwrap());
    });

    // What it is judged against: the same bytes looked through, and the same bytes as a tree.
    group.bench_function("serde_json_passed_over", |bencher| {
        bencher.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(&document)).unwrap());
    });
    group.bench_function("serde_json_value", |bencher| {
        bencher.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&document)).unwrap());
    });
}

fn work_out(criterion: &mut Criterion) {
    let rounds: Vec<Summary> = (0..2)
        .map(|round| Summary::from_slice_keeping(&MEGABYTE.document(round), Parts::ALL).unwrap().summary)
        .collect();
    let [first, second] = &*rounds else { return };
    let mut group = criterion.benchmark_group("kubelet_summary");
    group.throughput(Throughput::Elements(first.pods.len() as u64));
    group.bench_function("storage", |bencher| {
        bencher.iter(|| first.pods.iter().filter_map(|pod| pod_storage(pod, Attribution::Measured)).count());
    });
    group.bench_function("rates", |bencher| {
        let mut rates = Rates::new();
        // Back and forth, so that each document has new samples.
        bencher.iter(|| (rates.feed(black_box(first)), rates.feed(black_box(second))));
    });
    group.bench_function("exposition", |bencher| {
        bencher.iter(|| {
            let mut sum = 0.0;
            collect(first, Attribution::Measured, |_| None, &mut |_, _, value, _| sum += value);
            sum
        });
    });
}

criterion_group!(benches, read, work_out);
criterion_main!(benches);
