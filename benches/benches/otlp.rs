//! A store of 10,000 pods as OTLP messages, made and encoded.

use benches::{filled_store, pods, sized};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ksm_core::otlp::{MessageOptions, requests};
use prost::Message;

const PODS: u32 = 10_000;

fn otlp(c: &mut Criterion) {
    let store = filled_store(&pods(sized(PODS)));
    let points = store.snapshot().samples();
    let made = || requests(&[store.snapshot()], &MessageOptions::default());
    let bytes: usize = made().map(|request| request.encode_to_vec().len()).sum();
    println!("{points} points in {} messages, {bytes} bytes", made().count());

    let mut group = c.benchmark_group("otlp_10k_pods");
    group.sample_size(10).throughput(Throughput::Elements(points));
    group.bench_function("made", |b| b.iter(|| made().count()));
    group.bench_function("made_and_encoded", |b| {
        b.iter(|| made().map(|request| request.encode_to_vec().len()).sum::<usize>());
    });
    group.finish();
}

criterion_group!(benches, otlp);
criterion_main!(benches);
