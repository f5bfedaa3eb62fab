//! What thousands of Lease writers ask of one API server: when they start, in a day's steady work, and after an outage.
//!
//! Real writers and a simulated API server in one process, connected by pipes, in paused time: a day takes seconds, and
//! each request stands at its moment. What is measured is the load, not the machine.

mod plot;

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use cluster_sim::{Fault, FaultId, Sim};
use node_lease::source::Fixed;
use node_lease::{Attribute, LeaseWriter, NodeMetadata, WriterHandle, WriterState};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::plot::plot;

const NAMESPACE: &str = "amazon-cloudwatch";
const HOUR: Duration = Duration::from_hours(1);

/// Plots the load that Lease writers put on an API server, second by second.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:\n  lease-load\n  lease-load --nodes 500 --hours 3\n  lease-load --outage-minutes 60")]
struct Args {
    /// Nodes, each with a writer; all start in the same second.
    #[arg(long, default_value_t = 5_000)]
    nodes: u32,
    /// Hours of steady work that are counted.
    #[arg(long, default_value_t = 10)]
    hours: u32,
    /// How long the API server is away after that.
    #[arg(long, default_value_t = 10)]
    outage_minutes: u32,
}

/// Requests by the second in which they came.
struct Load {
    sim: Sim,
    began: Instant,
}

impl Load {
    /// What is counted from now on.
    fn new(sim: &Sim) -> Self {
        sim.requests().clear();
        Self { sim: sim.clone(), began: Instant::now() }
    }

    /// Requests in each second of some time from now on.
    async fn during(&self, time: Duration) -> Vec<u64> {
        let mut seconds = vec![0; usize::try_from(time.as_secs()).unwrap_or_default()];
        while self.began.elapsed() < time {
            // The log keeps the newest 10,000.
            sleep(Duration::from_secs(1)).await;
            for request in self.sim.requests().newest() {
                let second = usize::try_from((request.at - self.began).as_secs()).unwrap_or_default();
                if let Some(count) = seconds.get_mut(second) {
                    *count += 1;
                }
            }
            self.sim.requests().clear();
        }
        seconds
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(run(&args))
}

async fn run(args: &Args) -> Result<()> {
    let names: Vec<String> = (0..args.nodes).map(|node| format!("node-{node}")).collect();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let nodes = names.iter().map(|name| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}));
    let sim = Sim::builder().objects([namespace].into_iter().chain(nodes)).start().await?;
    let client = sim.client_in_memory();

    let load = Load::new(&sim);
    let mut handles = Vec::new();
    for name in &names {
        let metadata = NodeMetadata::new().with(Attribute::HostId, name).with(Attribute::Provider, "aws");
        let writer = LeaseWriter::builder(client.clone(), Fixed(metadata), name, NAMESPACE, format!("writer-{name}"));
        handles.push(writer.build()?.spawn()?);
    }
    let start = load.during(Duration::from_mins(1)).await;
    ensure!(held(&handles) == handles.len(), "{} writers have their Lease after a minute", held(&handles));
    println!(
        "{} writers start in the same second: requests per second, a look-up of the Node and a write each",
        args.nodes
    );
    println!("{}", plot(&start, 1));

    let steady = Load::new(&sim).during(HOUR * args.hours).await;
    let total: u64 = steady.iter().sum();
    println!("steady work, {} hours: requests per minute", args.hours);
    println!("{}", plot(&steady, 60));
    println!("{:.0} requests per hour, {} in a second at most\n", total as f64 / f64::from(args.hours), most(&steady));

    let away = Duration::from_mins(args.outage_minutes.into());
    let outage = cut(&sim);
    let during = Load::new(&sim).during(away).await;
    let failing = handles.len() - held(&handles);
    sim.faults().remove(outage);
    let after = Load::new(&sim).during(Duration::from_mins(5)).await;
    println!("an outage of {} minutes, and the five after it: requests per 10 s", args.outage_minutes);
    println!("{}", plot(&[&during[..], &after[..]].concat(), 10));
    println!(
        "{failing} writers were waiting at its end; {} of {} hold their Leases after it",
        held(&handles),
        args.nodes
    );
    println!("{} requests in a second at most during the outage, {} after it", most(&during), most(&after));
    ensure!(held(&handles) == handles.len(), "not all writers have recovered");
    // What 5,000 nodes may ask for, in proportion.
    let share = f64::from(args.nodes) / 5_000.0;
    ensure!(total as f64 / f64::from(args.hours) <= 5_250.0 * share.max(0.1), "more than a write per node and hour");
    ensure!(most(&after) as f64 <= 50.0 * share.max(1.0), "more than 50 requests in a second after the outage");
    Ok(())
}

/// The server is gone: connections are reset.
fn cut(sim: &Sim) -> FaultId {
    let outage = sim.faults().add(Fault::on_any().reset_before());
    sim.restart();
    outage
}

fn held(handles: &[WriterHandle]) -> usize {
    handles.iter().filter(|handle| handle.status().state == WriterState::Held).count()
}

fn most(seconds: &[u64]) -> u64 {
    seconds.iter().copied().max().unwrap_or_default()
}
