//! What an index that a runtime keeps costs its host: processor time and memory, at a rate of events, for some time.
//!
//! The runtime is a simulated one in a process of its own, with a directory for each cgroup; what is measured is the
//! process with the plugin and the index alone.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use benches::process::Usage;
use clap::Parser;
use cluster_sim::nri::{Runtime, Version};
use nri_plugin::cgroup::CgroupFs;
use nri_plugin::index::ContainerIndex;
use nri_plugin::launch::Endpoint;
use nri_plugin::{Connector, Identity, Session};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// What an index gets of each pod with one container that comes and goes: two events of the pod's start and the
/// container's, `POST_START_CONTAINER`, and the stops and removals of both.
const EVENTS_PER_POD: f64 = 7.0;

/// Measures a process whose index of containers is kept by a runtime.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:\n  nri-load\n  nri-load --events-per-second 100 --seconds 10")]
struct Args {
    /// Events that the index gets per second.
    #[arg(long, default_value_t = 1_000.0)]
    events_per_second: f64,
    /// For how long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Be the runtime, at this socket.
    #[arg(long, hide = true)]
    runtime: Option<PathBuf>,
    /// Below which its cgroups are.
    #[arg(long, hide = true)]
    cgroups: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match (&args.runtime, &args.cgroups) {
            (Some(socket), Some(cgroups)) => be_the_runtime(&args, socket, cgroups).await,
            _ => measure(&args).await,
        }
    })
}

async fn be_the_runtime(args: &Args, socket: &Path, cgroups: &Path) -> Result<()> {
    let runtime = Runtime::builder(Version::V0_12).cgroup_root(cgroups).start();
    runtime.listen(socket).await?;
    println!("listening");
    std::io::stdout().flush()?;
    runtime.joined(1).await;
    let driven = runtime.drive(args.events_per_second / EVENTS_PER_POD, sleep(Duration::from_secs(args.seconds))).await;
    println!("{} {}", driven.pods, driven.failed);
    Ok(())
}

/// A machine of directories, on which only the runtime makes cgroups.
fn machine(root: &Path) -> Result<PathBuf> {
    let cgroups = root.join("sys/fs/cgroup");
    fs::create_dir_all(&cgroups)?;
    fs::create_dir_all(root.join("proc/self"))?;
    fs::write(root.join("proc/self/mountinfo"), "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")?;
    Ok(cgroups)
}

/// Resident memory, in KiB.
fn kib(usage: Usage) -> f64 {
    usage.resident_mb * 1e6 / 1024.0
}

async fn measure(args: &Args) -> Result<()> {
    let root = tempfile::tempdir()?;
    let cgroups = machine(root.path())?;
    let socket = root.path().join("nri.sock");
    let mut runtime = Command::new(std::env::current_exe()?)
        .args(["--events-per-second", &args.events_per_second.to_string(), "--seconds", &args.seconds.to_string()])
        .arg("--runtime")
        .arg(&socket)
        .arg("--cgroups")
        .arg(&cgroups)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(runtime.stdout.take().context("no output of the runtime")?).lines();
    lines.next_line().await?.context("the runtime did not start")?;

    // A grace time as long as the samples that such a host would join are late.
    let index = ContainerIndex::builder(CgroupFs::discover_in(root.path())?).grace(Duration::from_secs(5)).build();
    let session = Session::builder(Identity::new("10", "load")?, Arc::new(index.clone()));
    let connector = Connector::builder(session).spawn(Endpoint::Socket(socket));
    connector.joined().await?;
    let (began, before) = (Instant::now(), Usage::now()?);
    let mut most = 0;
    let watched = async {
        loop {
            sleep(Duration::from_secs(5)).await;
            most = most.max(index.len());
            let kib = Usage::now().map_or(0.0, kib);
            println!("{:>4} s: {:>5} containers known, {kib:.0} KiB resident", began.elapsed().as_secs(), index.len());
        }
    };
    let outcome = tokio::select! {
        outcome = lines.next_line() => outcome?.context("the runtime ended without a word")?,
        () = index.run() => unreachable_end()?,
        () = watched => unreachable_end()?,
    };
    let (took, used) = (began.elapsed().as_secs_f64(), Usage::now()?.cpu - before.cpu);
    let (pods, failed) = outcome.split_once(' ').context("the runtime did not say what it did")?;
    ensure!(failed == "0", "{failed} pods failed");
    let events = pods.parse::<f64>()? * EVENTS_PER_POD;
    println!("{events} events in {took:.1} s: {:.0} per second", events / took);
    println!(
        "processor time {used:.2} s: {:.2} % of a core, {:.1} µs an event",
        used / took * 100.0,
        used / events * 1e6
    );
    println!("at most {most} containers known, {:.0} KiB resident at the end", kib(Usage::now()?));
    connector.shutdown().await?;
    runtime.wait().await?;
    Ok(())
}

/// Of what runs until it is dropped.
fn unreachable_end() -> Result<String> {
    anyhow::bail!("what should run for ever has ended")
}
