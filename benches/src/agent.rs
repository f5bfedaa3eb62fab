//! The agent's process, and what it is asked.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hyper::body::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::process::Usage;
use crate::scrape::{self, Scrape};

/// A running agent. It ends with this value.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    process: Process,
    url: String,
    began: Instant,
}

impl Agent {
    /// Starts a program that says `serving at URL` first; what it says of errors goes to a file.
    pub async fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start: build it by cargo build --release", program.display()))?;
        let process = Process::new(i32::try_from(child.id().context("it has ended already")?)?)?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = lines.next_line().await?.context("it ended before it served")?;
        let url = line.strip_prefix("serving at ").context("it says something else first")?.to_owned();
        // What else it says is read, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, process, url, began })
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(&self.process)
    }

    /// How long ago it was started.
    pub fn runs_for(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until everything has been listed.
    pub async fn ready(&self, give_up: Duration) -> Result<()> {
        let ready = async {
            while self.get("/-/ready").await.is_err() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(give_up, ready).await.with_context(|| format!("it is not ready after {} s", give_up.as_secs()))
    }

    /// What its page says, as data.
    pub async fn status(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.get("/status.json").await?)?)
    }

    /// Scrapes it, and keeps nothing.
    pub async fn scrape(&self, gzip: bool) -> Result<Scrape> {
        scrape::scrape(&format!("{}/metrics", self.url), gzip).await
    }

    async fn get(&self, path: &str) -> Result<Bytes> {
        scrape::get(&format!("{}{path}", self.url)).await
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Asks it to end, and makes it end.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
            if timeout(Duration::from_secs(20), self.child.wait()).await.is_err() {
                self.child.kill().await?;
            }
        }
        Ok(())
    }
}
