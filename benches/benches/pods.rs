//! One pod: decoding, walking, storing.

use std::hint::black_box;

use benches::{default_families, filled_store, pods, pods_json, put, three_container_pod, unread};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::Pod;
use ksm_core::decode::{PathTree, from_json};
use ksm_core::{AllowLists, Builtin, FamilyIndex, Label, Reuse, SampleSink, Samples};

/// Takes samples and does nothing.
struct Nothing;

impl SampleSink for Nothing {
    fn identity(&mut self, labels: &[Label<'_>]) {
        black_box(labels);
    }

    fn sample(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64, reuse: Reuse) {
        black_box((family, labels, value, reuse));
    }
}

fn decode(c: &mut Criterion) {
    let json = pods_json(1).remove(0);
    let mut group = c.benchmark_group("decode_pod");
    group.throughput(Throughput::Bytes(json.len() as u64));
    let everything = PathTree::default();
    group.bench_function("in_full", |b| b.iter(|| from_json::<Pod>(black_box(&json), &everything)));
    let unread = unread();
    group.bench_function("without_what_no_family_reads", |b| b.iter(|| from_json::<Pod>(black_box(&json), &unread)));
    group.finish();
}

fn walk_and_store(c: &mut Criterion) {
    let families = default_families();
    let pod = three_container_pod();
    let mut group = c.benchmark_group("three_container_pod");
    group.bench_function("walk", |b| {
        let allow = AllowLists::default();
        b.iter(|| (Pod::RESOURCE.collect)(black_box(&pod), &mut Samples::new(&families, &allow, &mut Nothing)));
    });
    group.bench_function("walk_and_store", |b| {
        let store = filled_store(&pods(1000));
        put(&store, &pod, &families);
        b.iter(|| put(&store, black_box(&pod), &families));
    });
    group.finish();
}

criterion_group!(benches, decode, walk_and_store);
criterion_main!(benches);
