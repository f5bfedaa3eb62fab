//! What an agent that embeds `ksm-core` costs on a cluster of a given size: one JSON line.
//!
//! Three processes, so that only the agent is measured: a simulated API server, the agent (this process), and a client
//! that scrapes it.

mod client;
mod live;

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::body::Body;
use axum::extract::{Query as UrlQuery, State};
use axum::routing::get;
use axum::{Router, response::IntoResponse};
use benches::process::Usage;
use clap::{Parser, Subcommand};
use cluster_sim::population::{Population, PopulationSpec};
use futures::stream;
use ksm_core::{Exposition, Format, GzipCache, Ksm, ListStrategy, Query, WatchOptions};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// Measures an agent that embeds ksm-core against a simulated cluster, and prints one JSON line.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  scale --pods 10000\n  scale --pods 100000 --scrapes 3\n  scale --pods 50000 --mixed --resources pods,nodes\n  scale live --nodes 5000 --pods 50000 --events 500 --seconds 90"
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
    /// What to measure instead, or a role of this program that it starts by itself.
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// A living cluster: events come in all the time, from before the first list on, and it is scraped at intervals.
    Live(live::Live),
    /// Serves the simulated cluster until its standard input ends.
    #[command(hide = true)]
    Sim(SimSize),
    /// Scrapes an address.
    #[command(hide = true)]
    Client { url: String, scrapes: u32 },
}

/// The simulated cluster.
#[derive(Debug, Clone, clap::Args)]
struct SimSize {
    #[arg(long)]
    pods: u32,
    /// Nodes; none: one for ten pods.
    #[arg(long)]
    nodes: Option<u32>,
    #[arg(long)]
    mixed: bool,
    /// Events per second.
    #[arg(long, default_value_t = 0.0)]
    events: f64,
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
        Some(Role::Sim(size)) => serve_sim(&size).await,
        Some(Role::Live(live)) => {
            println!("{}", serde_json::to_string(&live.measure().await?)?);
            Ok(())
        }
        Some(Role::Client { url, scrapes }) => client::scrape(&url, scrapes).await,
        None => {
            let report = measure(&args).await?;
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }
    }
}

async fn serve_sim(size: &SimSize) -> Result<()> {
    let nodes = size.nodes.unwrap_or((size.pods / 10).max(1));
    let spec = if size.mixed { PopulationSpec::new(nodes, size.pods) } else { PopulationSpec::uniform_pods(size.pods) };
    let population = Population::new(&spec);
    let sim = cluster_sim::Sim::builder().objects(population.objects()).start().await?;
    println!("{}", sim.url());
    let churn = cluster_sim::churn::Churn::new(&population, 1);
    drop(population);
    // The parent's end closes the pipe.
    let mut rest = String::new();
    let mut input = tokio::io::stdin();
    tokio::select! {
        end = tokio::io::AsyncReadExt::read_to_string(&mut input, &mut rest) => drop(end?),
        () = cluster_sim::churn::drive(&sim, churn, size.events, CancellationToken::new()) => {}
    }
    sim.shutdown().await;
    Ok(())
}

async fn start_sim(size: &SimSize) -> Result<(Child, kube::Client)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("sim").args(["--pods", &size.pods.to_string(), "--events", &size.events.to_string()]);
    if let Some(nodes) = size.nodes {
        command.args(["--nodes", &nodes.to_string()]);
    }
    if size.mixed {
        command.arg("--mixed");
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let stdout = child.stdout.take().context("the simulated cluster has no output")?;
    let url = BufReader::new(stdout).lines().next_line().await?.context("the simulated cluster did not start")?;
    let mut config = kube::Config::new(url.parse()?);
    config.default_retry = false;
    Ok((child, kube::Client::try_from(config)?))
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
        Some("parts") => Body::from_stream(stream::iter(agent.parts.compress(exposition).map(ok))),
        _ => Body::from_stream(stream::iter(exposition.blocks().map(ok))),
    }
}

/// Serves `/metrics` on a free port of loopback: its address and task.
async fn serve(agent: Arc<Agent>) -> Result<(String, tokio::task::JoinHandle<std::io::Result<()>>)> {
    let app = Router::new().route("/metrics", get(metrics)).with_state(agent);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = format!("http://{}/metrics", listener.local_addr()?);
    Ok((address, tokio::spawn(async move { axum::serve(listener, app).await })))
}

async fn measure(args: &Args) -> Result<Report> {
    let size = SimSize { pods: args.pods, nodes: None, mixed: args.mixed, events: 0.0 };
    let (_sim, client) = start_sim(&size).await?;
    let strategy = if args.streaming { ListStrategy::Streaming } else { ListStrategy::Pages };

    let before = Usage::now()?;
    let began = Instant::now();
    let watch = WatchOptions { strategy, page_size: args.page_size, ..WatchOptions::default() };
    let ksm = Ksm::builder().client(client).watch_options(watch).resources(&args.resources)?.spawn()?;
    ksm.synced().await;
    let wall = began.elapsed();
    let complete = Usage::now()?;
    // The allocator gives pages back with a delay.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let steady = Usage::now()?;

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
    let (address, server) = serve(agent.clone()).await?;
    (report.scrape_bytes, report.scrape_cpu_s) = scraped(&address, args.scrapes).await?;
    let after_scrapes = Usage::now()?;
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
    let before = Usage::now()?;
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg("client").arg(url).arg(times.to_string()).output().await?;
    anyhow::ensure!(output.status.success(), "the client failed: {}", String::from_utf8_lossy(&output.stderr));
    let cpu = (Usage::now()?.cpu - before.cpu) / f64::from(times.max(1));
    let bytes: u64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    Ok((bytes / u64::from(times.max(1)), cpu))
}
