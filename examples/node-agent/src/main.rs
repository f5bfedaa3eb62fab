//! What the containers of a node are and do: the binary of a DaemonSet.

mod containers;
mod file;
mod flags;
mod kubelet;
mod lease;
mod page;
mod parts;
mod perf;
mod routes;
mod settings;
mod sim;
mod status;
mod text;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use example_host::config::{Configuration, Entry};
use example_host::page::Health;
use example_host::server::{Timeouts, listen_or_any, serve, url_of};
use example_host::telemetry::Telemetry;
use example_host::{exit, log_to_stderr_by_default, stop};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::containers::Options;
use crate::flags::{DEFAULT_PORT, Flags, PartName, Source};
use crate::kubelet::Kubelet;
use crate::parts::State;
use crate::perf::{Counting, Perf};
use crate::settings::{Followed, Settings};
use crate::sim::Simulated;
use crate::status::Watched;

const NAME: &str = "node-agent";

/// How parts change is worth a line; there are few. What the crates say of the same again and again is not.
const LOG: &str = "warn,kube_client::client::builder=off,kubelet_summary::cache=error,node_lease::writer::run=error,\
                   nri_plugin::connector=error,example_host::config=info,node_agent=info";

/// How long parts may take to end. Each has a bound of its own.
const END: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    if sim::is_load() {
        return ExitCode::SUCCESS;
    }
    let source = Source::read();
    let (flags, file) = match source.all() {
        Ok(all) => all,
        Err(problems) => {
            for problem in problems {
                eprintln!("{NAME}: {problem}");
            }
            return ExitCode::from(2);
        }
    };
    if flags.check {
        println!("flags, environment and file are right");
        return ExitCode::SUCCESS;
    }
    log_to_stderr_by_default(LOG);
    exit::code(NAME, run_to_end(source, flags, file))
}

fn run_to_end(source: Source, flags: Flags, file: Vec<Entry>) -> anyhow::Result<()> {
    // One thread: a DaemonSet runs on every node, and little happens. Files have a thread of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(source, flags, file))
}

async fn run(source: Source, mut flags: Flags, file: Vec<Entry>) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let telemetry = Telemetry::install(|recorder| recorder)?;
    node_lease::telemetry::describe();
    nri_plugin::telemetry::describe();
    nri_plugin::index::telemetry::describe();
    cgroup_perf::telemetry::describe();
    kubelet_summary::telemetry::describe();
    let listener = listen_or_any(&flags.host, flags.port, DEFAULT_PORT).await?;
    let url = url_of(&listener)?;
    let simulated = if flags.cluster.wants_sim() { Some(Simulated::start(&mut flags).await?) } else { None };
    let (followed, settings) = Followed::new(source, flags.clone(), file);
    let (watched, parts) = start(&flags, &settings, simulated.as_ref(), followed.configuration.clone(), &stop);
    announce(&url, &watched);
    let history = page::history();
    let beside = [tokio::spawn(page::keep(history.clone(), watched.clone())), tokio::spawn(followed.follow())];
    let routes = routes::routes(watched, history, telemetry);
    let serving = tokio::spawn(serve(listener, routes, Timeouts::default(), stop.clone()));
    stop.cancelled().await;
    for task in beside {
        task.abort();
    }
    for line in ended(parts).await {
        println!("{line}");
    }
    // Who reads a page slowly must not hold up the end.
    serving.abort();
    if let Some(simulated) = simulated {
        simulated.shutdown().await;
    }
    Ok(())
}

