//! Lists the containers of this machine, and their cgroups.

mod flags;
mod host;
mod list;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use crossterm::{cursor, queue, terminal};
use example_host::{exit, log_to_stderr_by_default, runtime, stop};
use nri_plugin::Connector;
use nri_plugin::index::ContainerIndex;
use tokio::time::{interval, timeout};

use crate::flags::Flags;
use crate::host::Host;
use crate::list::Listing;

const NAME: &str = "nri-top";

fn main() -> ExitCode {
    let flags = flags::parse();
    log_to_stderr_by_default("error");
    exit::code(NAME, run_to_end(&flags))
}

fn run_to_end(flags: &Flags) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(flags))
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    let host = Host::of(flags).await?;
    let index = ContainerIndex::builder(host.cgroups.clone()).build();
    let endpoint = host.endpoint.clone();
    let connector = endpoint.map(|endpoint| runtime::connect(&index, NAME, endpoint)).transpose()?;
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

async fn show(flags: &Flags, index: &ContainerIndex, connector: Option<&Connector>, host: &Host) -> anyhow::Result<()> {
    let stopped = stop::on_signal()?;
    let mut turns = interval(flags.interval());
    let tidying = index.run();
    tokio::pin!(tidying);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            () = stopped.cancelled() => return Ok(()),
            () = &mut tidying => {}
        }
        // What the runtime does not tell, and all that there is without one.
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
