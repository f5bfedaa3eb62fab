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
use clap::Parser;
use cluster_sim::nri::{Runtime, Version};
use nix::sys::resource::{UsageWho, getrusage};
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

/// Processor time of this process.
fn used() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Ok(Duration::from_micros(u64::try_from(micros(usage.user_time()) + micros(usage.system_time()))?))
}

/// Resident memory of this process, in KiB.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
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
    let (began, before) = (Instant::now(), used()?);
    let mut most = 0;
    let watched = async {
        loop {
            sleep(Duration::from_secs(5)).await;
            most = most.max(index.len());
            let kib = resident().unwrap_or_default();
            println!("{:>4} s: {:>5} containers known, {kib} KiB resident", began.elapsed().as_secs(), index.len());
        }
    };
    let outcome = tokio::select! {
        outcome = lines.next_line() => outcome?.context("the runtime ended without a word")?,
        () = index.run() => unreachable_end()?,
        () = watched => unreachable_end()?,
    };
    let (took, used) = (began.elapsed().as_secs_f64(), used()?.saturating_sub(before).as_secs_f64());
    let (pods, failed) = outcome.split_once(' ').context("the runtime did not say what it did")?;
    ensure!(failed == "0", "{failed} pods failed");
    let events = pods.parse::<f64>()? * EVENTS_PER_POD;
    println!("{events} events in {took:.1} s: {:.0} per second", events / took);
    println!(
        "processor time {used:.2} s: {:.2} % of a core, {:.1} µs an event",
        used / took * 100.0,
        used / events * 1e6
    );
    println!("at most {most} containers known, {} KiB resident at the end", resident()?);
    connector.shutdown().await?;
    runtime.wait().await?;
    Ok(())
}

/// Of what runs until it is dropped.
fn unreachable_end() -> Result<String> {
    anyhow::bail!("what should run for ever has ended")
}
