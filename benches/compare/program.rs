//! A program under measurement: a process of its own, whose CPU and memory are read from /proc.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use benches::process::Usage;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How often a program is looked at while it works.
const LOOK: Duration = Duration::from_millis(100);
/// A program that is quiet for so long has done what there was to do.
const QUIET: Duration = Duration::from_secs(3);
/// Of one core; more is work.
const IDLE: f64 = 0.03;

/// What it took until a program became quiet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    /// Since it was started.
    pub(crate) wall: Duration,
    pub(crate) usage: Usage,
}

/// A running program; it ends with this.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    process: Process,
    pub(crate) began: Instant,
}

impl Program {
    /// Starts it. What it says goes to a file, which is shown when it fails.
    pub(crate) fn start(name: &str, mut command: Command, log: &std::path::Path) -> Result<Self> {
        let file = std::fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let began = Instant::now();
        let child = command.spawn().with_context(|| format!("{name} does not start"))?;
        let pid = child.id().context("it has ended already")?;
        let process = Process::new(i32::try_from(pid)?)?;
        Ok(Self { name: name.to_owned(), child, process, began })
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(&self.process)
    }

    /// Waits until it has nothing to do any more. What it did in the quiet time at the end does not count.
    pub(crate) async fn settled(&mut self, give_up: Duration) -> Result<Settled> {
        let mut seen = vec![(Instant::now(), self.usage()?)];
        let mut busy = Settled { wall: self.began.elapsed(), usage: seen[0].1 };
        loop {
            sleep(LOOK).await;
            self.ensure_running()?;
            let (now, usage) = (Instant::now(), self.usage()?);
            seen.retain(|(at, _)| now.duration_since(*at) <= QUIET);
            if let Some((at, before)) = seen.last() {
                let worked = (usage.cpu - before.cpu) / now.duration_since(*at).as_secs_f64();
                if worked > IDLE {
                    busy = Settled { wall: now.duration_since(self.began), usage };
                }
            }
            seen.push((now, usage));
            if now.duration_since(self.began) >= busy.wall + QUIET {
                return Ok(busy);
            }
            if self.began.elapsed() > give_up {
                bail!("{} still works after {} s", self.name, give_up.as_secs());
            }
        }
    }

    fn ensure_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended by itself: {status}", self.name),
        }
    }

    /// Asks it to end, and makes it end.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
            if timeout(Duration::from_secs(15), self.child.wait()).await.is_err() {
                self.child.kill().await?;
            }
        }
        Ok(())
    }
}
