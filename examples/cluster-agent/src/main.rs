//! The state of a cluster as metrics, and a page to look at.

mod enrich;
mod flags;
mod nodes;
mod page;
mod progress;
mod rbac;
mod simulated;
mod status;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use example_host::cluster::{Cluster, Unconfigured};
use example_host::endpoints::Endpoints;
use example_host::page::{FRESH, live};
use example_host::server::{Timeouts, listen_or_any, serve, url_of};
use example_host::telemetry::Telemetry;
use example_host::{log_to_stderr, stop};
use ksm_core::engine::default_names;
use ksm_core::options::{OptionErrors, Selection};
use ksm_core::scrape::{Encoding, Scraper};
use ksm_core::{Ksm, Settings, WatchOptions};

use crate::flags::{DEFAULT_PORT, Flags};
use crate::nodes::Nodes;
use crate::status::Watched;

fn main() -> ExitCode {
    let flags = flags::parse();
    let (resources, settings) = match what(&flags) {
        Ok(what) => what,
        Err(errors) => {
            for error in errors.0 {
                eprintln!("cluster-agent: {error}");
            }
            return ExitCode::from(2);
        }
    };
    log_to_stderr();
    let outcome = if flags.print_rbac {
        rbac::yaml(&resources, &settings, flags.nodes.namespace(&resources)).map(|yaml| print!("{yaml}"))
    } else {
        run_to_end(flags, resources, settings)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Which resources are watched, and how.
fn what(flags: &Flags) -> Result<(Vec<String>, Settings), OptionErrors> {
    let Selection { resources, mut settings } = flags.filter.resolve(&[])?;
    flags.scopes.apply(&mut settings)?;
    let resources = resources.unwrap_or_else(|| default_names().into_iter().map(str::to_owned).collect());
    Ok((resources, settings))
}

fn run_to_end(flags: Flags, resources: Vec<String>, settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(flags, resources, settings))
}

async fn run(flags: Flags, resources: Vec<String>, settings: Settings) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let telemetry = Telemetry::install(|recorder| recorder)?;
    node_lease::telemetry::describe();
    let listener = listen_or_any(&flags.host, flags.port, DEFAULT_PORT).await?;
    let url = url_of(&listener)?;
    let cluster = flags.cluster.connect(Unconfigured::Simulate).await?;
    let semantic = flags.scopes.list_semantic();
    let ksm = Ksm::builder()
        .client(cluster.client.clone())
        .settings(settings)
        .watch_options(WatchOptions { semantic, ..WatchOptions::default() });
    let mut nodes = Nodes::start(&flags.nodes, &resources, &cluster).await?;
    let ksm = match &mut nodes {
        Some(nodes) => nodes.watch(ksm, &resources)?,
        None => ksm.resources(resources)?,
    };
    let ksm = Arc::new(ksm.spawn()?);
    announce(&cluster, &url);
    let scraper = Arc::new(Scraper::new(ksm.clone()).encoding(Encoding::GzipCached));
    let endpoints = Endpoints { scraper, client: cluster.client.clone(), telemetry, auth: None };
    let watched = Watched {
        ksm: ksm.clone(),
        cluster: cluster.description.clone().into(),
        simulated: cluster.is_simulated(),
        since: Instant::now(),
        nodes: nodes.as_ref().map(Nodes::told),
    };
    let following = nodes.map(|nodes| nodes.follow(ksm.clone()));
    let progress = tokio::spawn(progress::until_synced(ksm.clone()));
    serve(listener, routes(endpoints, watched), Timeouts::default(), stop).await;
    progress.abort();
    if let Some(following) = following {
        following.shutdown().await;
    }
    ksm.shutdown().await;
    cluster.shutdown().await;
    Ok(())
}

fn announce(cluster: &Cluster, url: &str) {
    println!("serving at {url}");
    if cluster.is_simulated() {
        println!("watching a simulated cluster: {}", cluster.description);
        eprintln!("Open {url} in a browser. This is a SIMULATED cluster: to watch a real one, give --kubeconfig,");
        eprintln!("set KUBECONFIG, or run inside a pod.");
    } else {
        println!("watching {}", cluster.description);
        eprintln!("Open {url} in a browser. Without access to this cluster, try --sim.");
    }
}

fn routes(endpoints: Endpoints, watched: Watched) -> Router {
    let main = endpoints.main();
    Router::new()
        .route("/", get(async |State(watched): State<Watched>| page::page(&watched.status()).respond()))
        .route("/live", get(async |State(watched): State<Watched>| live(page::live(&watched.status()))))
        .route("/status.json", get(async |State(watched): State<Watched>| (FRESH, Json(watched.status()))))
        .with_state(watched)
        .route("/self/metrics", get(async move || endpoints.own_metrics()))
        .merge(main)
}
