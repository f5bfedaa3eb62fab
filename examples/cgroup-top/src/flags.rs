//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use cgroup_perf::events::Event;
use clap::Parser;

use crate::columns::Sort;

const EXAMPLES: &str = "\
Examples:
  cgroup-top                                      as root: what runs now, on a terminal
  cgroup-top --tree --sort cpu                    slices and pods with what is below them
  cgroup-top --once                               one interval, as a table
  cgroup-top --once --json | jq '.rows[0]'        the same, for a program
  cgroup-top --counters cycles,instructions,r412e other counters

The log level is set by RUST_LOG.";

/// Which containers and cgroups use the processors: cycles, CPI, cache misses, cpu time, switches.
///
/// Needs CAP_BPF and CAP_PERFMON (or root), and Linux 5.15 or later. Containers have their names from the runtime by the
/// Node Resource Interface, where its socket is there, and their ids from the names of their cgroups elsewhere.
#[derive(Debug, Parser)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[command(name = "cgroup-top", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// Wait one interval, print, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Print JSON; with --once
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// What is counted, up to eight, by commas. Default: cycles, instructions, llc-misses, or what the kernel has
    /// itself where the processor's counters can't be had
    #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
    pub(crate) counters: Vec<Event>,
    /// What comes first. Default: cycles, or cpu where they are not counted
    #[arg(long, value_enum)]
    pub(crate) sort: Option<Sort>,
    /// Only what has this in its name or path
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) filter: String,
    /// The tree of cgroups, each with all below it
    #[arg(long)]
    pub(crate) tree: bool,
    /// Also what did nothing
    #[arg(long)]
    pub(crate) all: bool,
    /// The runtime's socket
    #[arg(long, value_name = "PATH", default_value = nri_plugin::launch::DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,
    /// Do not ask a runtime
    #[arg(long)]
    pub(crate) no_nri: bool,
}

impl Flags {
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "give seconds from 0.1 to 3600".to_owned())
}

pub(crate) fn parse() -> Flags {
    Flags::parse()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Flags::command().debug_assert();
    }
}
