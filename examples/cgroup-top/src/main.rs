//! Which containers and cgroups use the processors, on a terminal.

mod app;
mod columns;
mod flags;
mod probe;
mod rows;
mod snapshot;
mod statement;
mod text;
mod ui;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use crossterm::event::{self, Event};
use example_host::{exit, log_to_stderr_by_default, stop};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::app::App;
use crate::columns::Sort;
use crate::flags::Flags;
use crate::probe::Probe;
use crate::rows::Choice;

const NAME: &str = "cgroup-top";
/// When the first figures are shown, where the interval is longer.
const FIRST: Duration = Duration::from_millis(400);

fn main() -> ExitCode {
    let flags = flags::parse();
    log_to_stderr_by_default("error");
    exit::code(NAME, run_to_end(&flags))
}

fn run_to_end(flags: &Flags) -> anyhow::Result<()> {
    let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if !flags.once && !is_terminal {
        bail!("this is no terminal: use --once, or --once --json");
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(flags))
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    let mut probe = Probe::start(flags).await?;
    let sort = flags.sort.unwrap_or_else(|| Sort::best(&probe.counted));
    let outcome = if sort.is_counted(&probe.counted) {
        let choice = Choice { sort, tree: flags.tree, all: flags.all, filter: flags.filter.clone() };
        let mut app = App::new(probe.counted.clone(), choice);
        if flags.once { once(flags, &mut probe, &mut app).await } else { show(flags, &mut probe, &mut app).await }
    } else {
        Err(anyhow::anyhow!("{} is not counted here ({}): sort by cpu", sort.as_str(), probe.capabilities()))
    };
    probe.shutdown().await;
    outcome
}

async fn once(flags: &Flags, probe: &mut Probe, app: &mut App) -> anyhow::Result<()> {
    app.take(probe.snapshot()?);
    sleep(flags.interval()).await;
    app.take(probe.snapshot()?);
    app.notes = probe.notes();
    let mut out = io::stdout().lock();
    if flags.json {
        let seconds = app.seconds.unwrap_or_default();
        writeln!(out, "{}", text::json(&app.rows, &app.counted, probe.capabilities(), &app.notes, seconds))?;
    } else {
        writeln!(out, "{}", statement::statement(probe.capabilities()))?;
        for note in &app.notes {
            writeln!(out, "{note}")?;
        }
        writeln!(out, "\n{}", text::table(&app.rows, &app.counted))?;
    }
    out.flush()?;
    Ok(())
}

async fn show(flags: &Flags, probe: &mut Probe, app: &mut App) -> anyhow::Result<()> {
    let statement = statement::statement(probe.capabilities());
    let stopped = stop::on_signal()?;
    let mut terminal = ratatui::try_init().context("the terminal can't be drawn on")?;
    let mut keys = keys();
    app.take(probe.snapshot()?);
    let first = Instant::now() + FIRST.min(flags.interval());
    let mut turns = interval_at(first, flags.interval());
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let outcome = loop {
        if let Err(error) = terminal.draw(|frame| ui::draw(frame, app, &statement)) {
            break Err(error.into());
        }
        tokio::select! {
            _ = turns.tick() => match probe.snapshot() {
                Ok(snapshot) => {
                    app.take(snapshot);
                    app.notes = probe.notes();
                }
                Err(error) => break Err(error),
            },
            event = keys.recv() => match event {
                Some(Ok(Event::Key(key))) if !app.key(key) => break Ok(()),
                // Drawn anew, also at another size.
                Some(Ok(_)) => {}
                Some(Err(error)) => break Err(error.into()),
                None => break Ok(()),
            },
            () = stopped.cancelled() => break Ok(()),
        }
    };
    ratatui::restore();
    outcome
}

/// What comes from the keyboard, read on a thread that ends with the process.
fn keys() -> mpsc::UnboundedReceiver<io::Result<Event>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        loop {
            let event = event::read();
            let failed = event.is_err();
            if sender.send(event).is_err() || failed {
                return;
            }
        }
    });
    receiver
}
