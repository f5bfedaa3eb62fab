//! What a process has used so far: this one, or another one.

use std::process::Stdio;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use procfs::process::Process;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Starts a program that listens, and reads how to get there: its first line. It is killed with the value.
pub async fn listening(mut command: Command) -> Result<(Child, String)> {
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("it has no output")?).lines();
    let url = lines.next_line().await?.context("it ended before it listened")?;
    Ok((child, url))
}

/// CPU and memory of a process.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu: f64,
    /// Resident memory, in megabytes (10^6 bytes).
    pub resident_mb: f64,
    /// The highest resident memory so far.
    pub peak_mb: f64,
}

impl Usage {
    /// Of this process.
    pub fn now() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let status = std::fs::read_to_string("/proc/self/status").context("memory is read from /proc")?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
            let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
            Ok(kibibytes * 1024.0 / 1e6)
        };
        Ok(Self { cpu: micros as f64 / 1e6, resident_mb: field("VmRSS:")?, peak_mb: field("VmHWM:")? })
    }

    /// Of another process, by `/proc`: CPU in the kernel's steps of 10 ms.
    pub fn of(process: &Process) -> Result<Self> {
        let (stat, status) = (process.stat()?, process.status()?);
        let megabytes = |kibibytes: Option<u64>| kibibytes.unwrap_or(0) as f64 * 1024.0 / 1e6;
        Ok(Self {
            cpu: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            resident_mb: megabytes(status.vmrss),
            peak_mb: megabytes(status.vmhwm),
        })
    }
}
