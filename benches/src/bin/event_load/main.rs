//! What a pipeline of events costs its host: from an API server on loopback to a webhook on loopback, each in a process
//! of its own; or, with `--events`, as fast as it goes from made-up events to sinks that keep nothing, with an eye on
//! memory.

mod flat;
mod parties;
mod through;

use anyhow::Result;
use clap::Parser;

/// Measures a pipeline of events.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  event-load\n  event-load --events-per-second 1000 --batch 1\n  event-load --events 10000000"
)]
struct Args {
    /// Events that happen per second.
    #[arg(long, default_value_t = 5_000)]
    events_per_second: u32,
    /// For how long.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Events in one request to the webhook at most; one is sent as kubernetes-event-exporter sends it.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Pods that the events are about. More than 200 are looked up at 20 a second, in the order of events.
    #[arg(long, default_value_t = 150)]
    pods: u32,
    /// Send so many made-up events to sinks that keep nothing instead, as fast as it goes.
    #[arg(long)]
    events: Option<u64>,
    /// Be the cluster.
    #[arg(long, hide = true)]
    cluster: bool,
    /// Be the webhook.
    #[arg(long, hide = true)]
    webhook: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match args.events {
            _ if args.cluster => parties::be_the_cluster(&args).await,
            _ if args.webhook => parties::be_the_webhook().await,
            Some(events) => flat::measure(events).await,
            None => through::measure(&args).await,
        }
    })
}
