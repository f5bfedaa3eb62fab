//! Lists the containers of this machine, and their cgroups.

mod flags;
mod host;
mod list;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crossterm::{cursor, queue, terminal};
use nri_plugin::index::ContainerIndex;
use nri_plugin::launch::Endpoint;
use nri_plugin::{Connector, Identity, Session};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{interval, timeout};
use tracing_subscriber::EnvFilter;

use crate::flags::Flags;
use crate::host::Host;
use crate::list::Listing;

const NAME: &str = "nri-top";

fn main() -> ExitCode {
    let flags = flags::parse();
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned());
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(io::stderr).init();
    match run_to_end(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that had enough, such as `head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run_to_end(flags: &Flags) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(flags))
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    let host = Host::of(flags).await?;
    let index = ContainerIndex::builder(host.cgroups.clone()).build();
    // What is there before the runtime tells, and all that there is without one.
    index.scan();
    let connector = host.endpoint.clone().map(|endpoint| connect(&index, endpoint)).transpose()?;
    if let Some(connector) = &connector {
        // A runtime that doesn't answer is said in the listing.
        let _ = timeout(flags.patience(), connector.joined()).await;
    }
    let outcome = show(flags, &index, connector.as_ref(), &host).await;
    if let Some(connector) = connector {
        let _ = connector.shutdown().await;
    }
    host.shutdown().await;
    outcome
}

/// The index keeps itself: it is a plugin.
fn connect(index: &ContainerIndex, endpoint: Endpoint) -> anyhow::Result<Connector> {
    let session = Session::builder(Identity::new("90", NAME)?, Arc::new(index.clone()));
    Ok(Connector::builder(session).spawn(endpoint))
}

async fn show(flags: &Flags, index: &ContainerIndex, connector: Option<&Connector>, host: &Host) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut turns = interval(flags.interval());
    let tidying = index.run();
    tokio::pin!(tidying);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            () = &mut tidying => {}
        }
        index.scan();
        let listing = Listing::of(index, connector, host.note.as_deref(), Instant::now(), SystemTime::now());
        let mut out = io::stdout().lock();
        if flags.json {
            writeln!(out, "{}", listing.json())?;
        } else {
            if !flags.once && out.is_terminal() {
                queue!(out, terminal::Clear(terminal::ClearType::All), cursor::MoveTo(0, 0))?;
            }
            writeln!(out, "{}", listing.text())?;
        }
        out.flush()?;
        if flags.once {
            return Ok(());
        }
    }
}
