//! Counters by cgroup: what an agent and its programs in the kernel take while cgroups of our own work.

pub(crate) mod groups;
mod kernel;
mod series;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use benches::scrape::get;
use serde::Serialize;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::groups::Groups;
use self::kernel::{Counting, taken};
use self::series::Series;
use crate::program::Program;
use crate::state::free_port;

/// How often counters are read and scraped.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);
/// How often it is tried whether a program serves yet.
const TRY: Duration = Duration::from_millis(100);
/// What an agent does at its start does not count.
const WARM_UP: Duration = Duration::from_secs(3);

/// Rezolus' samplers of what cgroups do on processors; all others are off.
const SAMPLERS: [&str; 3] = ["cpu_usage", "cpu_perf", "cpu_migrations"];

/// Whose flags a program takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NodeAgent,
    Rezolus,
}

#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) kind: Kind,
}

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Effort {
    pub(crate) seconds: u64,
    pub(crate) give_up: Duration,
}

/// What is measured of one program with so many cgroups.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) program: String,
    pub(crate) cgroups: u32,
    /// What the loads took.
    pub(crate) load_cores: f64,
    /// Of the agent's process.
    pub(crate) cores: f64,
    /// Of its programs in the kernel.
    pub(crate) kernel_cores: Option<f64>,
    pub(crate) kernel_programs: u64,
    pub(crate) kernel_runs_per_s: Option<f64>,
    pub(crate) resident_mb: f64,
    pub(crate) peak_mb: f64,
    pub(crate) scrape_kb: f64,
    pub(crate) series: u64,
    pub(crate) series_of_cgroups: u64,
    /// Of our cgroups, those that are named.
    pub(crate) cgroups_told: u64,
    /// What became of each of Rezolus' samplers that were asked for, and of each of its programs that is not attached.
    pub(crate) samplers: Vec<String>,
}

/// Where a program says what.
#[derive(Debug, Clone)]
struct Paths {
    scrape: String,
    /// The same, to be read here.
    text: String,
    samplers: Option<String>,
}

/// Starts the program beside cgroups that work, and measures it.
pub(crate) async fn measure(candidate: &Candidate, cgroups: u32, effort: &Effort) -> Result<Row> {
    // So much that each of them has something to do, and everybody else too.
    let processors = std::thread::available_parallelism()?.get() as f64 / 2.0;
    let groups = Groups::start(cgroups, processors).await?;
    let measured = beside(candidate, &groups, effort).await;
    groups.stop().await?;
    Ok(Row { program: candidate.name.clone(), cgroups, ..measured? })
}

async fn beside(candidate: &Candidate, groups: &Groups, effort: &Effort) -> Result<Row> {
    let port = free_port()?;
    let mut file = NamedTempFile::with_suffix(".toml")?;
    let arguments: Vec<OsString> = match candidate.kind {
        Kind::NodeAgent => {
            let port = format!("--port={port}");
            ["--parts=perf", "--interval=1s", &port].map(Into::into).into()
        }
        Kind::Rezolus => {
            file.write_all(rezolus(port).as_bytes())?;
            vec![file.path().into()]
        }
    };
    let mut program = Program::start(&candidate.name, &candidate.program, &arguments)?;
    let measured = follow(&mut program, &format!("http://127.0.0.1:{port}"), groups, effort).await;
    program.stop(measured).await
}

/// Its configuration: only samplers that are compared, and the system's usual scheduling, as ours has it.
fn rezolus(port: u16) -> String {
    let mut text = format!(
        "[general]\nlisten = \"127.0.0.1:{port}\"\nttl = \"10ms\"\n\n[scheduler]\npolicy = \"normal\"\n\n[log]\nlevel = \
         \"warn\"\n\n[defaults]\nenabled = false\n"
    );
    for sampler in SAMPLERS {
        // A String takes any text, here and below.
        let _ = write!(text, "\n[samplers.{sampler}]\nenabled = true\n");
    }
    text
}

