//! What `node-agent` costs its node, with every part on: containers whose every millisecond goes to files, their names by
//! NRI, a Lease, and the kubelet's summary.
//!
//! The containers are cgroups of this machine with a load in each. API server, metadata service, kubelet and runtime are
//! simulated ones in this process; what is measured is the agent's process, and the kernel's programs by the kernel's own
//! statistics.

mod kernel;
mod loads;
mod node;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benches::agent::Agent;
use clap::Parser;
use serde::Serialize;
use tokio::time::sleep;

use crate::kernel::{Kernel, Processors};
use crate::node::Node;

/// What the agent may cost by our own word.
const MOST_CORES: f64 = 0.01;
const MOST_MB: f64 = 60.0;

/// Measures node-agent on a node with containers at work, and prints one JSON line.
#[derive(Debug, Parser)]
#[command(after_help = "Run it as root. Examples:
  cargo build --release --bin node-agent && cargo run --release --bin node-load
  node-load --containers 200 --seconds 120
  node-load --no-files --agent-bin target/release/node-agent")]
struct Args {
    /// Containers, each with a load.
    #[arg(long, default_value_t = 100)]
    containers: usize,
    /// How long it is measured.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long it runs before, so that what happens once has happened.
    #[arg(long, default_value_t = 30)]
    warm_up: u64,
    /// How long it runs with the kernel's statistics of programs, which cost something themselves, after that.
    #[arg(long, default_value_t = 10)]
    kernel_seconds: u64,
    /// A slot of the samples.
    #[arg(long, default_value = "1ms")]
    slot: String,
    /// Write no files: totals alone.
    #[arg(long)]
    no_files: bool,
    /// Seconds between two scrapes.
    #[arg(long, default_value_t = 15)]
    scrape_every: u64,
    /// The agent [default: node-agent beside this program]
    #[arg(long, value_name = "PATH")]
    agent_bin: Option<PathBuf>,
}

/// What is measured. CPU is user and system time of the agent's process.
#[derive(Debug, Default, Serialize)]
struct Report {
    containers: usize,
    slot: Option<String>,
    seconds: f64,
    /// Of one core; the kernel's programs are not in it.
    cpu_cores: f64,
    resident_max_mb: f64,
    peak_mb: f64,
    /// Samples that went to files.
    samples_per_s: f64,
    lost: u64,
    file_bytes_per_s: f64,
    switches_per_s: f64,
    scrapes: u32,
    scrape_bytes: u64,
    scrape_wall_max_s: f64,
    /// The kernel's programs, on all processors together, and what one run takes.
    kernel_cores: f64,
    kernel_runs_per_s: f64,
    kernel_ns_per_run: f64,
    /// All of the machine, and of that the containers.
    busy_cores: f64,
    container_cores: f64,
    processors: usize,
}

fn main() -> Result<()> {
    if loads::is_load() {
        return Ok(());
    }
    let args = Args::parse();
    ensure!(nix::unistd::geteuid().is_root(), "only root can make cgroups and count in them: run it as root");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut node = Node::start(args.containers).await?;
        let outcome = measure(&args, &node).await;
        node.stop().await;
        let report = outcome?;
        tell(&report);
        println!("{}", serde_json::to_string(&report)?);
        Ok(())
    })
}

async fn measure(args: &Args, node: &Node) -> Result<Report> {
    let program = match &args.agent_bin {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("node-agent"),
    };
    let files = node.directory().join("samples");
    let mut arguments: Vec<OsString> = node.arguments();
    if !args.no_files {
        arguments.extend(["--parquet".into(), files.clone().into(), "--slot".into(), args.slot.clone().into()]);
    }
    let log = node.directory().join("agent.log");
    let agent = Agent::start(&program, arguments, &log).await?;
    let outcome = watch(args, &agent, &files).await;
    agent.stop().await?;
    outcome.with_context(|| format!("the agent said: {}", std::fs::read_to_string(&log).unwrap_or_default()))
}

