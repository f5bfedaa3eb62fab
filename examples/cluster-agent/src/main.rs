//! The state of a cluster as metrics, and a page to look at.

mod flags;
mod page;
mod progress;
mod rbac;
mod status;
mod units;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use example_host::cluster::{Cluster, Unconfigured};
use example_host::endpoints::Endpoints;
use example_host::server::{Timeouts, listen, serve, url_of};
use example_host::telemetry::Telemetry;
use example_host::{log_to_stderr, stop};
use ksm_core::engine::default_names;
use ksm_core::options::{OptionErrors, Selection};
use ksm_core::scrape::{Encoding, Scraper};
use ksm_core::{Ksm, Settings, WatchOptions};
use uuid::Uuid;

use crate::flags::{DEFAULT_PORT, Flags};
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
        rbac::yaml(&resources, &settings).map(|yaml| print!("{yaml}"))
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
    let listener = match (listen(&flags.host, flags.port.unwrap_or(DEFAULT_PORT)).await, flags.port) {
        (Ok(listener), _) => listener,
        (Err(error), Some(_)) => return Err(error.context("choose another --host or --port")),
        // Nobody asked for that port: any other does.
        (Err(_), None) => listen(&flags.host, 0).await.context("choose another --host")?,
    };
    let url = url_of(&listener)?;
    let cluster = flags.cluster.connect(Unconfigured::Simulate).await?;
    let semantic = flags.scopes.list_semantic();
    let ksm = Ksm::builder()
        .client(cluster.client.clone())
        .resources(resources)?
        .settings(settings)
        .watch_options(WatchOptions { semantic, ..WatchOptions::default() })
        .spawn()?;
    let ksm = Arc::new(ksm);
    announce(&cluster, &url);
    let scraper = Arc::new(Scraper::new(ksm.clone()).encoding(Encoding::GzipCached));
    let endpoints = Endpoints { scraper, client: cluster.client.clone(), telemetry, auth: None };
    let watched = Watched {
        ksm: ksm.clone(),
        cluster: cluster.description.clone().into(),
        simulated: cluster.is_simulated(),
        since: Instant::now(),
    };
    let progress = tokio::spawn(progress::until_synced(ksm.clone()));
    serve(listener, routes(endpoints, watched), Timeouts::default(), stop).await;
    progress.abort();
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
        .route("/", get(whole_page))
        .route("/live", get(live_part))
        .route("/status.json", get(async |State(watched): State<Watched>| (FRESH, Json(watched.status()))))
        .with_state(watched)
        .route("/self/metrics", get(async move || endpoints.own_metrics()))
        .merge(main)
}

/// Nothing here is worth keeping for a moment.
const FRESH: [(axum::http::HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

async fn whole_page(State(watched): State<Watched>) -> impl IntoResponse {
    // Everything is in the page itself: nothing else may be loaded or run, whatever an error message brings along.
    let nonce = Uuid::new_v4().simple().to_string();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    ([(CONTENT_SECURITY_POLICY, policy)], FRESH, Html(page::page(&watched.status(), &nonce).into_string()))
}

async fn live_part(State(watched): State<Watched>) -> impl IntoResponse {
    (FRESH, Html(page::live(&watched.status()).into_string()))
}
