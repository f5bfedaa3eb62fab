//! The state of a cluster as metrics, what its pods use, what happens in it, and a page to look at.

mod agent;
mod enrich;
mod events;
mod file;
mod flags;
mod nodes;
mod object;
mod options;
mod page;
mod plots;
mod progress;
mod rbac;
mod reload;
mod routes;
mod scope;
mod simulated;
mod status;
mod usage;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use example_host::cluster::{Cluster, Unconfigured};
use example_host::config::Configuration;
use example_host::endpoints::Endpoints;
use example_host::server::{Timeouts, listen_or_any, serve, url_of};
use example_host::telemetry::Telemetry;
use example_host::{log_to_stderr, stop};
use ksm_core::scrape::{Encoding, Scraper};

use crate::agent::Agent;
use crate::file::File;
use crate::flags::{DEFAULT_PORT, Given};
use crate::options::Options;
use crate::reload::Running;
use crate::status::Watched;

fn main() -> ExitCode {
    let given = Given::read();
    log_to_stderr();
    let (options, file) = match Options::read(&given) {
        Ok(options) => options,
        Err(problems) => {
            for problem in problems {
                eprintln!("cluster-agent: {problem}");
            }
            return ExitCode::from(2);
        }
    };
    let outcome = if options.flags.check {
        println!("flags, environment and file are right");
        Ok(())
    } else if options.flags.print_rbac {
        rbac::yaml(&options).map(|yaml| print!("{yaml}"))
    } else {
        run_to_end(given, options, file)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_to_end(given: Given, options: Options, file: File) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(given, options, file))
}

async fn run(given: Given, options: Options, started: File) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let telemetry = Telemetry::install(|recorder| recorder)?;
    node_lease::telemetry::describe();
    kubelet_summary::telemetry::describe();
    kube_events::telemetry::describe();
    let listener = listen_or_any(&options.flags.host, options.flags.port, DEFAULT_PORT).await?;
    let url = url_of(&listener)?;
    let cluster = options.flags.cluster.connect(Unconfigured::Simulate).await?;
    let agent = Agent::start(&options, &cluster).await?;
    announce(&cluster, &url);
    let ksm = agent.ksm.clone();
    let scraper = Arc::new(Scraper::new(ksm.clone()).encoding(Encoding::GzipCached));
    let endpoints = Endpoints { scraper, client: cluster.client.clone(), telemetry, auth: None };
    let configuration = Configuration::new(given.config.clone());
    let watched = Watched {
        sources: agent.sources.clone(),
        cluster: cluster.description.clone().into(),
        simulated: cluster.is_simulated(),
        since: Instant::now(),
        configuration: configuration.clone(),
    };
    let running = Running {
        given,
        started,
        options,
        ksm: ksm.clone(),
        events: agent.events.clone(),
        namespaces: agent.namespaces.clone(),
        ordinal: agent.ordinal,
        configuration,
    };
    let history = plots::history();
    let beside = [
        tokio::spawn(running.follow()),
        tokio::spawn(plots::keep(history.clone(), watched.clone())),
        tokio::spawn(async move {
            // Only a template that is none fails, and there is only one.
            let _ = progress::until_synced(ksm).await;
        }),
    ];
    serve(listener, routes::routes(endpoints, watched, history), Timeouts::default(), stop).await;
    for task in beside {
        task.abort();
        // What it held is given back with it.
        let _ = task.await;
    }
    agent.shutdown().await;
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
