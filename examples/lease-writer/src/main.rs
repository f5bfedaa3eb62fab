//! Keeps a node's cloud metadata in a Lease: the binary of a DaemonSet.

mod flags;
mod page;
mod status;

use std::process::ExitCode;

use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cluster_sim::Sim;
use example_host::cluster::{Cluster, Unconfigured, ensure_namespace};
use example_host::endpoints::prometheus_text;
use example_host::page::{FRESH, live};
use example_host::server::{Timeouts, listen_or_any, serve, url_of};
use example_host::telemetry::Telemetry;
use example_host::{host_name, log_to_stderr_by_default, stop};
use node_lease::{ContractError, LeaseWriter, SourceError, StopOutcome, WriterError};

use crate::flags::{DEFAULT_PORT, Flags};
use crate::status::Watched;

/// What became of the Lease and when is worth a line; there are few.
const LOG: &str = "warn,kube_client::client::builder=off,node_lease=info,lease_writer=info";

fn main() -> ExitCode {
    let flags = flags::parse();
    log_to_stderr_by_default(LOG);
    match run_to_end(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lease-writer: {error:#}");
            let wrong_flags = error.is::<ContractError>() || error.is::<WriterError>() || error.is::<SourceError>();
            if wrong_flags { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run_to_end(flags: Flags) -> anyhow::Result<()> {
    // One thread: there is a request now and then, and a DaemonSet runs on every node.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(flags))
}

async fn run(mut flags: Flags) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let telemetry = Telemetry::install(|recorder| recorder)?;
    node_lease::telemetry::describe();
    let contract = flags.lease.contract()?;
    let listener = listen_or_any(&flags.host, flags.port, DEFAULT_PORT).await?;
    let url = url_of(&listener)?;
    let cluster = flags.cluster.connect(Unconfigured::Refuse).await?;
    if let Some(sim) = cluster.sim() {
        on_simulated_node(sim, &mut flags).await?;
    }
    let node = flags.node_name.unwrap_or_default();
    let holder = flags.pod_name.or_else(host_name).unwrap_or_default();
    let source = flags.source.choice(cluster.is_simulated()).source(cluster.client.clone(), &node)?;
    let writer = LeaseWriter::builder(cluster.client.clone(), source, &*node, &*flags.namespace, &*holder)
        .contract(contract.clone())
        .owner(flags.lease.owner())
        .on_stop(flags.lease.on_stop())
        .start_jitter(flags.lease.start_jitter(cluster.is_simulated()))
        .build()?;
    let lease = format!("{}/{}", flags.namespace, writer.lease_name());
    announce(&cluster, &url, &lease);
    let watched = Watched {
        writer: writer.spawn()?,
        simulated: cluster.is_simulated(),
        cluster: cluster.description.clone(),
        node,
        namespace: flags.namespace,
        lease: writer.lease_name().to_owned(),
        holder,
        renew_interval: contract.renew_interval(),
        lease_duration: contract.lease_duration(),
    };
    let running = watched.writer.clone();
    let serving = tokio::spawn(serve(listener, routes(watched, telemetry), Timeouts::default(), stop.clone()));
    stop.cancelled().await;
    println!("the Lease {lease} {}", what_became(running.shutdown().await));
    // Who reads a page slowly must not hold up the end.
    serving.abort();
    cluster.shutdown().await;
    Ok(())
}

/// A node of the simulated cluster, with its metadata service, unless flags say others.
async fn on_simulated_node(sim: &Sim, flags: &mut Flags) -> anyhow::Result<()> {
    ensure_namespace(sim, &flags.namespace)?;
    let node = match flags.node_name.take() {
        Some(node) => node,
        None => {
            let nodes = sim.list("v1", "nodes")?;
            let name = nodes.first().and_then(|node| node["metadata"]["name"].as_str());
            name.context("the simulated cluster has no nodes")?.to_owned()
        }
    };
    if flags.source.imds_endpoint.is_none() {
        let service = sim.metadata_of(&node).await.context("choose another --node-name")?;
        flags.source.imds_endpoint = Some(service.url());
    }
    flags.node_name = Some(node);
    Ok(())
}

fn announce(cluster: &Cluster, url: &str, lease: &str) {
    println!("serving at {url}");
    println!("writing Lease {lease}");
    if cluster.is_simulated() {
        eprintln!("Open {url} in a browser. This is a node of a SIMULATED cluster: to write into a real one, give");
        eprintln!("--node-name and --kubeconfig, or run as a DaemonSet.");
    } else {
        eprintln!("Open {url} in a browser.");
    }
}

fn what_became(outcome: StopOutcome) -> &'static str {
    match outcome {
        StopOutcome::Deleted => "was deleted",
        StopOutcome::Kept => "is kept: it ends by itself",
        StopOutcome::NotHeld => "is not this writer's: nothing was done",
        _ => "could not be deleted: it ends by itself",
    }
}

fn routes(watched: Watched, telemetry: Telemetry) -> Router {
    Router::new()
        .route("/", get(async |State(watched): State<Watched>| page::page(&watched.status()).respond()))
        .route("/live", get(async |State(watched): State<Watched>| live(page::live(&watched.status()))))
        .route("/status.json", get(async |State(watched): State<Watched>| (FRESH, Json(watched.status()))))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(watched)
        .route("/metrics", get(async move || prometheus_text(telemetry.render_recorded())))
}

/// Ready once the Lease was written. An outage of the API server later is no reason to take the pod for broken.
async fn readyz(State(watched): State<Watched>) -> Response {
    let status = watched.status();
    if status.renewed.is_some() {
        return "ok\n".into_response();
    }
    let why = status.reason.into_iter().chain(status.problems).collect::<Vec<_>>().join("\n");
    (StatusCode::SERVICE_UNAVAILABLE, format!("not written yet: {}\n{why}\n", status.state.word())).into_response()
}
