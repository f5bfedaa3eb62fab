//! The first and only program of an emulated machine: it counts by `cgroup-perf`, and prints what it measured.
//! `cargo xtask vm-test` builds it, boots it, and judges its report.

mod cgroups;
mod checks;
mod machine;
mod report;
mod watch;
mod work;

use std::process::ExitCode;

use anyhow::{Context, Result};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, job)) if first == "work" => work::main(job),
        _ if std::process::id() == 1 => {
            let result = init();
            if let Err(error) = &result {
                println!("the machine comes to nothing: {error:#}");
            }
            machine::power_off();
            result
        }
        _ => Err(anyhow::anyhow!("it is the first program of a machine: run `cargo xtask vm-test`")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn init() -> Result<()> {
    machine::mount_all()?;
    let messages = checks::Messages::default();
    let writer = messages.clone();
    tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone()).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("there is no runtime")?;
    runtime.block_on(checks::run(&messages));
    Ok(())
}
