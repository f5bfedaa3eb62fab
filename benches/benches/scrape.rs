//! A store of 10,000 pods: writing all of it, and changing a little of it.

use benches::{default_families, filled_store, pods, put, sized};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ksm_core::{Exposition, Format, GzipCache, Query, Store};

const PODS: u32 = 10_000;

fn scrape(c: &mut Criterion) {
    let pods = pods(sized(PODS));
    let store = filled_store(&pods);
    let in_format = |format| Exposition::new([store.snapshot()], format);
    let exposition = || in_format(Format::Text);
    let length = |blocks: &mut dyn Iterator<Item = Bytes>| blocks.map(|block| block.len()).sum::<usize>();
    let bytes = length(&mut exposition().blocks());
    println!(
        "bytes: text {bytes}, gzip {}, zstd {}; protobuf {}, gzip {}, zstd {}",
        length(&mut exposition().gzip_blocks()),
        exposition().zstd_blocks().map_or(0, |mut blocks| length(&mut blocks)),
        length(&mut in_format(Format::Protobuf).blocks()),
        length(&mut in_format(Format::Protobuf).gzip_blocks()),
        in_format(Format::Protobuf).zstd_blocks().map_or(0, |mut blocks| length(&mut blocks)),
    );

    let namespace = pods.first().and_then(|pod| pod.metadata.namespace.clone()).unwrap_or_default();

    let mut group = c.benchmark_group("scrape_10k_pods");
    group.sample_size(20).throughput(Throughput::Bytes(bytes as u64));
    // The throughput is that of the text, whatever the format is.
    for (name, format) in [("text", Format::Text), ("openmetrics", Format::OpenMetrics), ("protobuf", Format::Protobuf)]
    {
        group.bench_function(name, |b| b.iter(|| length(&mut in_format(format).blocks())));
    }
    let query = Query { namespaces: vec![namespace.clone()], ..Query::default() };
    group.bench_function("text_of_one_namespace", |b| {
        b.iter(|| length(&mut Exposition::select([store.snapshot()], Format::Text, &query).blocks()));
    });
    let selector = "{pod=~\".*-[0-4][a-z0-9]*\",__name__=~\"kube_pod_status_.*\"}".parse();
    let query = Query { series: selector.into_iter().collect(), ..Query::default() };
    group.bench_function("text_of_a_pattern", |b| {
        b.iter(|| length(&mut Exposition::select([store.snapshot()], Format::Text, &query).blocks()));
    });
    group.bench_function("visit", |b| {
        b.iter(|| {
            let mut sum = 0.0;
            store.snapshot().visit(|_| true, |sample| sum += sample.value());
            sum
        });
    });
    group.bench_function("gzip_streamed", |b| b.iter(|| length(&mut exposition().gzip_blocks())));
    group.bench_function("zstd_streamed", |b| {
        b.iter(|| exposition().zstd_blocks().map(|mut blocks| length(&mut blocks)));
    });
    group.bench_function("protobuf_zstd_streamed", |b| {
        b.iter(|| in_format(Format::Protobuf).zstd_blocks().map(|mut blocks| length(&mut blocks)));
    });
    let families = default_families();
    group.bench_function("gzip_from_parts_with_1_percent_changed", |b| {
        let cache = GzipCache::new();
        length(&mut cache.compress(exposition()));
        let mut turn = 0usize;
        b.iter_batched(
            || {
                for pod in pods.iter().skip(turn).step_by(100) {
                    let mut changed = pod.clone();
                    if let Some(status) =
                        changed.status.as_mut().and_then(|s| s.container_statuses.as_mut()?.first_mut())
                    {
                        status.restart_count += i32::try_from(turn).unwrap_or(1) + 1;
                    }
                    put(&store, &changed, &families);
                }
                turn += 1;
                store.publish();
            },
            |()| length(&mut cache.compress(exposition())),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn changes(c: &mut Criterion) {
    let pods = pods(sized(PODS));
    let store = filled_store(&pods);
    let families = default_families();
    let mut group = c.benchmark_group("store_of_10k_pods");
    group.bench_function("change_and_publish_while_a_snapshot_is_held", |b| {
        let mut next = pods.iter().cycle();
        b.iter(|| {
            let held = store.snapshot();
            if let Some(pod) = next.next() {
                put(&store, pod, &families);
            }
            store.publish();
            held
        });
    });
    group.finish();
}

criterion_group!(benches, scrape, changes);
criterion_main!(benches);
