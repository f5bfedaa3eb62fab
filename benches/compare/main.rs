//! What we cost beside a peer, on the same cluster, in the same run: a table, and plots of how cost grows with size.
//!
//! Each program is a process of its own, and only that process is measured; the simulated API server is another one.

mod cluster;
mod plot;
mod program;
mod report;
mod scrape;
mod state_metrics;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cluster::{Cluster, SimArgs};
use crate::state_metrics::{Candidate, Effort};

/// Runs this project's programs and their peers side by side, and writes a table and plots.
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  cargo build --release --bin ksm-exporter && cargo run --release --bin compare -- --ksm-bin ./kube-state-metrics
  compare --ksm-bin ./kube-state-metrics --pods 1000,10000 --churn-seconds 60 --out target/compare
  compare --ksm-bin ./kube-state-metrics --kubeconfig ~/.kube/config    # on a real cluster, as it is

Writes compare.md, compare.json and SVG files to --out, and the table to standard output.
Exit codes: 0 measured; 1 a program failed, or did not serve what is in the cluster; 2 bad arguments.")]
struct Args {
    /// The peer: a kube-state-metrics. Without one, this project's exporter is measured alone.
    #[arg(long, value_name = "PATH")]
    ksm_bin: Option<PathBuf>,
    /// Ours: by default the ksm-exporter beside this program.
    #[arg(long, value_name = "PATH")]
    ours: Option<PathBuf>,
    /// Sizes of the simulated cluster.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "1000,10000,50000")]
    pods: Vec<u32>,
    /// A real cluster instead of simulated ones.
    #[arg(long, value_name = "FILE", conflicts_with = "pods")]
    kubeconfig: Option<PathBuf>,
    /// Scrapes of each kind.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    scrapes: u32,
    /// Events per second while it is watched and scraped.
    #[arg(long, value_name = "RATE", default_value_t = 200.0)]
    churn_events: f64,
    /// How long to watch that; 0 leaves it out.
    #[arg(long, value_name = "SECONDS", default_value_t = 45, value_parser = clap::value_parser!(u64).range(..=3600))]
    churn_seconds: u64,
    /// Gives up when a program is not complete after that many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    give_up: u64,
    /// Where the results are written.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/compare")]
    out: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serves the simulated cluster until its standard input ends.
    #[command(hide = true)]
    Sim(SimArgs),
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let args = Args::parse();
    match &args.role {
        Some(Role::Sim(sim)) => cluster::serve(sim).await,
        None => compare(&args).await,
    }
}

async fn compare(args: &Args) -> Result<()> {
    let ours = match &args.ours {
        Some(path) => path.clone(),
        None => beside("ksm-exporter")?,
    };
    let mut candidates = vec![Candidate { name: "ksm-exporter".to_owned(), program: ours }];
    if let Some(path) = &args.ksm_bin {
        candidates.push(Candidate { name: "kube-state-metrics".to_owned(), program: path.clone() });
    }
    for candidate in &candidates {
        ensure!(candidate.program.is_file(), "there is no program {}", candidate.program.display());
    }
    let effort = Effort {
        scrapes: args.scrapes,
        churn: args.churn_events,
        watched: Duration::from_secs(args.churn_seconds),
        give_up: Duration::from_secs(args.give_up),
    };
    let sizes: Vec<Option<u32>> =
        if args.kubeconfig.is_some() { vec![None] } else { args.pods.iter().copied().map(Some).collect() };
    let progress = progress(sizes.len() * candidates.len());
    let mut rows = Vec::new();
    for (round, size) in sizes.into_iter().enumerate() {
        // Neither of them always goes first.
        let first = round % candidates.len();
        candidates.rotate_left(first);
        for candidate in &candidates {
            // One for each of them, so that both see the same.
            let mut cluster = match (size, &args.kubeconfig) {
                (Some(pods), _) => Cluster::simulate(pods).await?,
                (None, path) => Cluster::real(path.as_deref().context("no cluster is named")?).await?,
            };
            progress.set_message(format!("{} with {} pods", candidate.name, cluster.pods().await?));
            rows.push(state_metrics::measure(candidate, size, &mut cluster, &effort).await?);
            cluster.stop().await?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    rows.sort_by_key(|row| (row.pods, row.program != "ksm-exporter"));
    let conditions = report::Conditions::of(args.kubeconfig.is_some(), &effort);
    let text = report::markdown(&rows, &conditions);
    std::fs::create_dir_all(&args.out)?;
    std::fs::write(args.out.join("compare.md"), &text)?;
    std::fs::write(args.out.join("compare.json"), serde_json::to_string_pretty(&rows)?)?;
    if rows.iter().any(|row| row.pods != rows[0].pods) {
        plot::growth(&rows, &args.out.join("compare.svg"))?;
    }
    println!("{text}");
    eprintln!("written to {}", args.out.display());
    Ok(())
}

/// A program of this workspace, built like this one.
fn beside(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let path = this.parent().unwrap_or(Path::new(".")).join(name);
    ensure!(path.is_file(), "there is no {}: cargo build --release --bin {name}", path.display());
    Ok(path)
}

/// Shown on a terminal only.
fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}").context("the template");
    let bar = ProgressBar::new(steps as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
