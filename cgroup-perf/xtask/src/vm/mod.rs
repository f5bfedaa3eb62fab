//! `cargo xtask vm-test`: the crate in emulated machines whose processors have counters.
//!
//! QEMU's Arm processors have a PMU. With `-icount` its figures are known: each instruction takes four nanoseconds of the
//! machine's time, and a cycle is one nanosecond. Misses of a cache are not emulated.

mod boot;
mod fetch;
mod guest;
mod judge;
#[path = "../../../vm-guest/src/report.rs"]
mod report;
mod tools;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use self::{boot::Machine, judge::Finding, tools::Tools};

/// Lines of the console that are shown where a machine fails.
const TAIL: usize = 40;

const EXAMPLES: &str = "\
Examples:
    cargo xtask vm-test                  both kernels
    cargo xtask vm-test --kernel 6.1     one of them
    cargo xtask vm-test --verbose        every figure

It ends with 0 where all is as it should be, with 1 where a figure is wrong, and with 77 where a \
tool or a package is missing. Kernels, the guest and its console are kept in target/vm; once they are \
there, it needs no network.";

/// Boots machines with the crate in them, and checks its figures against the emulator's.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The kernel of a machine, of those that Debian has; more than one with several such options
    #[arg(long = "kernel", value_name = "VERSION", default_values = ["6.1", "6.12"])]
    kernels: Vec<String>,
    /// How many seconds a machine may take
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Prints every figure, not only those of what is wrong
    #[arg(long)]
    verbose: bool,
}

/// What a machine came to.
#[derive(Debug)]
struct Outcome {
    kernel: String,
    took: Duration,
    findings: Result<Vec<Finding>>,
    console: PathBuf,
}

/// Runs it. `None` where something is missing, which was said.
pub(crate) fn run(crate_directory: &Path, arguments: &Arguments) -> Result<Option<ExitCode>> {
    let kernels = arguments.kernels.iter().map(|version| fetch::Version::parse(version)).collect::<Result<Vec<_>>>()?;
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(error) => return Ok(missing(&error)),
    };
    let directory = crate_directory.join("../target/vm");
    fs::create_dir_all(&directory)?;
    let directory = directory.canonicalize()?;
    // Another run of it has the same files: until it ends.
    let lock = File::create(directory.join("lock"))?;
    lock.lock().context("target/vm/lock cannot be locked")?;
    let store = fetch::Store::new(&directory);
    let fetched = store.library(&tools).and_then(|library| {
        let images = kernels.iter().map(|version| store.kernel(*version)).collect::<Result<Vec<_>>>()?;
        Ok((library, images))
    });
    let (library, images) = match fetched {
        Ok(fetched) => fetched,
        Err(error) => return Ok(missing(&error)),
    };
    let began = Instant::now();
    let guest = guest::build(crate_directory, &directory, &tools, &library)?;
    let initrd = directory.join("initrd");
    guest::pack(&guest, &initrd)?;
    println!("the guest was built in {} s", began.elapsed().as_secs());

    let timeout = Duration::from_secs(arguments.timeout);
    // Each emulates its processors on one of the host's.
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> = kernels
            .iter()
            .zip(&images)
            .map(|(version, image)| {
                let machine = Machine { image, initrd: &initrd, timeout };
                let console = directory.join(format!("console-{version}.log"));
                scope.spawn(move || one(*version, &machine, console))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut good = true;
    for outcome in &outcomes {
        good &= tell(outcome, arguments.verbose);
    }
    if !good {
        eprintln!("not all is as it should be");
    }
    Ok(Some(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

fn missing(error: &anyhow::Error) -> Option<ExitCode> {
    eprintln!("no machine is booted: {error:#}");
    None
}

fn one(version: fetch::Version, machine: &Machine<'_>, console: PathBuf) -> Outcome {
    let began = Instant::now();
    let findings = machine.boot(&console).and_then(|()| {
        let text = fs::read(&console).with_context(|| format!("{}", console.display()))?;
        let lines = judge::parse(&String::from_utf8_lossy(&text))?;
        Ok(judge::judge(version, &lines))
    });
    Outcome { kernel: version.to_string(), took: began.elapsed(), findings, console }
}

/// Prints what a machine came to, and says whether all of it is good.
fn tell(outcome: &Outcome, verbose: bool) -> bool {
    println!("Linux {}, {} s", outcome.kernel, outcome.took.as_secs());
    let good = match &outcome.findings {
        Ok(findings) => {
            for finding in findings {
                let word = if finding.wrong.is_empty() { "ok" } else { "WRONG" };
                println!("  {word:5} {}: {}", finding.what, finding.figures);
                for wrong in &finding.wrong {
                    println!("        {wrong}");
                }
                if verbose || !finding.wrong.is_empty() {
                    println!("        {}", finding.line);
                }
            }
            findings.iter().all(|finding| finding.wrong.is_empty())
        }
        Err(error) => {
            println!("  WRONG {error:#}");
            false
        }
    };
    if !good {
        let text = fs::read(&outcome.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains(report::MARK)).collect();
        println!("  the end of {}, without its figures:", outcome.console.display());
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
            println!("  | {line}");
        }
    }
    good
}
