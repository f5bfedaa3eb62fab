//! What `cluster-agent` costs on a large cluster with every part on: state of everything, metadata of machines, usage by
//! kubelets, events counted and sent.
//!
//! Three processes, so that only the agent is measured: a simulated cluster, the agent, and this one, which scrapes it.

mod cluster;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use benches::agent::Agent;
use clap::Parser;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cluster::{Cluster, be_the_cluster};

/// Measures cluster-agent with every part on, and prints one JSON line.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  cargo build --release --bin cluster-agent && cargo run --release --bin cluster-load
  cluster-load --nodes 500 --pods 5000 --seconds 60
  cluster-load --plain --agent-bin target/release/cluster-agent")]
struct Args {
    /// Nodes of the cluster.
    #[arg(long, default_value_t = 5_000)]
    nodes: u32,
    /// Pods of the cluster.
    #[arg(long, default_value_t = 50_000)]
    pods: u32,
    /// So many things happen per second, each of them changes of several objects; and so many Events are written.
    #[arg(long, default_value_t = 200.0)]
    events: f64,
    /// How long it is measured after everything has been listed; two usage intervals are 110 s.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// How long it runs before, so that each kubelet has been asked.
    #[arg(long, default_value_t = 60)]
    warm_up: u64,
    /// Seconds between two scrapes.
    #[arg(long, default_value_t = 15)]
    scrape_every: u64,
    /// Scrape without compression; a Prometheus asks for gzip.
    #[arg(long)]
    plain: bool,
    /// The agent [default: cluster-agent beside this program]
    #[arg(long, value_name = "PATH")]
    agent_bin: Option<PathBuf>,
    /// Give up when it is not ready after that many seconds.
    #[arg(long, default_value_t = 300)]
    give_up: u64,
    /// Be the cluster.
    #[arg(long, hide = true)]
    cluster: bool,
}

/// What is measured. CPU is user and system time of the agent's process.
#[derive(Debug, Default, Serialize)]
struct Report {
    nodes: u32,
    pods: u32,
    events_per_s: f64,
    gzip: bool,
    wall_until_ready_s: f64,
    cpu_until_ready_s: f64,
    peak_until_ready_mb: f64,
    scrapes: u32,
    scrape_bytes: u64,
    scrape_wall_max_s: f64,
    scrape_wall_average_s: f64,
    /// On average from then on, scrapes and everything else together.
    cpu_cores: f64,
    /// Of it, while a scrape was answered.
    cpu_cores_in_scrapes: f64,
    /// Between two scrapes.
    resident_max_mb: f64,
    peak_mb: f64,
    series: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        if args.cluster {
            return be_the_cluster(&args).await;
        }
        let cluster = Cluster::start(&args).await?;
        let outcome = measure(&args, &cluster).await;
        cluster.stop().await?;
        println!("{}", serde_json::to_string(&outcome?)?);
        Ok(())
    })
}

async fn measure(args: &Args, cluster: &Cluster) -> Result<Report> {
    let directory = tempfile::tempdir()?;
    let kubeconfig = directory.path().join("kubeconfig.yaml");
    cluster.write_kubeconfig(&kubeconfig)?;
    let program = match &args.agent_bin {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("cluster-agent"),
    };
    let agent = start(&program, directory.path(), &kubeconfig).await?;
    let outcome = watch(args, &agent).await;
    agent.stop().await?;
    outcome.with_context(|| {
        let log = std::fs::read_to_string(directory.path().join("agent.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(10).collect();
        format!("what the agent said last: {}", last.into_iter().rev().collect::<Vec<_>>().join("\n"))
    })
}

/// Starts it with every part on, and events sent to a file.
async fn start(program: &Path, directory: &Path, kubeconfig: &Path) -> Result<Agent> {
    let file = directory.join("agent.yaml");
    let events = directory.join("events.jsonl");
    let export = json!({"events": {"export": {
        "route": {"routes": [{"match": [{"receiver": "file"}]}]},
        "receivers": [{"name": "file", "file": {"path": events}}],
    }}});
    std::fs::write(&file, export.to_string())?;
    let arguments = [OsStr::new("--config"), file.as_os_str(), OsStr::new("--kubeconfig"), kubeconfig.as_os_str()];
    let arguments = arguments.into_iter().chain([OsStr::new("--port"), OsStr::new("0")]);
    Agent::start(program, arguments, &directory.join("agent.log")).await
}

async fn watch(args: &Args, agent: &Agent) -> Result<Report> {
    agent.ready(Duration::from_secs(args.give_up)).await?;
    let ready = agent.usage()?;
    let mut report = Report {
        nodes: args.nodes,
        pods: args.pods,
        events_per_s: args.events,
        gzip: !args.plain,
        wall_until_ready_s: agent.runs_for().as_secs_f64(),
        cpu_until_ready_s: ready.cpu,
        peak_until_ready_mb: ready.peak_mb,
        ..Report::default()
    };
    // Hidden unless on a terminal.
    let progress = ProgressBar::new(args.warm_up + args.seconds);
    let mut ticks = interval(Duration::from_secs(args.scrape_every.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    let mut from = None;
    let (mut in_scrapes, mut walls) = (0.0, 0.0);
    let whole = Duration::from_secs(args.warm_up + args.seconds);
    while began.elapsed() < whole {
        ticks.tick().await;
        let before = agent.usage()?;
        if from.is_none() && began.elapsed() >= Duration::from_secs(args.warm_up) {
            from = Some((before.cpu, Instant::now()));
        }
        let scrape = agent.scrape(!args.plain).await?;
        let after = agent.usage()?;
        if from.is_some() {
            in_scrapes += after.cpu - before.cpu;
            walls += scrape.wall.as_secs_f64();
            report.scrapes += 1;
            report.scrape_bytes = scrape.bytes;
            report.scrape_wall_max_s = report.scrape_wall_max_s.max(scrape.wall.as_secs_f64());
        }
        // Between two scrapes memory is what a node's operator sees.
        sleep(Duration::from_secs(1)).await;
        report.resident_max_mb = report.resident_max_mb.max(agent.usage()?.resident_mb);
        progress.set_position(began.elapsed().as_secs());
    }
    progress.finish_and_clear();
    let end = agent.usage()?;
    let (cpu, since) = from.context("--seconds is too short for a scrape")?;
    let lasted = since.elapsed().as_secs_f64();
    report.cpu_cores = (end.cpu - cpu) / lasted;
    report.cpu_cores_in_scrapes = in_scrapes / lasted;
    report.scrape_wall_average_s = walls / f64::from(report.scrapes.max(1));
    report.peak_mb = end.peak_mb;
    let status = agent.status().await?;
    report.series = status["series"].as_u64().context("the status tells no series")?;
    Ok(report)
}
