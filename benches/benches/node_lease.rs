//! Looking a node up, enriching a batch, taking a renewal in.
#![allow(clippy::expect_used, reason = "a benchmark that can't be set up ends")]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher::{Error, Event};
use nix::time::{ClockId, clock_gettime};
use node_lease::{Enricher, LeaseCache};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{from_value, json};
use tokio::runtime::Runtime;

const NODES: usize = 10_000;
const READERS: u64 = 8;

fn name(node: usize) -> String {
    format!("ip-10-0-{}-{}.us-east-1.compute.internal", node / 256, node % 256)
}

/// A node's Lease in its `renewal`th hour.
fn lease(node: usize, renewal: u64) -> Lease {
    let renewed = jiff::Timestamp::now() + Duration::from_micros(renewal);
    from_value(json!({
        "metadata": {"namespace": "amazon-cloudwatch", "name": format!("cwagent-node-metadata-{}", name(node)), "annotations": {
            "cwagent.amazonaws.com/host.id": format!("i-{node:017x}"),
            "cwagent.amazonaws.com/host.name": name(node),
            "cwagent.amazonaws.com/host.type": (["m6i.4xlarge", "c6i.8xlarge", "r6i.4xlarge"][node % 3]),
            "cwagent.amazonaws.com/host.image.id": "ami-0123456789abcdef0",
            "cwagent.amazonaws.com/cloud.availability_zone": (["us-east-1a", "us-east-1b"][node % 2]),
            "cwagent.amazonaws.com/cloud.provider": "aws",
            "cwagent.amazonaws.com/cloud.region": "us-east-1",
            "cwagent.amazonaws.com/cloud.account.id": "123456789012",
            "cwagent.amazonaws.com/schema.version": "1",
        }},
        "spec": {"leaseDurationSeconds": 7200, "renewTime": format!("{renewed:.6}")},
    }))
    .expect("a Lease")
}

type Events = UnboundedSender<Result<Event<Lease>, Error>>;

/// A cache of 10,000 nodes, whose watch is fed by hand.
fn filled() -> (Runtime, LeaseCache, Events) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (send, events) = unbounded();
    let cache = runtime.block_on(async { LeaseCache::from_stream(events, "amazon-cloudwatch").spawn() });
    let leases = (0..NODES).map(|node| Event::InitApply(lease(node, 0)));
    for event in [Event::Init].into_iter().chain(leases).chain([Event::InitDone]) {
        send.unbounded_send(Ok(event)).expect("the cache listens");
    }
    runtime.block_on(cache.synced());
    (runtime, cache, send)
}

/// The processor time that this thread has used.
fn thread_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

/// Processor time of `gets` look-ups in each of some threads: with more threads than processors, the time on the wall is
/// mostly that of waiting for a turn.
fn look_up(cache: &LeaseCache, names: &Arc<[String]>, threads: u64, gets: u64) -> Duration {
    let reader = |first: u64| {
        let (cache, names) = (cache.clone(), names.clone());
        thread::spawn(move || {
            let began = thread_time();
            let mut at = usize::try_from(first * 1_237).unwrap_or_default();
            for _ in 0..gets {
                at = (at + 1) % NODES;
                black_box(cache.get(&names[at]));
            }
            thread_time().saturating_sub(began)
        })
    };
    let readers: Vec<_> = (0..threads).map(reader).collect();
    readers.into_iter().map(|reader| reader.join().expect("a reader")).sum()
}

fn get(criterion: &mut Criterion) {
    let (_runtime, cache, events) = filled();
    // One name after the other, as a caller that has just read them has them at hand; but a stride through all nodes, so
    // that no look-up finds what the one before it left in the processor.
    let names: Arc<[String]> = (0..NODES).map(|at| name(at * 7_919 % NODES)).collect();
    let mut group = criterion.benchmark_group("node_lease/get");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one_reader", |bencher| {
        bencher.iter_custom(|gets| look_up(&cache, &names, 1, gets));
    });
    let stop = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let stop = stop.clone();
        // Renewals of 2,000 nodes per second: 7.2 million nodes would renew as often.
        move || {
            for renewal in 1.. {
                if stop.load(Ordering::Relaxed)
                    || events.unbounded_send(Ok(Event::Apply(lease(renewal % NODES, 1)))).is_err()
                {
                    return;
                }
                thread::sleep(Duration::from_micros(500));
            }
        }
    });
    group.bench_function("eight_readers_and_a_writer", |bencher| {
        bencher.iter_custom(|gets| look_up(&cache, &names, READERS, gets.div_ceil(READERS)));
    });
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer");
}

fn batch(resources: usize, metrics: usize) -> Vec<ResourceMetrics> {
    let text = |key: &str, value: String| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value)) }),
        ..KeyValue::default()
    };
    let resource = |node: usize| ResourceMetrics {
        resource: Some(Resource {
            attributes: vec![
                text("k8s.cluster.name", "c".to_owned()),
                text("k8s.node.name", name(node)),
                text("host.name", "the-collector".to_owned()),
            ],
            ..Resource::default()
        }),
        scope_metrics: vec![ScopeMetrics { metrics: vec![Metric::default(); metrics], ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    };
    (0..resources).map(resource).collect()
}

fn enrich(criterion: &mut Criterion) {
    let (_runtime, cache, _events) = filled();
    let enricher = Enricher::new(cache);
    let mut group = criterion.benchmark_group("node_lease/enrich_10000_metrics");
    for (resources, metrics) in [(100, 100), (500, 20), (10_000, 1)] {
        let fresh = batch(resources, metrics);
        group.bench_function(format!("of_{resources}_nodes"), |bencher| {
            bencher.iter_batched_ref(
                || fresh.clone(),
                |batch| assert_eq!(enricher.enrich_metrics(batch), resources),
                BatchSize::LargeInput,
            );
        });
    }
}

fn renew(criterion: &mut Criterion) {
    let (runtime, cache, events) = filled();
    let mut group = criterion.benchmark_group("node_lease/renewal");
    group.throughput(Throughput::Elements(1_000));
    let renewal = Cell::new(0);
    group.bench_function("of_1000_nodes", |bencher| {
        bencher.iter_batched(
            || {
                renewal.set(renewal.get() + 1);
                (0..1_000).map(|node| lease(node, renewal.get())).collect::<Vec<_>>()
            },
            |leases| {
                for lease in leases {
                    events.unbounded_send(Ok(Event::Apply(lease))).expect("the cache listens");
                }
                // A change that is told comes after all that was sent before it.
                let mut changes = cache.changes();
                let mut last = lease(0, renewal.get());
                if let Some(annotations) = &mut last.metadata.annotations {
                    annotations.insert("cwagent.amazonaws.com/host.type".to_owned(), renewal.get().to_string());
                }
                events.unbounded_send(Ok(Event::Apply(last))).expect("the cache listens");
                runtime.block_on(futures::StreamExt::next(&mut changes))
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, get, enrich, renew);
criterion_main!(benches);
