//! What an agent that embeds `ksm-core` costs on a cluster of a given size: one JSON line.
//!
//! Three processes, so that only the agent is measured: a simulated API server, the agent (this process), and a client
//! that scrapes it.

mod client;
mod process;

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::body::Body;
use axum::extract::{Query as UrlQuery, State};
use axum::routing::get;
use axum::{Router, response::IntoResponse};
use clap::{Parser, Subcommand};
use cluster_sim::population::{Population, PopulationSpec};
use futures::stream;
use ksm_core::{Exposition, Format, GzipCache, Ksm, ListStrategy, Query, WatchOptions};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Measures an agent that embeds ksm-core against a simulated cluster, and prints one JSON line.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  scale --pods 10000\n  scale --pods 100000 --scrapes 3\n  scale --pods 50000 --mixed --resources pods,nodes"
)]
struct Args {
    /// Pods in the cluster.
    #[arg(long, default_value_t = 10_000)]
    pods: u32,
    /// A production-like mix of workloads, instead of uniform two-container pods.
    #[arg(long)]
    mixed: bool,
    /// What the agent watches.
    #[arg(long, default_value = "pods", value_delimiter = ',')]
    resources: Vec<String>,
    /// Scrapes of each kind.
    #[arg(long, default_value_t = 10)]
    scrapes: u32,
    /// Fetch the list as a stream of events.
    #[arg(long)]
    streaming: bool,
    /// Objects per page of a list.
    #[arg(long, default_value_t = WatchOptions::default().page_size)]
    page_size: u32,
    /// A role of this program that it starts by itself.
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serves the simulated cluster until its standard input ends.
    #[command(hide = true)]
    Sim {
        #[arg(long)]
        pods: u32,
        #[arg(long)]
        mixed: bool,
    },
    /// Scrapes an address.
    #[command(hide = true)]
    Client { url: String, scrapes: u32 },
}

/// What is measured. CPU is user and system time of the agent's process.
#[derive(Debug, Default, Serialize)]
struct Report {
    pods: u32,
    samples: u64,
    cpu_until_complete_s: f64,
    wall_until_complete_s: f64,
    peak_during_list_mb: f64,
    resident_mb: f64,
    store_mb: f64,
    scrape_bytes: u64,
    scrape_cpu_s: f64,
    scrape_gzip_bytes: u64,
    scrape_gzip_cpu_s: f64,
    scrape_gzip_from_parts_cpu_s: f64,
    gzip_parts_mb: f64,
    resident_after_scrapes_mb: f64,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let args = Args::parse();
    match args.role {
        Some(Role::Sim { pods, mixed }) => serve_sim(pods, mixed).await,
        Some(Role::Client { url, scrapes }) => client::scrape(&url, scrapes).await,
        None => {
            let report = measure(&args).await?;
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }
    }
}

async fn serve_sim(pods: u32, mixed: bool) -> Result<()> {
    let spec = if mixed { PopulationSpec::new((pods / 10).max(1), pods) } else { PopulationSpec::uniform_pods(pods) };
    let sim = cluster_sim::Sim::builder().objects(Population::new(&spec).objects()).start().await?;
    println!("{}", sim.url());
    // The parent's end closes the pipe.
    let mut rest = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut tokio::io::stdin(), &mut rest).await?;
    sim.shutdown().await;
    Ok(())
}

async fn start_sim(args: &Args) -> Result<(Child, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("sim").args(["--pods", &args.pods.to_string()]);
    if args.mixed {
        command.arg("--mixed");
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let stdout = child.stdout.take().context("the simulated cluster has no output")?;
    let url = BufReader::new(stdout).lines().next_line().await?.context("the simulated cluster did not start")?;
    Ok((child, url))
}

struct Agent {
    ksm: Arc<Ksm>,
    parts: GzipCache,
}

#[derive(Deserialize)]
struct Encoding {
    encoding: Option<String>,
}

async fn metrics(State(agent): State<Arc<Agent>>, UrlQuery(query): UrlQuery<Encoding>) -> impl IntoResponse {
    let exposition: Exposition = agent.ksm.exposition(&Query::default(), Format::Text);
    let ok = Ok::<_, std::convert::Infallible>;
    match query.encoding.as_deref() {
        Some("gzip") => Body::from_stream(stream::iter(exposition.gzip_blocks().map(ok))),
        Some("parts") => Body::from_stream(stream::iter(agent.parts.compress(&exposition).into_iter().map(ok))),
        _ => Body::from_stream(stream::iter(exposition.blocks().map(ok))),
    }
}

async fn measure(args: &Args) -> Result<Report> {
    let (_sim, url) = start_sim(args).await?;
    let mut config = kube::Config::new(url.parse()?);
    config.default_retry = false;
    let client = kube::Client::try_from(config)?;
    let strategy = if args.streaming { ListStrategy::Streaming } else { ListStrategy::Pages };

    let before = process::Usage::now()?;
    let began = Instant::now();
    let watch = WatchOptions { strategy, page_size: args.page_size, ..WatchOptions::default() };
    let ksm = Ksm::builder().client(client).watch_options(watch).resources(&args.resources)?.spawn()?;
    ksm.synced().await;
    let wall = began.elapsed();
    let complete = process::Usage::now()?;
    // The allocator gives pages back with a delay.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let steady = process::Usage::now()?;

    let status = ksm.status();
    let stores = || status.iter().filter_map(|status| status.store.as_ref());
    let mut report = Report {
        pods: args.pods,
        samples: stores().map(|store| store.samples).sum(),
        cpu_until_complete_s: complete.cpu - before.cpu,
        wall_until_complete_s: wall.as_secs_f64(),
        peak_during_list_mb: complete.peak_mb,
        resident_mb: steady.resident_mb,
        store_mb: stores().map(|store| store.bytes).sum::<usize>() as f64 / 1e6,
        ..Report::default()
    };

    let agent = Arc::new(Agent { ksm: Arc::new(ksm), parts: GzipCache::new() });
    let app = Router::new().route("/metrics", get(metrics)).with_state(agent.clone());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = format!("http://{}/metrics", listener.local_addr()?);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    (report.scrape_bytes, report.scrape_cpu_s) = scraped(&address, args.scrapes).await?;
    let after_scrapes = process::Usage::now()?;
    report.resident_after_scrapes_mb = after_scrapes.resident_mb;
    (report.scrape_gzip_bytes, report.scrape_gzip_cpu_s) =
        scraped(&format!("{address}?encoding=gzip"), args.scrapes).await?;
    let parts = format!("{address}?encoding=parts");
    scraped(&parts, 1).await?;
    (_, report.scrape_gzip_from_parts_cpu_s) = scraped(&parts, args.scrapes).await?;
    report.gzip_parts_mb = agent.parts.memory() as f64 / 1e6;
    server.abort();
    agent.ksm.shutdown().await;
    Ok(report)
}

/// The bytes of one scrape, and the agent's CPU for it, on average.
async fn scraped(url: &str, times: u32) -> Result<(u64, f64)> {
    let before = process::Usage::now()?;
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg("client").arg(url).arg(times.to_string()).output().await?;
    anyhow::ensure!(output.status.success(), "the client failed: {}", String::from_utf8_lossy(&output.stderr));
    let cpu = (process::Usage::now()?.cpu - before.cpu) / f64::from(times.max(1));
    let bytes: u64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    Ok((bytes / u64::from(times.max(1)), cpu))
}
