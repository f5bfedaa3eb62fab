//! What we cost beside our peers, under the same conditions, in the same run: tables, and plots of how cost grows.
//!
//! Each program is a process of its own, and only that process is measured; the simulated API server is another one.

mod args;
mod cgroups;
mod cluster;
mod events;
mod growth;
mod plot;
mod program;
mod report;
mod run;
mod state;
mod table;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Args, Role};
use crate::report::Report;
use crate::run::{Plan, Progress};

/// As shells say it.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.role {
        Some(Role::Exec(args)) => program::exec(args).map(|never| match never {}),
        Some(Role::Load(args)) => cgroups::groups::load(args).map(|()| ExitCode::SUCCESS),
        Some(Role::Sim(args)) => within_runtime(cluster::serve(args)).map(|()| ExitCode::SUCCESS),
        None => match Plan::new(&args) {
            Ok(plan) => within_runtime(compare(&args, &plan)),
            Err(error) => {
                eprintln!("compare: {error:#}");
                Ok(ExitCode::from(2))
            }
        },
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("compare: {error:#}");
        ExitCode::FAILURE
    })
}

fn within_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}

async fn compare(args: &Args, plan: &Plan) -> Result<ExitCode> {
    // What can't be written is known before anything is measured.
    std::fs::create_dir_all(&args.out).with_context(|| format!("{} can't be made", args.out.display()))?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let progress = Progress::new()?;
    let mut report = Report { conditions: plan.conditions(), ..Report::default() };
    // What is dropped ends all that it has started.
    let status = tokio::select! {
        run = plan.run(&mut report, &progress) => run.map(|()| None)?,
        _ = interrupt.recv() => Some(INTERRUPTED),
        _ = terminate.recv() => Some(TERMINATED),
    };
    progress.finish();
    report.conditions.look_at_the_machine(progress.took());
    report.sort();
    report.write(&args.out)?;
    println!("{}", report.markdown());
    eprintln!("written to {}", args.out.display());
    Ok(match status {
        Some(status) => ExitCode::from(status),
        None if report.failures.is_empty() => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}
