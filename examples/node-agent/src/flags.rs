//! The command line. What a pod knows of itself comes by the downward API; each other flag can be given by the
//! environment (`--on-stop` as `NODE_AGENT_ON_STOP`) and by the configuration file, too.

use std::path::PathBuf;
use std::time::Duration;

use cgroup_perf::events::Event;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use example_host::cluster::ClusterFlags;
use example_host::flags::with_environment;
use example_host::metadata::SourceKind;
use jiff::SignedDuration;
use node_lease::OnStop;
use node_lease::source::aws::Imds;

use crate::file;

/// The port where none is named; one that is taken is no reason to end then.
pub(crate) const DEFAULT_PORT: u16 = 9101;

const EXAMPLES: &str = "\
Examples:
  node-agent --sim                          a node of a simulated cluster, in this process
  node-agent                                in a DaemonSet: K8S_NODE_NAME, K8S_NAMESPACE, K8S_POD_NAME, K8S_NODE_IP
  node-agent --node-name \"$NODE\" --parts runtime,perf        containers alone: no API server is asked
  node-agent --node-name \"$NODE\" --parquet samples           each millisecond of each container, into files
  node-agent --config node-agent.yaml --check                is the file right?
  curl -H 'Accept: application/openmetrics-text' localhost:9101/metrics

Exit status:
  0  it was asked to end, or the configuration is right (--check)
  1  it can't serve
  2  the command line or the configuration file is wrong

What a part of it lacks is no reason to end: the page, /-/ready and the log say so, and it is tried again.
Each flag can be given by the environment too: --parts as NODE_AGENT_PARTS. A flag comes before the environment, and
that before the file. The log level is set by RUST_LOG.";

/// Serves what the containers of a node are and do.
///
/// It keeps the node's cloud metadata in a Lease, has the container runtime tell which containers there are, counts by
/// cgroup in the kernel, and asks the node's kubelet. Each part works without the others. To be run on each node.
#[derive(Debug, Clone, Parser)]
#[command(name = "node-agent", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// A configuration file; see node-agent.yaml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Check the command line, the environment and the file, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// What it does, by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS", default_value = "lease,runtime,perf,kubelet")]
    pub(crate) parts: Vec<PartName>,
    /// The node that it runs on; in a simulated cluster any, the first one without it
    #[arg(long, value_name = "NAME", env = "K8S_NODE_NAME")]
    pub(crate) node_name: Option<String>,
    /// The namespace of the Leases
    #[arg(
        long,
        value_name = "NAME",
        env = "K8S_NAMESPACE",
        default_value = "amazon-cloudwatch",
        help_heading = "Lease"
    )]
    pub(crate) namespace: String,
    /// Who holds the Lease: tells it apart from the pod that replaces it [default: the host's name]
    #[arg(long, value_name = "NAME", env = "K8S_POD_NAME", help_heading = "Lease")]
    pub(crate) pod_name: Option<String>,
    /// What tells the node's metadata
    #[arg(long, value_enum, default_value_t = SourceKind::Auto, help_heading = "Lease")]
    pub(crate) source: SourceKind,
    /// The metadata service's URL, instead of the cloud's usual one
    #[arg(long, value_name = "URL", value_parser = endpoint, help_heading = "Lease")]
    pub(crate) imds_endpoint: Option<String>,
    /// What becomes of the Lease at the end
    #[arg(long, value_enum, default_value_t = AtEnd::Delete, help_heading = "Lease")]
    on_stop: AtEnd,
    /// The longest wait before the first request, so that nodes that start together part [default: 30s; none in a
    /// simulated cluster]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Lease")]
    start_jitter: Option<Duration>,
    /// The runtime's socket
    #[arg(long, value_name = "PATH", default_value = nri_plugin::launch::DEFAULT_SOCKET, help_heading = "Containers")]
    pub(crate) socket: PathBuf,
    /// What is counted, up to eight, by commas. Default: cycles, instructions, llc-misses, or what the kernel has
    /// itself where the processor's counters can't be had
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', help_heading = "Containers")]
    pub(crate) counters: Vec<Event>,
    /// How often counters are read for metrics
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "5s", help_heading = "Containers")]
    pub(crate) interval: Duration,
    /// Write each slot of each container into Parquet files in this directory
    #[arg(long, value_name = "DIRECTORY", help_heading = "Parquet")]
    pub(crate) parquet: Option<PathBuf>,
    /// The length of a slot in files, from 100us to 1s
    #[arg(long, value_name = "DURATION", value_parser = slot, default_value = "1ms", help_heading = "Parquet")]
    pub(crate) slot: Duration,
    /// The size of a file in MiB, about
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=65_536),
          help_heading = "Parquet")]
    pub(crate) file_size: u64,
    /// The age of a file
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "15m", help_heading = "Parquet")]
    pub(crate) file_age: Duration,
    /// The kubelet's address [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", env = "K8S_NODE_IP", help_heading = "Kubelet")]
    pub(crate) kubelet_address: Option<String>,
    /// The kubelet's port
    #[arg(long, value_name = "PORT", default_value_t = 10250, help_heading = "Kubelet")]
    pub(crate) kubelet_port: u16,
    /// How often the kubelet is asked
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "30s", help_heading = "Kubelet")]
    pub(crate) kubelet_interval: Duration,
    /// A file of the authorities that signed the kubelet's certificate [default: the service account's ca.crt]
    #[arg(long, value_name = "FILE", help_heading = "Kubelet")]
    pub(crate) kubelet_ca: Option<PathBuf>,
    /// Trust whoever answers at the kubelet's port, and give them the token
    #[arg(long, help_heading = "Kubelet")]
    pub(crate) kubelet_insecure: bool,
    /// A file of the token for the kubelet [default: the service account's]
    #[arg(long, value_name = "FILE", help_heading = "Kubelet")]
    pub(crate) kubelet_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
    /// Where to serve; `::` for all addresses
    #[arg(long, default_value = "127.0.0.1", help_heading = "Serving")]
    pub(crate) host: String,
    /// The port to serve at; 0: any that is free [default: 9101, or any that is free]
    #[arg(long, help_heading = "Serving")]
    pub(crate) port: Option<u16>,
}

