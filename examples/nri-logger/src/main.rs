//! Prints what a container runtime tells its plugins.

mod flags;
mod line;
mod plugin;
mod simulated;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use example_host::{exit, log_to_stderr_by_default, stop};
use nri_plugin::launch::{DEFAULT_SOCKET, Endpoint, Environment, Launch, LaunchError, Options};
use nri_plugin::{AttemptError, Connector, ConnectorError, Session};
use tokio::sync::Notify;

use crate::flags::Flags;
use crate::plugin::Logger;
use crate::simulated::Simulated;

/// Other plugins come first, so that what they did to a container is seen.
const INDEX: &str = "90";
const NAME: &str = "nri-logger";
/// How long it goes on without a runtime: one that restarts takes less.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let flags = flags::parse();
    log_to_stderr_by_default("warn");
    let outcome = run_to_end(flags);
    let is_misuse = outcome.as_ref().is_err_and(anyhow::Error::is::<LaunchError>);
    let code = exit::code(NAME, outcome);
    if is_misuse { ExitCode::from(2) } else { code }
}

fn run_to_end(flags: Flags) -> anyhow::Result<()> {
    // One thread: runtimes call plugins one after another.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(flags))
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let launched = environment.socket.is_some();
    let mut launch = Launch::resolve(&options(&flags, launched), &environment)?;
    let nobody = !launched && flags.socket.is_none() && !flags.wait && !Path::new(DEFAULT_SOCKET).exists();
    let simulated = if flags.sim || nobody { Some(Simulated::start(flags.sim_rate).await?) } else { None };
    if let Some(simulated) = &simulated {
        launch.endpoint = Endpoint::Socket(simulated.socket());
        eprintln!("This is a SIMULATED runtime, which makes {} pods per second.", flags.sim_rate);
        if !flags.sim {
            eprintln!("There is none at {DEFAULT_SOCKET}: give --socket PATH, or --wait for one to come.");
        }
    }
    if let Endpoint::Socket(path) = &launch.endpoint
        && !flags.wait
        && !path.exists()
    {
        bail!("there is no socket {}: give another --socket PATH, --wait for one to come, or --sim", path.display());
    }
    let logger = Arc::new(Logger::new(flags.json));
    let unread = logger.unread();
    let session = Session::builder(launch.identity, logger).events(flags.events);
    let mut builder = Connector::builder(session);
    if !flags.wait {
        builder = builder.give_up_after(PATIENCE);
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
    outcome.map_err(|error| match error {
        ConnectorError::GaveUp { last: AttemptError::Dial(error), .. } => {
            anyhow!("no runtime to listen to: {error}; give --socket PATH, --wait for one to come, or --sim")
        }
        error => anyhow!("{error}"),
    })
}

/// What is said of the plugin. A runtime that launches it knows its name better.
fn options(flags: &Flags, launched: bool) -> Options {
    let own = |flag: &Option<String>, default: &str| flag.clone().or_else(|| (!launched).then(|| default.to_owned()));
    Options { name: own(&flags.name, NAME), index: own(&flags.index, INDEX), socket: flags.socket.clone() }
}

async fn until_the_end(connector: &Connector, unread: &Notify) -> Result<(), ConnectorError> {
    let Ok(stopped) = stop::on_signal() else {
        return connector.ended().await.map(drop);
    };
    tokio::select! {
        outcome = connector.ended() => outcome.map(drop),
        () = unread.notified() => connector.shutdown().await.map(drop),
        () = stopped.cancelled() => connector.shutdown().await.map(drop),
    }
}