async fn follow(program: &mut Program, url: &str, groups: &Groups, effort: &Effort) -> Result<Row> {
    let paths = paths(program, url, effort).await?;
    let counting = Counting::begin();
    sleep(WARM_UP).await;
    let (before, kernel, load, began) = (program.usage()?, taken(program.process())?, groups.cpu_s()?, Instant::now());
    let mut ticks = interval(SCRAPE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bytes = 0;
    for _ in 0..effort.seconds {
        ticks.tick().await;
        program.ensure_running()?;
        bytes = get(&paths.scrape).await?.len();
    }
    ticks.tick().await;
    let (usage, kernel_then, seconds) = (program.usage()?, taken(program.process())?, began.elapsed().as_secs_f64());
    let load_cores = (groups.cpu_s()? - load) / seconds;
    let counted = counting.is_ok();
    if let Err(error) = counting {
        eprintln!("the kernel's share is left out: {error:#}");
    }
    let series = Series::of(&get(&paths.text).await?, &groups.ids)?;
    let samplers = match &paths.samplers {
        Some(url) => samplers(&serde_json::from_slice(&get(url).await?)?),
        None => Vec::new(),
    };
    Ok(Row {
        load_cores,
        cores: (usage.cpu - before.cpu) / seconds,
        kernel_cores: counted.then(|| (kernel_then.seconds - kernel.seconds) / seconds),
        kernel_programs: kernel_then.programs,
        kernel_runs_per_s: counted.then(|| (kernel_then.runs - kernel.runs) as f64 / seconds),
        resident_mb: usage.resident_mb,
        peak_mb: usage.peak_mb,
        scrape_kb: bytes as f64 / 1e3,
        series: series.all,
        series_of_cgroups: series.ours,
        cgroups_told: series.named.len() as u64,
        samplers,
        ..Row::default()
    })
}

/// Waits until it serves. Rezolus' own format is what its recorder and its exporter read; others have Prometheus' text.
async fn paths(program: &mut Program, url: &str, effort: &Effort) -> Result<Paths> {
    loop {
        program.ensure_running()?;
        if get(&format!("{url}/metrics/binary")).await.is_ok() {
            return Ok(Paths {
                scrape: format!("{url}/metrics/binary"),
                text: format!("{url}/metrics/json"),
                samplers: Some(format!("{url}/samplers")),
            });
        }
        let text = format!("{url}/metrics");
        if get(&text).await.is_ok() {
            return Ok(Paths { scrape: text.clone(), text, samplers: None });
        }
        ensure!(program.began.elapsed() < effort.give_up, "it serves neither {url}/metrics/binary nor {text}");
        sleep(TRY).await;
    }
}

/// A line for each sampler that was asked for.
fn samplers(status: &Value) -> Vec<String> {
    let all = status.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let asked = all.iter().filter(|sampler| SAMPLERS.contains(&text(sampler, "name").as_str()));
    asked
        .map(|sampler| {
            let mut line = format!("{} {}", text(sampler, "name"), text(sampler, "state"));
            if let Some(error) = sampler.get("error").and_then(Value::as_str) {
                let _ = write!(line, ": {error}");
            }
            let programs = sampler.get("programs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let idle: Vec<String> = programs
                .iter()
                .filter(|program| program.get("attached").and_then(Value::as_bool) == Some(false))
                .map(|program| text(program, "name"))
                .collect();
            if !idle.is_empty() {
                let _ = write!(line, " (not attached: {})", idle.join(", "));
            }
            line
        })
        .collect()
}

/// Whether what is measured here can be had.
pub(crate) fn ensure_possible() -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "counters by cgroup need root: run this by sudo, or leave out --rezolus-bin and `cgroups` in --parts"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_samplers() {
        let status = serde_json::json!([
            {"name": "cpu_usage", "state": "active", "programs": [
                {"name": "one", "attached": true}, {"name": "two", "attached": false}]},
            {"name": "cpu_perf", "state": "failed", "error": "no PMU"},
            {"name": "tcp_receive", "state": "disabled"},
        ]);
        assert_eq!(samplers(&status), ["cpu_usage active (not attached: two)", "cpu_perf failed: no PMU"]);
        assert_eq!(samplers(&Value::Null), [""; 0]);
    }
}
