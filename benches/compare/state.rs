//! State metrics: what it takes until all objects are there, what a scrape takes, and what it takes to live along.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use benches::scrape::{Scrape, scrape};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::cluster::Cluster;
use crate::program::Program;

/// As Prometheus does it by the usual configurations of agents.
const SCRAPE_EVERY: Duration = Duration::from_secs(15);

/// A program that takes the flags of kube-state-metrics.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
}

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Effort {
    pub(crate) scrapes: u32,
    /// Events per second.
    pub(crate) churn: f64,
    pub(crate) watched: Duration,
    pub(crate) give_up: Duration,
}

/// What is measured of one program at one size. CPU is user and system time of its process; a MB is 10^6 bytes.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) program: String,
    /// As many as were asked for; of a real cluster, as many as there are.
    pub(crate) pods: u64,
    pub(crate) cpu_until_complete_s: f64,
    pub(crate) wall_until_complete_s: f64,
    pub(crate) resident_mb: f64,
    pub(crate) peak_until_complete_mb: f64,
    pub(crate) plain: Scrapes,
    pub(crate) gzip: Scrapes,
    pub(crate) resident_after_scrapes_mb: f64,
    pub(crate) living: Option<Living>,
}

/// Of one scrape, on average.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Scrapes {
    pub(crate) mb: f64,
    pub(crate) cpu_s: f64,
    pub(crate) wall_s: f64,
}

/// While things happen, and it is scraped every 15 s with gzip.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Living {
    /// On average.
    pub(crate) cores: f64,
    pub(crate) peak_mb: f64,
}

/// Starts the program on the cluster, and measures it.
pub(crate) async fn measure(
    candidate: &Candidate,
    size: Option<u32>,
    cluster: &mut Cluster,
    effort: &Effort,
) -> Result<Row> {
    let (port, telemetry) = (free_port()?, free_port()?);
    let url = format!("http://127.0.0.1:{port}/metrics");
    let arguments = [
        "--kubeconfig".into(),
        cluster.kubeconfig().into(),
        "--host=127.0.0.1".into(),
        format!("--port={port}").into(),
        "--telemetry-host=127.0.0.1".into(),
        format!("--telemetry-port={telemetry}").into(),
        "--enable-gzip-encoding=true".into(),
    ];
    let mut program = Program::start(&candidate.name, &candidate.program, &arguments)?;
    let measured = follow(&mut program, &url, size, cluster, effort).await;
    Ok(Row { program: candidate.name.clone(), ..program.stop(measured).await? })
}

async fn follow(
    program: &mut Program,
    url: &str,
    size: Option<u32>,
    cluster: &mut Cluster,
    effort: &Effort,
) -> Result<Row> {
    let settled = loop {
        let settled = program.settled(effort.give_up).await?;
        let there = cluster.pods().await?;
        let too_late = program.began.elapsed() >= effort.give_up;
        let pods = match scrape(url, false).await {
            Ok(scrape) => scrape.pods,
            Err(error) if too_late => return Err(error.context("it has nothing to do and can't be scraped")),
            Err(_) => continue,
        };
        // A real cluster may change between the two.
        let slack = if size.is_some() { 0 } else { there / 100 };
        if pods.abs_diff(there) <= slack {
            break settled;
        }
        ensure!(!too_late, "it serves {pods} of {there} pods and has nothing to do");
    };
    let mut row = Row {
        pods: match size {
            Some(pods) => u64::from(pods),
            None => cluster.pods().await?,
        },
        cpu_until_complete_s: settled.usage.cpu,
        wall_until_complete_s: settled.wall.as_secs_f64(),
        resident_mb: settled.usage.resident_mb,
        peak_until_complete_mb: settled.usage.peak_mb,
        ..Row::default()
    };
    row.plain = scrapes(program, url, false, effort.scrapes).await?;
    row.gzip = scrapes(program, url, true, effort.scrapes).await?;
    row.resident_after_scrapes_mb = program.usage()?.resident_mb;
    if !effort.watched.is_zero() {
        row.living = Some(live(program, url, cluster, effort).await?);
    }
    Ok(row)
}

async fn scrapes(program: &Program, url: &str, gzip: bool, times: u32) -> Result<Scrapes> {
    let before = program.usage()?;
    let mut all = Scrape::default();
    for _ in 0..times {
        let one = scrape(url, gzip).await?;
        all.bytes += one.bytes;
        all.wall += one.wall;
    }
    let cpu = program.usage()?.cpu - before.cpu;
    let each = |sum: f64| sum / f64::from(times);
    Ok(Scrapes { mb: each(all.bytes as f64 / 1e6), cpu_s: each(cpu), wall_s: each(all.wall.as_secs_f64()) })
}

async fn live(program: &Program, url: &str, cluster: &mut Cluster, effort: &Effort) -> Result<Living> {
    cluster.churn(effort.churn).await?;
    let (before, began) = (program.usage()?, Instant::now());
    let mut ticks = interval(SCRAPE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if began.elapsed() >= effort.watched {
            break;
        }
        scrape(url, true).await?;
    }
    let usage = program.usage()?;
    Ok(Living { cores: (usage.cpu - before.cpu) / began.elapsed().as_secs_f64(), peak_mb: usage.peak_mb })
}

/// A port that nobody listens at.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
