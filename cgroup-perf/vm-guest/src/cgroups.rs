//! Cgroups, and processes that work in them.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use cgroup_perf::sample::CgroupId;

/// Where the tree is.
pub(crate) const TREE: &str = "/sys/fs/cgroup";

/// A child cgroup of the root.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    pub(crate) id: CgroupId,
}

impl Cgroup {
    pub(crate) fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = Path::new(TREE).join(format!("work-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        let id = CgroupId(fs::metadata(&path)?.ino());
        Ok(Self { path, id })
    }

    /// What its tasks used so far, by the kernel's own account, in nanoseconds.
    pub(crate) fn used(&self) -> Result<u64> {
        let text = fs::read_to_string(self.path.join("cpu.stat"))?;
        let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        Ok(usage.context("cpu.stat has no usage_usec")?.parse::<u64>()? * 1_000)
    }

    /// Removes it, at once.
    pub(crate) fn remove(self) -> Result<()> {
        fs::remove_dir(&self.path).with_context(|| format!("{} cannot be removed", self.path.display()))
    }
}

/// A process that waits for its command in a cgroup: whatever it does after the command, its end included, it does there.
#[derive(Debug)]
pub(crate) struct Worker(Child);

impl Worker {
    /// Starts one with a job for [`crate::work::main`], and moves it into the cgroup.
    pub(crate) fn waiting(job: &str, cgroup: &Cgroup) -> Result<Self> {
        let mut process = Command::new("/proc/self/exe")
            .arg("work")
            .args(job.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("no process can be started")?;
        // What it does before it waits is not the cgroup's.
        let output = process.stdout.as_mut().context("it has no output")?;
        output.read_exact(&mut [0]).context("it does not come to wait")?;
        // One that runs while it is moved is charged to its new cgroup from the last tick on, by everybody.
        let stat = format!("/proc/{}/stat", process.id());
        while !fs::read_to_string(&stat)?.contains(") S ") {
            std::thread::sleep(Duration::from_micros(50));
        }
        fs::write(cgroup.path.join("cgroup.procs"), process.id().to_string()).context("it cannot be moved")?;
        Ok(Self(process))
    }

    /// Commands it to begin.
    pub(crate) fn go(&mut self) -> Result<()> {
        self.0.stdin.as_mut().context("it was told before")?.write_all(b"\n").context("it does not listen")
    }

    /// Waits for its end. Jobs without an end of their own end now.
    pub(crate) fn wait(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait()?;
        ensure!(status.success(), "a worker ended with {status}");
        Ok(())
    }
}
