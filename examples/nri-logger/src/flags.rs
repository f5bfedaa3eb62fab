//! The command line.

use std::path::PathBuf;

use clap::Parser;
use nri_plugin::api::EventMask;

const EXAMPLES: &str = "\
Examples:
  nri-logger                                   the runtime of this machine, as root; without one, a simulated one
  nri-logger --sim --sim-rate 5                a simulated runtime that makes pods
  nri-logger --events runpodsandbox,container  some events only
  nri-logger --json | jq .container.name       each event as a line of JSON
  nri-logger --socket /run/other.sock --wait   connects once there is a runtime

As /opt/nri/plugins/90-nri-logger it is started by the runtime. Its standard output is nowhere then; its configuration is
/etc/nri/conf.d/nri-logger.conf, YAML, with `events` and `output`, a file to append to.
The log level is set by RUST_LOG.";

/// Prints what a container runtime tells its plugins: pods and containers as they come and go.
///
/// It is a plugin of the Node Resource Interface of containerd (2.0 and later by default) and CRI-O, and changes nothing.
#[derive(Debug, Parser)]
#[command(name = "nri-logger", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// The runtime's socket [default: /var/run/nri/nri.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// The plugin's index: the order in which plugins are called [default: 90]
    #[arg(long, value_name = "NN")]
    pub(crate) index: Option<String>,
    /// The plugin's name [default: nri-logger]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Events to print: names, or all, pod, container, with commas between them
    #[arg(long, value_name = "EVENTS", default_value = "all")]
    pub(crate) events: EventMask,
    /// Each event as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Wait for a runtime where there is none, and for its return, however long that takes; otherwise for ten seconds
    #[arg(long)]
    pub(crate) wait: bool,
    /// Listen to a simulated runtime
    #[arg(long, conflicts_with_all = ["socket", "wait"])]
    pub(crate) sim: bool,
    /// Pods that the simulated runtime makes per second
    #[arg(long, value_name = "RATE", default_value_t = 1.0, value_parser = rate)]
    pub(crate) sim_rate: f64,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 10_000.0);
    rate.ok_or_else(|| "give a number of pods per second above 0, and 10000 at most".to_owned())
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
