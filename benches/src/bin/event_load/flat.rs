//! Millions of made-up events: whether anything grows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use benches::events::{Null, RECEIVERS, cluster, event, three_routes};
use benches::process::Usage;
use futures::stream;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::watcher;
use kube_events::checkpoint::Memory;
use kube_events::object::{Objects, Settings};
use kube_events::pipeline::Pipeline;
use kube_events::sink::{OutletOptions, OverflowPolicy};
use kube_events::source::{EventSource, SourceOptions};
use tokio::time::{Instant, timeout};

const PODS: u64 = 1_000;
/// After so many events all pods have another version: what the cache has of them is of no use any more.
const SAME_VERSION: u64 = 100_000;
/// No event is that long under way.
const PATIENCE: Duration = Duration::from_mins(10);

/// By what memory may grow after the first tenth.
const GROWTH: f64 = 1.1;

pub(crate) async fn measure(events: u64) -> Result<()> {
    let (client, reads) = cluster();
    let (everything, rest) = (Null::encoding(), Null::encoding());
    let time = Time(jiff::Timestamp::now());
    let objects = Objects::builder(client.clone());
    let objects = objects.settings(Settings { rate: 1e6, burst: 1_000_000, ..Settings::default() }).build();
    let options = OutletOptions { policy: OverflowPolicy::Block, ..OutletOptions::default() };
    let mut builder =
        Pipeline::builder(client).objects(objects).route(three_routes()).checkpoint(Memory::default()).source(
            move |resume| {
                let time = time.clone();
                let made = (0..events)
                    .map(move |number| Ok(watcher::Event::Apply(event(number, PODS, number / SAME_VERSION, &time))));
                // The end of a host's watch is a fault: this one has none.
                let made = futures::StreamExt::chain(stream::iter(made), stream::pending());
                EventSource::from_stream(made, SourceOptions::default(), resume)
            },
        );
    for name in RECEIVERS {
        let sink = if name == "everything" { everything.clone() } else { rest.clone() };
        builder = builder.receiver(name, sink, options.clone());
    }
    let began = Instant::now();
    let pipeline = builder.spawn().await?;
    let mut early = None;
    for tenth in 1..=10 {
        let due = events * tenth / 10;
        timeout(PATIENCE, everything.reached(due)).await.context("events don't arrive")?;
        let (took, usage) = (began.elapsed().as_secs_f64(), Usage::now()?);
        println!(
            "{due:>9} events in {took:>6.1} s: {:.0}/s, {:.1} µs of a core each, {} reads of objects, {:.1} MB resident",
            due as f64 / took,
            usage.cpu / due as f64 * 1e6,
            reads.load(Ordering::Relaxed),
            usage.resident_mb
        );
        early.get_or_insert(usage.resident_mb);
    }
    let (usage, status) = (Usage::now()?, pipeline.status());
    println!("{:.1} GB of JSON; {:.1} MB at most", (everything.bytes() + rest.bytes()) as f64 / 1e9, usage.peak_mb);
    ensure!(status.untracked == 0, "{} events had no place in the checkpoint", status.untracked);
    let early = early.context("nothing was measured")?;
    ensure!(usage.resident_mb <= early * GROWTH, "it grew from {early:.1} MB to {:.1} MB", usage.resident_mb);
    pipeline.shutdown().await;
    Ok(())
}
