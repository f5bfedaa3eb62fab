//! A drop-in for kube-state-metrics, made from ksm-core.

mod aliases;
mod flags;
mod landing;
mod options;
mod reload;
mod sources;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use axum::routing::get;
use example_host::auth::AuthFilter;
use example_host::cluster::{Cluster, Unconfigured};
use example_host::endpoints::Endpoints;
use example_host::server::{listen, serve_with, url_of};
use example_host::telemetry::Telemetry;
use example_host::tls::Web;
use example_host::{log_to_stderr, log_to_stderr_by_default, stop};
use ksm_core::custom_resource::CustomResourceConfig;
use ksm_core::options::{OptionsFile, ShardChoice};
use ksm_core::otlp::{Exporter, ExporterBuilder};
use ksm_core::scrape::{Encoding, Scraper};
use ksm_core::shard::auto::AutoShard;
use ksm_core::{Ksm, KsmBuilder, Query, Sharding, WatchOptions};

use crate::aliases::UpstreamNames;
use crate::flags::Flags;
use crate::options::{Fixed, Options};
use crate::reload::{Running, default_resources, warn_of_overridden};
use crate::sources::{Kind, OptionsProblem};

fn main() -> ExitCode {
    let (flags, given) = flags::parse();
    let (file, missing) = match read_options(&flags) {
        Ok(read) => read,
        Err(problems) => return usage(&problems),
    };
    let options = match Options::resolve(&flags, &file) {
        Ok(options) => options,
        Err(errors) => return usage(&sources::lines(&errors)),
    };
    let (custom, missing_custom) = match sources::custom_resources(&options.custom) {
        Ok(read) => read,
        Err(problems) => return usage(&problems),
    };
    match flags.log_filter() {
        Some(filter) => log_to_stderr_by_default(filter),
        None => log_to_stderr(),
    }
    for missing in missing.into_iter().chain(missing_custom) {
        tracing::warn!("{missing}: going on without it until it is there");
    }
    warn_of_overridden(&file, &given);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ksm-exporter: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(flags, given, options, custom)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ksm-exporter: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("ksm-exporter: {problem}");
    }
    ExitCode::from(2)
}

/// The options file, and what is to be said where it may be missing and is; an empty one where none is named.
fn read_options(flags: &Flags) -> Result<(OptionsFile, Option<String>), Vec<String>> {
    let Some(path) = &flags.config.config else { return Ok((OptionsFile::default(), None)) };
    match sources::options_file(path) {
        Ok(file) => Ok((file, None)),
        Err(OptionsProblem::Missing(problem)) if flags.config.continue_without_config => {
            Ok((OptionsFile::default(), Some(problem)))
        }
        Err(OptionsProblem::Missing(problem)) => Err(vec![problem]),
        Err(OptionsProblem::Wrong(problems)) => Err(problems),
    }
}

