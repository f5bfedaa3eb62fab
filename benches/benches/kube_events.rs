//! Events through a whole pipeline into sinks that keep nothing, on one core: from a watch that the host has, by counts,
//! look-ups in a warm cache, and three routes. What is asked for is 20,000 per second.
#![allow(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use std::time::{Duration, Instant};

use benches::events::{Null, RECEIVERS, cluster, event, three_routes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use futures::channel::mpsc;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::watcher;
use kube_events::object::{Objects, Settings};
use kube_events::pipeline::Pipeline;
use kube_events::sink::{OutletOptions, OverflowPolicy};
use kube_events::source::{EventSource, SourceOptions};
use parking_lot::Mutex;

const PODS: u64 = 500;
/// Events that are made beforehand.
const CHUNK: u64 = 5_000;

fn pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kube_events/pipeline");
    group.throughput(Throughput::Elements(1));
    for (name, sink) in [("three_routes_null_sinks", Null::default()), ("three_routes_json_dropped", Null::encoding())]
    {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
        let entered = runtime.enter();
        let (client, reads) = cluster();
        drop(entered);
        let (events, watch) = mpsc::unbounded::<Result<watcher::Event<_>, watcher::Error>>();
        let watch = Mutex::new(Some(watch));
        let settings = Settings { ttl: Duration::from_hours(24), rate: 1e6, burst: 1_000_000, ..Settings::default() };
        let pipeline = runtime.block_on(async {
            let mut builder = Pipeline::builder(client.clone())
                .objects(Objects::builder(client).settings(settings).build())
                .route(three_routes())
                .source(move |resume| {
                    let watch = watch.lock().take().expect("it begins once");
                    EventSource::from_stream(watch.boxed(), SourceOptions::default(), resume)
                });
            for name in RECEIVERS {
                let options = OutletOptions { policy: OverflowPolicy::Block, ..OutletOptions::default() };
                builder = builder.receiver(name, sink.clone(), options);
            }
            builder.spawn().await.expect("a pipeline")
        });
        let time = Time(jiff::Timestamp::now());
        let (mut number, mut due) = (0, 0);
        let mut run = |count: u64| {
            let made: Vec<_> = (number..number + count).map(|number| event(number, PODS, 1, &time)).collect();
            // Each goes to two receivers, and warnings to a third.
            due += 2 * count + (number..number + count).filter(|number| number.is_multiple_of(2)).count() as u64;
            number += count;
            let began = Instant::now();
            runtime.block_on(async {
                for event in made {
                    events.unbounded_send(Ok(watcher::Event::Apply(event))).expect("a pipeline that reads");
                }
                sink.reached(due).await;
            });
            began.elapsed()
        };
        run(PODS);
        let warm = reads.load(std::sync::atomic::Ordering::Relaxed);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let chunks = (0..count).step_by(5_000).map(|at| (count - at).min(CHUNK));
                chunks.map(&mut run).sum()
            });
        });
        assert_eq!(reads.load(std::sync::atomic::Ordering::Relaxed), warm, "the cache is warm");
        let status = pipeline.status();
        assert!(status.outlets.iter().all(|(_, outlet)| outlet.dropped == 0), "{status:?}");
        runtime.block_on(pipeline.shutdown());
    }
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
