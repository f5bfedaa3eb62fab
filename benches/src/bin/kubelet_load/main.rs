//! What it costs to know the usage of every pod of a large cluster: the time of a cycle in which each kubelet is asked
//! once, and what stays in memory.
//!
//! The cluster is a simulated one in a process of its own; what is measured is the process that asks.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use benches::process::{Usage, listening};
use clap::Parser;
use cluster_sim::population::{Population, PopulationSpec};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kubelet_summary::fetch::{NodeProxy, lean_client};
use kubelet_summary::inventory::NotReady;
use kubelet_summary::{KubeletSummary, Parts, Scope};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// Long enough for a cycle of any size: what is measured must not be cut off.
const DEADLINE: Duration = Duration::from_mins(10);

/// Measures a process that asks all kubelets of a cluster for their pods' usage.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:\n  kubelet-load\n  kubelet-load --nodes 500 --cycles 10\n  kubelet-load --all-parts")]
struct Args {
    /// Nodes of the cluster.
    #[arg(long, default_value_t = 5_000)]
    nodes: u32,
    /// Pods on each of them, about.
    #[arg(long, default_value_t = 30)]
    pods_per_node: u32,
    /// Kubelets that are asked at once.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// For how many seconds a document is good: more than a cycle takes. As long is waited between cycles.
    #[arg(long, default_value_t = 60)]
    ttl: u64,
    /// How often all of them are asked.
    #[arg(long, default_value_t = 3)]
    cycles: u32,
    /// Keep all of each document, also swap, pressure, interfaces and the node's system containers.
    #[arg(long)]
    all_parts: bool,
    /// Ask by kube's own client, whose connections keep room to read a lot at once.
    #[arg(long)]
    kube_client: bool,
    /// Be the cluster.
    #[arg(long, hide = true)]
    cluster: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        if args.cluster {
            return be_the_cluster(&args).await;
        }
        let mut cluster = Cluster::start(&args).await?;
        let outcome = measure(&args, cluster.kubeconfig.clone()).await;
        cluster.child.kill().await?;
        outcome
    })
}

async fn be_the_cluster(args: &Args) -> Result<()> {
    let population = Population::new(&PopulationSpec::new(args.nodes, args.nodes * args.pods_per_node));
    let sim = cluster_sim::Sim::builder().tls(true).objects(population.objects()).start().await?;
    drop(population);
    println!("{}", serde_json::to_string(&sim.kubeconfig())?);
    std::io::stdout().flush()?;
    std::future::pending().await
}

struct Cluster {
    child: Child,
    kubeconfig: Kubeconfig,
}

impl Cluster {
    async fn start(args: &Args) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--cluster").args([
            "--nodes",
            &args.nodes.to_string(),
            "--pods-per-node",
            &args.pods_per_node.to_string(),
        ]);
        let (child, kubeconfig) = listening(command).await.context("the cluster does not start")?;
        Ok(Self { child, kubeconfig: serde_json::from_str(&kubeconfig)? })
    }
}

async fn measure(args: &Args, kubeconfig: Kubeconfig) -> Result<()> {
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // A failure is a result here.
    config.default_retry = false;
    let asking = if args.kube_client { kube::Client::try_from(config.clone()) } else { lean_client(&config) }?;
    let client = kube::Client::try_from(config)?;
    let ttl = Duration::from_secs(args.ttl);
    let parts = if args.all_parts { Parts::ALL } else { Parts::USAGE };
    let summary = KubeletSummary::builder(client)
        .fetcher(NodeProxy::new(asking).parts(parts))
        .concurrency(args.in_flight)
        .deadline(DEADLINE)
        // A document that is older than two of them when its turn is over is served to nobody.
        .ttl(ttl)
        .spawn()?;
    let begun = Instant::now();
    summary.ready().await.map_err(|error: NotReady| anyhow::anyhow!("{error}"))?;
    let pods = summary.inventory().status().known_pods;
    println!(
        "{} nodes and {pods} pods known after {:.1} s: {:.0} MB resident",
        args.nodes,
        begun.elapsed().as_secs_f64(),
        Usage::now()?.resident_mb
    );
    for cycle in 1..=args.cycles {
        let (begun, before) = (Instant::now(), Usage::now()?);
        let usage = summary.usage(&Scope::all()).await?;
        let took = begun.elapsed().as_secs_f64();
        if let Some(first) = usage.missing.first() {
            bail!("{} of {} nodes are missing: {}: {}", usage.missing.len(), args.nodes, first.node, first.reason);
        }
        ensure!(took < args.ttl as f64, "a cycle took {took:.1} s: only what takes less than --ttl asks each once");
        println!(
            "cycle {cycle}: {} pods in {took:.1} s, {:.0} kubelets/s, {:.1} CPU-s",
            usage.values.len(),
            f64::from(args.nodes) / took,
            Usage::now()?.cpu - before.cpu
        );
        drop(usage);
        // Each kubelet may be asked again a TTL after it was.
        sleep(if cycle < args.cycles { ttl } else { Duration::from_secs(1) }).await;
        let after = Usage::now()?;
        println!("  {:.0} MB resident, {:.0} MB at most", after.resident_mb, after.peak_mb);
        if std::io::stdout().is_terminal() {
            std::io::stdout().flush()?;
        }
    }
    summary.shutdown().await;
    Ok(())
}
