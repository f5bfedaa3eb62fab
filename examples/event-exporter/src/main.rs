//! The events of a cluster, with the objects that they are about, sent where a configuration of
//! kubernetes-event-exporter says.

mod configuration;
mod flags;
mod health;
mod identity;
mod logging;
mod page;
mod plan;
mod prefix;
mod recent;
mod routes;
mod simulated;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use example_host::checkpoint::Place;
use example_host::cluster::{Cluster, Unconfigured, ensure_namespace};
use example_host::server::{Timeouts, listen, listen_or_any, serve_with, url_of};
use example_host::stop;
use example_host::telemetry::Telemetry;
use example_host::tls::{Web, WebError};
use kube_events::checkpoint::{ConfigMap, File};
use kube_events::pipeline::{ElectionOptions, Pipeline, PipelineBuilder, PipelineError, PipelineOptions};
use kube_events::sink::Records;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::configuration::{Configuration, Receiver, Unusable};
use crate::flags::{Address, Flags};
use crate::health::Watched;
use crate::identity::Own;
use crate::page::About;
use crate::prefix::Prefixed;
use crate::recent::Recent;
use crate::routes::{Shown, routes};

/// Where kubernetes-event-exporter serves, but on loopback.
const HOST: &str = "127.0.0.1";
const PORT: u16 = 2112;

fn main() -> ExitCode {
    match run_to_end(&flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("event-exporter: {error:#}");
            let wrong = error.is::<Unusable>() || error.is::<PipelineError>() || error.is::<WebError>();
            if wrong { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run_to_end(flags: &Flags) -> anyhow::Result<()> {
    let configuration = Configuration::read(flags)?;
    let own = Own::of(&flags.delivery);
    let level = flags.log_level.map_or(configuration.config.log_level, Into::into);
    let format = flags.log_format.map_or(configuration.config.log_format, Into::into);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let receivers = configuration.receivers()?;
        let warnings = plan::warnings(&configuration, &flags.delivery);
        if flags.check {
            print!("{}", plan::plan(&configuration, &flags.delivery, &own));
            for warning in warnings {
                println!("warning: {warning}");
            }
            return Ok(());
        }
        logging::start(level, format);
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        run(flags, &configuration, receivers, &own).await
    })
}

async fn run(flags: &Flags, configuration: &Configuration, receivers: Vec<Receiver>, own: &Own) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let config = &configuration.config;
    let telemetry = Telemetry::install(|recorder| Prefixed::new(&config.metrics_name_prefix, recorder))?;
    kube_events::telemetry::describe();
    let web = flags.serving.metrics_tls_config.as_deref().map(Web::load).transpose()?.map(Arc::new);
    let listener = listener(flags.serving.metrics_address.as_ref()).await?;
    let scheme = if web.as_deref().is_some_and(Web::is_tls) { "https:" } else { "http:" };
    let url = url_of(&listener)?.replacen("http:", scheme, 1);
    // Who has a configuration means a cluster of their own: what is made up must not get into its sinks unasked.
    let unconfigured = if configuration.file.is_some() { Unconfigured::Refuse } else { Unconfigured::Simulate };
    let cluster = flags.cluster.connect(unconfigured).await?;
    let generator = match cluster.sim() {
        None if configuration.file.is_none() => return Err(Configuration::missing().into()),
        None => None,
        Some(sim) => {
            ensure_namespace(sim, &own.namespace)?;
            let (sim, rate) = (sim.clone(), cluster.churn());
            Some(AbortOnDropHandle::new(tokio::spawn(async move { simulated::keep_coming(&sim, rate).await })))
        }
    };
    let recent = (!flags.serving.no_page).then(|| Arc::new(Recent::new(flags.serving.page_events)));
    let (builder, memories) = with_receivers(Pipeline::builder(cluster.client.clone()).config(config), receivers);
    let pipeline = with_the_rest(builder, flags, configuration, own, &cluster, recent.clone()).spawn().await?;
    let watched = Watched::new(pipeline, stop.clone(), config.leader_election.enabled);
    let watching = watched.clone();
    let ending = AbortOnDropHandle::new(tokio::spawn(async move {
        watching.pipeline.ended().await;
        watching.ended.cancel();
    }));
    let shown = Shown {
        watched: watched.clone(),
        telemetry,
        counter: format!("{}kube_events_total", config.metrics_name_prefix).into(),
        about: Arc::new(About { cluster: cluster.description.clone(), simulated: cluster.is_simulated() }),
        recent,
    };
    // It answers until what was read is delivered.
    let closing = CancellationToken::new();
    let serving = tokio::spawn(serve_with(listener, routes(shown), Timeouts::default(), web, closing.clone()));
    announce(&cluster, &url, configuration, flags.serving.no_page);

    tokio::select! {
        () = stop.cancelled() => {}
        () = watched.ended.cancelled() => {}
    }
    let by_itself = !stop.is_cancelled();
    watched.pipeline.shutdown().await;
    drop((ending, generator));
    for memory in memories {
        memory.abort();
    }
    closing.cancel();
    // Who reads a page slowly must not hold up the end.
    serving.abort();
    let why = watched.pipeline.status().error;
    cluster.shutdown().await;
    if by_itself {
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        anyhow::bail!("the pipeline has ended by itself{why}");
    }
    tracing::info!("it has ended");
    Ok(())
}