/// What the agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartName {
    /// The node's metadata, as a Lease
    Lease,
    /// Containers, as the runtime tells them
    Runtime,
    /// Counters by cgroup
    Perf,
    /// Usage, as the kubelet tells it
    Kubelet,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AtEnd {
    /// It is deleted, unless the pod that replaces this one has taken it over
    Delete,
    /// It stays until it is over
    Keep,
}

impl Flags {
    pub(crate) fn has(&self, part: PartName) -> bool {
        self.parts.contains(&part)
    }

    pub(crate) fn on_stop(&self) -> OnStop {
        match self.on_stop {
            AtEnd::Delete => OnStop::Delete,
            AtEnd::Keep => OnStop::Keep,
        }
    }

    pub(crate) fn start_jitter(&self) -> Duration {
        self.start_jitter.unwrap_or(if self.cluster.wants_sim() { Duration::ZERO } else { Duration::from_secs(30) })
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    parsed.and_then(|duration| duration.try_into().ok()).ok_or("a duration is written as 90s, 30m or 1h 30m")
}

fn interval(text: &str) -> Result<Duration, &'static str> {
    let range = Duration::from_secs(1)..=Duration::from_hours(24);
    duration(text).and_then(|duration| range.contains(&duration).then_some(duration).ok_or("give 1s to 24h"))
}

fn slot(text: &str) -> Result<Duration, &'static str> {
    let range = Duration::from_micros(100)..=Duration::from_secs(1);
    duration(text).and_then(|duration| range.contains(&duration).then_some(duration).ok_or("give 100us to 1s"))
}

fn endpoint(text: &str) -> Result<String, String> {
    // All clouds' services are plain HTTP.
    Imds::at(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// The command line, the environment and the file; ends the program where they are wrong.
pub(crate) fn parse() -> Flags {
    let mut command = with_environment(Flags::command(), "NODE_AGENT", &["check"]);
    let first = command.clone().get_matches();
    if let Some(path) = first.get_one::<PathBuf>("config") {
        match file::read(path) {
            Ok(values) => command = with_file(command, values),
            Err(problem) => command.error(ErrorKind::ValueValidation, problem).exit(),
        }
    }
    let matches = command.get_matches_mut();
    let flags = Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let needs_name = flags.has(PartName::Lease) || flags.has(PartName::Kubelet);
    if flags.node_name.is_none() && needs_name && !flags.cluster.wants_sim() {
        let told = "which node is this? Give --node-name, or K8S_NODE_NAME by the downward API (spec.nodeName); \
                    --parts runtime,perf needs none, and --sim has nodes of its own";
        command.error(ErrorKind::MissingRequiredArgument, told).exit();
    }
    flags
}

/// What the file says counts where neither a flag nor the environment says something.
fn with_file(command: clap::Command, values: Vec<(&'static str, String)>) -> clap::Command {
    values.into_iter().fold(command, |command, (flag, value)| {
        command.mut_arg(flag.replace('-', "_"), |arg| arg.default_value(clap::builder::OsStr::from(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &[&str], file: &str) -> Result<Flags, clap::Error> {
        let values = file::parse(file).unwrap();
        let matches = with_file(Flags::command(), values).try_get_matches_from([&["node-agent"], flags].concat())?;
        Flags::from_arg_matches(&matches)
    }

    #[test]
    fn the_command_line_is_sound_and_writes_no_files_unless_asked() {
        with_environment(Flags::command(), "NODE_AGENT", &["check"]).debug_assert();
        let flags = parsed(&[], "").unwrap();
        assert_eq!((flags.parts.len(), flags.parquet.clone(), flags.host.as_str()), (4, None, "127.0.0.1"));
    }

    #[test]
    fn a_flag_comes_before_the_file_and_that_before_the_default() {
        let file = "parts: [lease, kubelet]\nkubelet: {interval: 10s, insecure: true}\nserving: {port: 1}";
        let flags = parsed(&["--port", "2"], file).unwrap();
        assert_eq!(flags.parts, [PartName::Lease, PartName::Kubelet]);
        assert_eq!((flags.kubelet_interval.as_secs(), flags.kubelet_insecure, flags.port), (10, true, Some(2)));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_right() {
        let told = |flags: &[&str], file| parsed(flags, file).unwrap_err().to_string();
        assert!(told(&["--slot", "10s"], "").contains("100us to 1s"));
        assert!(told(&["--kubelet-interval", "soon"], "").contains("written as 90s"));
        assert!(told(&["--imds-endpoint", "localhost"], "").contains("must be"));
        assert!(told(&["--parts", "perv"], "").contains("'perf'"));
        assert!(told(&[], "containers: {interval: never}").contains("--interval"));
    }
}