async fn watch(args: &Args, agent: &Agent, files: &std::path::Path) -> Result<Report> {
    agent.ready(Duration::from_mins(1)).await?;
    sleep(Duration::from_secs(args.warm_up)).await;
    let status = agent.status().await?;
    for part in status["parts"].as_array().context("no parts")? {
        let off = args.no_files && part["name"] == "parquet";
        ensure!(part["health"] == "ok" || off, "a part does not work: {part}");
    }
    ensure!(status["named"].as_u64() == Some(args.containers as u64), "not all containers are known: {status}");
    let count = |status: &serde_json::Value, name: &str| status[name].as_u64().unwrap_or_default();

    let mut report = Report { containers: args.containers, ..Report::default() };
    report.slot = (!args.no_files).then(|| args.slot.clone());
    let (began, before, busy) = (Instant::now(), agent.usage()?, Processors::now()?);
    let (samples, lost, bytes) = (count(&status, "samples"), count(&status, "lost"), size(files));
    let mut scraped = Instant::now();
    while began.elapsed() < Duration::from_secs(args.seconds) {
        sleep(Duration::from_secs(1)).await;
        report.resident_max_mb = report.resident_max_mb.max(agent.usage()?.resident_mb);
        if scraped.elapsed() >= Duration::from_secs(args.scrape_every) {
            scraped = Instant::now();
            let scrape = agent.scrape(false).await?;
            report.scrapes += 1;
            report.scrape_bytes = scrape.bytes;
            report.scrape_wall_max_s = report.scrape_wall_max_s.max(scrape.wall.as_secs_f64());
        }
    }
    let (after, seconds) = (agent.usage()?, began.elapsed().as_secs_f64());
    let status = agent.status().await?;
    report.seconds = seconds;
    report.cpu_cores = (after.cpu - before.cpu) / seconds;
    report.peak_mb = after.peak_mb;
    report.samples_per_s = (count(&status, "samples") - samples) as f64 / seconds;
    report.lost = count(&status, "lost") - lost;
    report.file_bytes_per_s = size(files).saturating_sub(bytes) as f64 / seconds;
    report.switches_per_s = status["switches_per_second"].as_f64().unwrap_or_default();
    report.container_cores = status["cores"].as_f64().unwrap_or_default();
    (report.busy_cores, report.processors) = Processors::now()?.since(&busy, seconds);

    let kernel = Kernel::of(agent.pid())?;
    let began = Instant::now();
    sleep(Duration::from_secs(args.kernel_seconds)).await;
    let runs = kernel.since_start()?;
    let seconds = began.elapsed().as_secs_f64();
    report.kernel_cores = runs.nanoseconds as f64 / 1e9 / seconds;
    report.kernel_runs_per_s = runs.count as f64 / seconds;
    report.kernel_ns_per_run = runs.nanoseconds as f64 / (runs.count as f64).max(1.0);
    Ok(report)
}

/// Of the files in a directory.
fn size(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

fn tell(report: &Report) {
    let verdict = |holds: bool| if holds { "held" } else { "MISSED" };
    let to = report.slot.as_ref().map_or_else(|| "totals alone".to_owned(), |slot| format!("{slot} slots to files"));
    println!("{} containers, {to}, {:.0} s:", report.containers, report.seconds);
    println!(
        "  the agent: {:.2} % of a core (at most {:.0} %: {}), {:.1} MB resident (at most {MOST_MB:.0} MB: {}), {:.1} MB at its peak",
        report.cpu_cores * 100.0,
        MOST_CORES * 100.0,
        verdict(report.cpu_cores <= MOST_CORES),
        report.resident_max_mb,
        verdict(report.resident_max_mb <= MOST_MB),
        report.peak_mb,
    );
    println!(
        "  {:.0} samples a second, {} lost, {:.1} KB of files a second; {} scrapes of {:.0} KB, {:.1} ms at most",
        report.samples_per_s,
        report.lost,
        report.file_bytes_per_s / 1e3,
        report.scrapes,
        report.scrape_bytes as f64 / 1e3,
        report.scrape_wall_max_s * 1e3,
    );
    println!(
        "  the kernel's programs: {:.2} % of a core, {:.0} runs a second of {:.0} ns each",
        report.kernel_cores * 100.0,
        report.kernel_runs_per_s,
        report.kernel_ns_per_run,
    );
    println!(
        "  the machine: {:.2} of {} processors busy, {:.2} of them by the containers, which switch {:.0} times a second",
        report.busy_cores, report.processors, report.container_cores, report.switches_per_s,
    );
}