async fn run(flags: Flags, given: Vec<String>, options: Options, custom: CustomResourceConfig) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let telemetry = Telemetry::install(UpstreamNames::new)?.and(aliases::shard_ordinal);
    aliases::state_build();
    sources::describe();
    let fixed = options.fixed.clone();
    let web = fixed.tls_config.as_deref().map(Web::load).transpose()?.map(Arc::new);
    // Ports first: where one is taken, nothing has been started yet.
    let main = listen(&fixed.host, fixed.port).await.context("choose another --host or --port")?;
    let own = listen(&fixed.telemetry_host, fixed.telemetry_port).await;
    let own = own.context("choose another --telemetry-host or --telemetry-port")?;
    let cluster = Arc::new(options.cluster.connect(Unconfigured::Refuse).await?);
    let Some(builder) = stop.run_until_cancelled(sharded(&options.shard, &cluster)).await else { return Ok(()) };
    let ksm = Arc::new(watch(builder?, &options, custom)?);
    let pushing = push(&flags, &ksm)?;
    announce_files(&flags, &options);
    let url = |listener| Ok::<_, anyhow::Error>(url_of(listener)?.replacen("http:", scheme(web.as_deref()), 1));
    println!("metrics at {}/metrics", url(&main)?);
    println!("own metrics at {}/metrics", url(&own)?);
    if cluster.is_simulated() {
        println!("watching a simulated cluster: {}", cluster.description);
    } else {
        println!("watching {}", cluster.description);
    }
    let encoding = match (fixed.gzip, flags.serving.gzip_cache) {
        (false, _) => Encoding::Plain,
        (true, false) => Encoding::Gzip,
        (true, true) => Encoding::GzipCached,
    };
    let scrapes = flags.serving.max_concurrent_scrapes.into();
    let scraper = Arc::new(
        Scraper::new(ksm.clone()).encoding(encoding).max_concurrent(scrapes).zstd(flags.serving.enable_zstd_encoding),
    );
    let auth = fixed.auth_filter.then(|| AuthFilter::new(cluster.client.clone()));
    let endpoints = Endpoints { scraper, client: cluster.client.clone(), telemetry, auth };
    let page = {
        let ksm = ksm.clone();
        get(async move || landing::page(&ksm))
    };
    let running = Running { flags, given, options, ksm: ksm.clone(), cluster: cluster.clone(), web: web.clone() };
    let following = tokio::spawn(running.follow());
    tokio::join!(
        serve_with(main, endpoints.main().route("/", page), fixed.timeouts, web.clone(), stop.clone()),
        serve_with(own, endpoints.telemetry().route("/", get(landing::telemetry_page)), fixed.timeouts, web, stop),
    );
    following.abort();
    // What it held is given back with it.
    let _ = following.await;
    if let Some(pushing) = pushing {
        pushing.shutdown().await;
    }
    ksm.shutdown().await;
    if let Some(cluster) = Arc::into_inner(cluster) {
        cluster.shutdown().await;
    }
    Ok(())
}

/// Pushes to a collector where that is wanted, once everything has been listed.
fn push(flags: &Flags, ksm: &Arc<Ksm>) -> anyhow::Result<Option<Exporter>> {
    if !flags.pushing.otlp {
        return Ok(None);
    }
    let builder = ExporterBuilder::from_env().context("correct the OTEL_EXPORTER_OTLP_* variables, or drop --otlp")?;
    let ksm = ksm.clone();
    let snapshots = move || if ksm.is_synced() { ksm.snapshots(&Query::default()) } else { Vec::new() };
    Ok(Some(builder.interval(flags.pushing.otlp_interval).spawn(snapshots)?))
}

fn scheme(web: Option<&Web>) -> &'static str {
    if web.is_some_and(Web::is_tls) { "https:" } else { "http:" }
}

/// Says in metrics which configuration files are in use.
fn announce_files(flags: &Flags, options: &Options) {
    let told = |kind, file: Option<&Path>| match file {
        Some(file) if file.exists() => sources::loaded(kind, file),
        Some(file) => sources::failed(kind, file),
        None => {}
    };
    told(Kind::Options, flags.config.config.as_deref());
    told(Kind::CustomResources, options.custom.file.as_deref());
    told(Kind::Kubeconfig, options.fixed.kubeconfig.as_deref());
    told(Kind::Web, options.fixed.tls_config.as_deref());
}

/// A builder that knows its shard.
async fn sharded(choice: &ShardChoice, cluster: &Cluster) -> anyhow::Result<KsmBuilder> {
    let builder = Ksm::builder().client(cluster.client.clone());
    Ok(match choice {
        ShardChoice::Fixed(shard) => builder.sharding(Sharding::new(*shard)),
        ShardChoice::ByPod { namespace, pod } => {
            let auto = AutoShard::find(cluster.client.clone(), namespace, pod).await?;
            builder.sharding(Sharding::new(auto.shard())).follow_shards(auto.into_stream())
        }
    })
}

fn watch(builder: KsmBuilder, options: &Options, custom: CustomResourceConfig) -> anyhow::Result<Ksm> {
    let resources = options.selection.resources.clone().unwrap_or_else(default_resources);
    aliases::state_limit(options.fixed.object_limit, &resources);
    let Fixed { semantic, object_limit, .. } = options.fixed;
    let watch = WatchOptions { semantic, object_limit, ..WatchOptions::default() };
    let builder = builder.settings(options.selection.settings.clone()).custom_resources(custom);
    Ok(builder.resources(resources)?.watch_options(watch).spawn()?)
}
