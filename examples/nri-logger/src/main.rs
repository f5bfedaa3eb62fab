//! Prints what a container runtime tells its plugins.

mod flags;
mod line;
mod plugin;
mod simulated;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nri_plugin::launch::{Endpoint, Launch, LaunchError, Options};
use nri_plugin::{AttemptError, Connector, ConnectorError, Session};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tracing_subscriber::EnvFilter;

use crate::flags::Flags;
use crate::plugin::Logger;
use crate::simulated::Simulated;

/// Other plugins come first, so that what they did to a container is seen.
const INDEX: &str = "90";
const NAME: &str = "nri-logger";

fn main() -> ExitCode {
    let flags = flags::parse();
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(std::io::stderr).init();
    match run_to_end(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error:#}");
            if error.is::<LaunchError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run_to_end(flags: Flags) -> anyhow::Result<()> {
    // One thread: runtimes call plugins one after another.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(flags))
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let mut launch = launch(&flags)?;
    let simulated = if flags.sim { Some(Simulated::start(flags.sim_rate).await?) } else { None };
    if let Some(simulated) = &simulated {
        launch.endpoint = Endpoint::Socket(simulated.socket());
        eprintln!("This is a SIMULATED runtime, with {} new pods per second.", flags.sim_rate);
    }
    let logger = Arc::new(Logger::new(flags.json));
    let unread = logger.unread();
    let session = Session::builder(launch.identity, logger).events(flags.events);
    let mut builder = Connector::builder(session);
    if !flags.wait {
        builder = builder.give_up_after(Duration::ZERO);
    }
    let connector = builder.spawn(launch.endpoint);
    // Until it has joined, what is wrong is worth an end; later the runtime may restart.
    let joined = connector.joined().await;
    if let Ok((runtime, events)) = &joined {
        eprintln!("joined {} {}: {events}", runtime.name, runtime.version);
    }
    let outcome = match joined {
        Err(error) => Err(error),
        Ok(_) => until_the_end(&connector, &unread).await,
    };
    if let Some(simulated) = simulated {
        simulated.shutdown().await;
    }
    outcome.map_err(|error| explained(error, flags.socket.is_none()))
}

fn launch(flags: &Flags) -> Result<Launch, LaunchError> {
    let environment = nri_plugin::launch::Environment::of_process();
    // A runtime that launches the plugin knows its name better.
    let launched = environment.socket.is_some();
    let own = |flag: &Option<String>, default: &str| flag.clone().or_else(|| (!launched).then(|| default.to_owned()));
    let options =
        Options { name: own(&flags.name, NAME), index: own(&flags.index, INDEX), socket: flags.socket.clone() };
    Launch::resolve(&options, &environment)
}

async fn until_the_end(connector: &Connector, unread: &Notify) -> Result<(), ConnectorError> {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return connector.ended().await.map(drop);
    };
    tokio::select! {
        outcome = connector.ended() => match outcome {
            // It was not to wait for another one.
            Err(ConnectorError::GaveUp { last: AttemptError::Closed, .. }) => Ok(()),
            outcome => outcome.map(drop),
        },
        () = unread.notified() => connector.shutdown().await.map(drop),
        _ = interrupt.recv() => connector.shutdown().await.map(drop),
        _ = terminate.recv() => connector.shutdown().await.map(drop),
    }
}

/// What a user can do about it.
fn explained(error: ConnectorError, default_socket: bool) -> anyhow::Error {
    let error = anyhow::Error::from(error);
    if default_socket {
        error.context(
            "no runtime to listen to: give --socket PATH, --wait for one to come, or --sim for a simulated one \
             (containerd before 2.0 has NRI off: `disable = false` in its configuration)",
        )
    } else {
        error
    }
}
