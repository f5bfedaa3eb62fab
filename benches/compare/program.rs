//! A program under measurement: a process of its own, whose CPU and memory are read from /proc, and which ends with
//! this one, however this one ends.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use benches::process::Usage;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use procfs::process::Process;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How often a program is looked at while it works.
const LOOK: Duration = Duration::from_millis(100);
/// A program that is quiet for so long has done what there was to do.
const QUIET: Duration = Duration::from_secs(3);
/// Of one core; more is work.
const IDLE: f64 = 0.03;
/// Bytes of what a program said that are read when it fails.
const END: u64 = 64 << 10;
/// Lines of what a program said that are shown when it fails.
const LAST_LINES: usize = 8;

/// The program that a process becomes.
#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    /// The process that it is to end with.
    #[arg(long)]
    of: i32,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes another program, which the kernel ends when the one that started it does: also where that is killed and can
/// end nobody.
pub(crate) fn exec(args: &ExecArgs) -> Result<Infallible> {
    set_pdeathsig(Signal::SIGKILL)?;
    // It may have ended before that was asked for.
    ensure!(getppid() == Pid::from_raw(args.of), "who started this has ended");
    let (program, arguments) = args.command.split_first().context("no program is named")?;
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(anyhow!(error).context(format!("{} can't be run", Path::new(program).display())))
}

/// A command that runs a program by [`exec`].
pub(crate) fn command(program: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["exec", "--of", &std::process::id().to_string(), "--"]).arg(program).kill_on_drop(true);
    Ok(command)
}

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
    log: NamedTempFile,
    pub(crate) began: Instant,
}

impl Program {
    /// Starts it. What it says goes to a file, whose end is shown when it fails.
    pub(crate) fn start(name: &str, program: &Path, arguments: &[OsString]) -> Result<Self> {
        let log = NamedTempFile::new()?;
        let file = std::fs::File::options().append(true).open(log.path())?;
        let mut command = command(program)?;
        command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let began = Instant::now();
        let child = command.spawn().with_context(|| format!("{name} does not start"))?;
        let pid = child.id().context("it has ended already")?;
        let process = Process::new(i32::try_from(pid)?)?;
        Ok(Self { name: name.to_owned(), child, process, log, began })
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(&self.process).with_context(|| format!("{} has ended by itself", self.name))
    }

    /// Waits until it has nothing to do any more. What it did in the quiet time at the end does not count.
    pub(crate) async fn settled(&mut self, give_up: Duration) -> Result<Settled> {
        let first = self.usage()?;
        let mut seen = vec![(Instant::now(), first)];
        let mut busy = Settled { wall: self.began.elapsed(), usage: first };
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

    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended by itself: {status}", self.name),
        }
    }

    /// Asks it to end, and makes it end. What was measured is passed on; of a failure, with the last that it said.
    pub(crate) async fn stop<T>(mut self, measured: Result<T>) -> Result<T> {
        if let Some(pid) = self.child.id() {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM);
            if timeout(Duration::from_secs(15), self.child.wait()).await.is_err() {
                self.child.kill().await?;
            }
        }
        measured.map_err(|error| match last_lines(&end_of(self.log.path()).unwrap_or_default()) {
            last if last.is_empty() => error,
            last => anyhow!("{error:#}\n{} said last:\n{last}", self.name),
        })
    }
}

/// The end of a file that may be long.
fn end_of(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}

/// The last lines of a text, indented.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
    last.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_what_a_program_said() {
        assert_eq!(last_lines(""), "");
        assert_eq!(last_lines("\none\n\n two\n"), "  one\n   two");
        let many: Vec<String> = (1..=20).map(|n| format!("line {n}")).collect();
        let last = last_lines(&many.join("\n"));
        assert!(last.starts_with("  line 13\n") && last.ends_with("  line 20"), "{last}");
    }
}