/// Starts all parts, each as a task; a task may say a last word.
fn start(
    flags: &Flags,
    settings: &Settings,
    simulated: Option<&Simulated>,
    configuration: Configuration,
    stop: &CancellationToken,
) -> (Watched, JoinSet<Option<String>>) {
    let mut tasks = JoinSet::new();
    let node = flags.node_name.clone().unwrap_or_else(|| example_host::recording::host().unwrap_or_default());
    let (lease, runtime) = (Arc::new(State::new("lease")), Arc::new(State::new("runtime")));
    let (perf, kubelet) = (Arc::new(State::new("perf")), Arc::new(State::new("kubelet")));
    let files = Arc::new(State::new("parquet"));
    let off = |state: &State, why: &str| state.set(Health::Absent, Some(why.to_owned()));

    if flags.has(PartName::Lease) {
        let client = simulated.map(|simulated| simulated.cluster.client.clone());
        tasks.spawn(lease::run(flags.clone(), node.clone(), client, Arc::clone(&lease), stop.clone()));
    } else {
        off(&lease, "switched off");
    }

    let uncounted = simulated.and_then(|simulated| simulated.uncounted.clone());
    let counts = flags.has(PartName::Perf) && uncounted.is_none();
    let (found, containers) = watch::channel(None);
    if flags.has(PartName::Runtime) || counts {
        let socket = simulated.map_or_else(|| flags.socket.clone(), |simulated| simulated.socket.clone());
        let options = Options {
            place: simulated.map(|simulated| simulated.place.clone()),
            socket: flags.has(PartName::Runtime).then_some(socket),
            counts,
            settings: settings.clone(),
        };
        let (state, stop) = (Arc::clone(&runtime), stop.clone());
        tasks.spawn(async move {
            containers::run(options, &found, &state, &stop).await;
            None
        });
    } else {
        off(&runtime, "switched off");
    }

    let counting = Arc::<Counting>::default();
    let recording = Arc::default();
    if counts {
        let (settings, counting, recording) = (settings.clone(), Arc::clone(&counting), Arc::clone(&recording));
        let (state, files) = (Arc::clone(&perf), Arc::clone(&files));
        let (mut containers, stop) = (containers.clone(), stop.clone());
        tasks.spawn(async move {
            // Cgroups that can't be found are the runtime part's to tell; what can be counted has ids of them.
            state.set(Health::Starting, Some("waits for the cgroups".to_owned()));
            let known = stop.run_until_cancelled(containers.wait_for(Option::is_some)).await?.ok()?.clone()?;
            Perf { settings, containers: known, counting, recording, state, files, stop }.run().await;
            None
        });
    } else {
        off(&perf, uncounted.as_deref().unwrap_or("switched off"));
        off(&files, "nothing is counted");
    }

    let usage = Arc::<Kubelet>::default();
    if flags.has(PartName::Kubelet) {
        let (way, node) = (simulated.map(|simulated| simulated.way.clone()), node.clone());
        let (usage, state) = (Arc::clone(&usage), Arc::clone(&kubelet));
        let (settings, stop) = (settings.clone(), stop.clone());
        tasks.spawn(async move {
            usage.run(settings, way, &node, &state, stop).await;
            None
        });
    } else {
        off(&kubelet, "switched off");
    }

    let watched = Watched {
        simulated: simulated.is_some(),
        node: node.into(),
        since: Instant::now(),
        parts: vec![lease, runtime, perf, files, kubelet],
        configuration,
        containers,
        counting,
        recording,
        kubelet: usage,
    };
    (watched, tasks)
}

/// Waits for the parts; what they say in the end.
async fn ended(mut parts: JoinSet<Option<String>>) -> Vec<String> {
    let mut words = Vec::new();
    let ending = async {
        while let Some(part) = parts.join_next().await {
            match part {
                Ok(word) => words.extend(word),
                Err(error) => tracing::error!("a part ended badly: {error}"),
            }
        }
    };
    if tokio::time::timeout(END, ending).await.is_err() {
        tracing::error!("not all parts ended within {END:?}");
    }
    words
}

fn announce(url: &str, watched: &Watched) {
    println!("serving at {url}");
    println!("watching node {}", watched.node);
    if watched.simulated {
        eprintln!("Open {url} in a browser. This is a node of a SIMULATED cluster.");
        for part in watched.parts().iter().filter(|part| part.health == Health::Absent) {
            eprintln!("{}: {}", part.name, part.reason.as_deref().unwrap_or_default());
        }
    } else {
        eprintln!("Open {url} in a browser.");
    }
}
