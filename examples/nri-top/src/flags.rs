//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  nri-top                          the containers of this machine, as root; where there are none, a simulated one's
  nri-top --sim                    a simulated machine
  nri-top --once --json | jq .     once, for a program
  nri-top --no-nri                 by the names of cgroups alone: no pods' names
  nri-top --socket /run/other.sock

The log level is set by RUST_LOG.";

/// Lists the containers of this machine: pod, container, process, cgroup.
///
/// It asks the runtime by the Node Resource Interface (containerd 2.0 and later by default, CRI-O), and looks at the
/// cgroup tree. Without a runtime it lists what the names of cgroups tell.
#[derive(Debug, Parser)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[command(name = "nri-top", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// The runtime's socket
    #[arg(long, value_name = "PATH", default_value = nri_plugin::launch::DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,
    /// List once, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// One line of JSON for each listing
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds between two listings
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    interval: f64,
    /// Do not ask a runtime
    #[arg(long)]
    pub(crate) no_nri: bool,
    /// List a simulated runtime's containers
    #[arg(long, conflicts_with_all = ["socket", "no_nri"])]
    pub(crate) sim: bool,
}

impl Flags {
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval)
    }

    /// How long a runtime is waited for before the first listing.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(if self.once { 5 } else { 1 })
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