/// On the address that is named; where none is, on the usual one, or any that is free.
async fn listener(named: Option<&Address>) -> anyhow::Result<TcpListener> {
    let Some(Address { host, port }) = named else { return listen_or_any(HOST, None, PORT).await };
    let outcome = match listen(host, *port).await {
        // A machine without IPv6.
        Err(_) if host == "::" => listen("0.0.0.0", *port).await,
        outcome => outcome,
    };
    outcome.context("choose another --metrics-address")
}

/// The receivers; records that nobody reads are thrown away as they come.
fn with_receivers(
    mut builder: PipelineBuilder,
    receivers: Vec<Receiver>,
) -> (PipelineBuilder, Vec<tokio::task::JoinHandle<()>>) {
    let mut memories = Vec::new();
    for Receiver { name, built } in receivers {
        builder = builder.receiver_boxed(name, built.sink, built.options);
        if let Some(records) = built.records {
            memories.push(tokio::spawn(forget(records)));
        }
    }
    (builder, memories)
}

async fn forget(mut records: Records) {
    while records.recv().await.is_some() {}
}

/// What the configuration leaves to the program.
fn with_the_rest(
    mut builder: PipelineBuilder,
    flags: &Flags,
    configuration: &Configuration,
    own: &Own,
    cluster: &Cluster,
    recent: Option<Arc<Recent>>,
) -> PipelineBuilder {
    let (config, delivery) = (&configuration.config, &flags.delivery);
    let options =
        PipelineOptions { drain: delivery.drain, owners: delivery.owners.into(), ..PipelineOptions::default() };
    builder = builder.options(options).on_gap(|gap| tracing::warn!("{gap}"));
    if config.leader_election.enabled {
        builder = builder.election(ElectionOptions::new(&*own.namespace, &*config.leader_election.id, &*own.name));
    }
    builder = match &delivery.checkpoint {
        None => builder,
        Some(Place::File(path)) => builder.checkpoint(File::new(path)),
        Some(Place::ConfigMap { namespace, name }) => {
            let namespace = namespace.as_ref().unwrap_or(&own.namespace);
            builder.checkpoint(ConfigMap::new(cluster.client.clone(), namespace, name))
        }
    };
    match recent {
        Some(recent) => builder.on_event(move |event| recent.add(event)),
        None => builder,
    }
}

/// To standard error: standard output is for events.
fn announce(cluster: &Cluster, url: &str, configuration: &Configuration, no_page: bool) {
    let what = if no_page { "metrics and health" } else { "a page, metrics and health" };
    eprintln!("serving {what} at {url}");
    if cluster.is_simulated() {
        eprintln!("watching a SIMULATED cluster: {}", cluster.description);
        eprintln!("To watch a real one, give --config and --kubeconfig, set KUBECONFIG, or run inside a pod.");
    } else {
        eprintln!("watching {}", cluster.description);
    }
    if configuration.file.is_none() {
        eprintln!("There is no configuration: all events go to standard output.");
    }
}
