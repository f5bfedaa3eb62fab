//! A drop-in for kube-state-metrics, made from ksm-core.

mod aliases;
mod flags;
mod landing;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use axum::routing::get;
use example_host::cluster::{Cluster, Unconfigured};
use example_host::endpoints::Endpoints;
use example_host::server::{listen, serve, url_of};
use example_host::telemetry::Telemetry;
use example_host::{log_to_stderr, stop};
use ksm_core::options::Selection;
use ksm_core::scrape::{Encoding, Scraper};
use ksm_core::{Ksm, WatchOptions};

use crate::aliases::UpstreamNames;
use crate::flags::Flags;

fn main() -> ExitCode {
    let flags = flags::parse();
    let (selection, scopes) = (flags.filter.resolve(&[]), flags.scopes.clone());
    let selection = selection.and_then(|mut selection| {
        scopes.apply(&mut selection.settings)?;
        Ok(selection)
    });
    let selection = match selection {
        Ok(selection) => selection,
        Err(errors) => {
            for error in errors.0 {
                eprintln!("ksm-exporter: {error}");
            }
            return ExitCode::from(2);
        }
    };
    log_to_stderr();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ksm-exporter: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(flags, selection)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ksm-exporter: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags, selection: Selection) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let telemetry = Telemetry::install(UpstreamNames::new)?;
    aliases::state_build();
    // Ports first: where one is taken, nothing has been started yet.
    let main = listen(&flags.host, flags.port).await.context("choose another --host or --port")?;
    let own = listen(&flags.telemetry_host, flags.telemetry_port).await;
    let own = own.context("choose another --telemetry-host or --telemetry-port")?;
    let cluster = flags.cluster.connect(Unconfigured::Refuse).await?;
    let ksm = Arc::new(watch(&flags, selection, &cluster)?);
    println!("metrics at {}/metrics", url_of(&main)?);
    println!("own metrics at {}/metrics", url_of(&own)?);
    if cluster.is_simulated() {
        println!("watching a simulated cluster: {}", cluster.description);
    } else {
        println!("watching {}", cluster.description);
    }
    let encoding = match (flags.enable_gzip_encoding, flags.gzip_cache) {
        (false, _) => Encoding::Plain,
        (true, false) => Encoding::Gzip,
        (true, true) => Encoding::GzipCached,
    };
    let scraper = Scraper::new(ksm.clone()).encoding(encoding).max_concurrent(flags.max_concurrent_scrapes.into());
    let endpoints = Endpoints { scraper: Arc::new(scraper), client: cluster.client.clone(), telemetry };
    let page = landing::page(&ksm);
    let timeouts = flags.timeouts();
    tokio::join!(
        serve(main, endpoints.main().route("/", get(async || page)), timeouts, stop.clone()),
        serve(own, endpoints.telemetry().route("/", get(landing::telemetry_page)), timeouts, stop),
    );
    ksm.shutdown().await;
    cluster.shutdown().await;
    Ok(())
}

fn watch(flags: &Flags, selection: Selection, cluster: &Cluster) -> anyhow::Result<Ksm> {
    let builder = Ksm::builder().client(cluster.client.clone()).settings(selection.settings);
    let builder = match selection.resources {
        Some(resources) => builder.resources(resources)?,
        None => builder.default_resources()?,
    };
    let semantic = flags.scopes.list_semantic();
    Ok(builder.watch_options(WatchOptions { semantic, ..WatchOptions::default() }).spawn()?)
}
