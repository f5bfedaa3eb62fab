//! The command line. What a pod knows of itself comes by the downward API; each other flag can be given by the
//! environment (`--on-stop` as `NODE_AGENT_ON_STOP`) and by the configuration file, too.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use cgroup_perf::events::Event;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use example_host::cluster::ClusterFlags;
use example_host::config::{Entry, Given};
use example_host::flags::with_environment;
use example_host::metadata::SourceKind;
use jiff::SignedDuration;
use node_lease::source::aws::Imds;
use node_lease::{Contract, ContractError, OnStop};

use crate::file::KEYS;

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
    /// How long the Lease is good for without a renewal
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2h", help_heading = "Lease")]
    lease_duration: Duration,
    /// How often it is renewed, and the metadata asked for
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1h", help_heading = "Lease")]
    renew_interval: Duration,
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
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true",
          action = clap::ArgAction::Set, value_name = "BOOL", hide_default_value = true, help_heading = "Kubelet")]
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

    /// What the agent and the readers of Leases agree on.
    pub(crate) fn contract(&self) -> Result<Contract, ContractError> {
        Contract::cloudwatch().times(self.lease_duration, self.renew_interval)
    }

    /// What the kernel's programs and the files are started by: with another, they are started anew.
    pub(crate) fn counts(&self) -> impl PartialEq + '_ {
        let files = self.parquet.as_ref().map(|directory| (directory, self.slot, self.file_size, self.file_age));
        (&self.counters, files)
    }

    /// What the kubelet is asked by.
    pub(crate) fn asks(&self) -> impl PartialEq + '_ {
        let way = (&self.kubelet_address, self.kubelet_port, &self.kubelet_ca, &self.kubelet_token_file);
        (way, self.kubelet_insecure, self.kubelet_interval)
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

/// Where flags come from: the command line and the environment once, the file as often as it changes.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) given: Given,
    /// The file.
    pub(crate) config: Option<PathBuf>,
}

impl Source {
    /// Reads command line and environment; ends the program where they are wrong.
    pub(crate) fn read() -> Self {
        Self::try_of(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
    }

    fn try_of(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let command = with_environment(Flags::command(), "NODE_AGENT", &["check"]);
        let config = Flags::from_arg_matches(&command.clone().try_get_matches_from(&arguments)?)?.config;
        Ok(Self { given: Given::read(command, arguments)?, config })
    }

    #[cfg(test)]
    pub(crate) fn of(flags: &[&str]) -> Self {
        Self::try_of([&["node-agent"], flags].concat().into_iter().map(OsString::from).collect()).unwrap()
    }

    /// All flags as they hold now, and what the file has; a line for each fault.
    pub(crate) fn all(&self) -> Result<(Flags, Vec<Entry>), Vec<String>> {
        let (entries, mut problems) = self.config.as_deref().map(|path| KEYS.read(path)).unwrap_or_default();
        match self.flags(&entries) {
            Ok(flags) if problems.is_empty() => Ok((flags, entries)),
            outcome => {
                problems.extend(outcome.err().into_iter().flatten());
                Err(problems)
            }
        }
    }

    /// All flags, with what a file has.
    pub(crate) fn flags(&self, file: &[Entry]) -> Result<Flags, Vec<String>> {
        let matches = self.given.with(file)?;
        let flags = Flags::from_arg_matches(&matches).map_err(|error| vec![error.to_string()])?;
        let mut problems = Vec::new();
        let needs_name = flags.has(PartName::Lease) || flags.has(PartName::Kubelet);
        if flags.node_name.is_none() && needs_name && !flags.cluster.wants_sim() {
            let told = "which node is this? Give --node-name, or K8S_NODE_NAME by the downward API (spec.nodeName); \
                        --parts runtime,perf needs none, and --sim has nodes of its own";
            problems.push(told.to_owned());
        }
        if let Err(error) = flags.contract() {
            let of_file = file.iter().find(|entry| ["lease.duration", "lease.renewInterval"].contains(&entry.key));
            let place = of_file.map(|entry| format!("{}: {}: ", entry.place, entry.key)).unwrap_or_default();
            problems.push(format!("{place}{error}"));
        }
        if problems.is_empty() { Ok(flags) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &[&str], file: &str) -> Result<Flags, Vec<String>> {
        Source::of(&[flags, &["--node-name", "n1"]].concat()).flags(&KEYS.parse(file, "a.yaml")?)
    }

    #[test]
    fn the_command_line_is_sound_and_writes_no_files_unless_asked() {
        with_environment(Flags::command(), "NODE_AGENT", &["check"]).debug_assert();
        let flags = parsed(&[], "").unwrap();
        assert_eq!((flags.parts.len(), flags.parquet.clone(), flags.host.as_str()), (4, None, "127.0.0.1"));
        assert!(!flags.kubelet_insecure && parsed(&["--kubelet-insecure"], "").unwrap().kubelet_insecure);
    }

    #[test]
    fn a_flag_comes_before_the_file_and_that_before_the_default() {
        let file = "parts: [lease, kubelet]\nkubelet: {interval: 10s, insecure: true}\nserving: {port: 1}";
        let flags = parsed(&["--port", "2"], file).unwrap();
        assert_eq!(flags.parts, [PartName::Lease, PartName::Kubelet]);
        assert_eq!((flags.kubelet_interval.as_secs(), flags.kubelet_insecure, flags.port), (10, true, Some(2)));
    }

    #[test]
    fn what_is_wrong_on_the_command_line_is_told_with_what_is_right() {
        let told = |flags: &[&str]| {
            let arguments = [&["node-agent"], flags].concat().into_iter().map(OsString::from).collect();
            Source::try_of(arguments).unwrap_err().to_string()
        };
        assert!(told(&["--slot", "10s"]).contains("100us to 1s"));
        assert!(told(&["--kubelet-interval", "soon"]).contains("written as 90s"));
        assert!(told(&["--imds-endpoint", "localhost"]).contains("must be"));
        assert!(told(&["--parts", "perv"]).contains("'perf'"));
    }

    #[test]
    fn what_is_wrong_in_the_file_is_told_at_once_with_its_places() {
        let file = "containers:\n  interval: never\nkubelet: {port: high}\nparts: [perv]\n";
        let told = parsed(&[], file).unwrap_err();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("a.yaml:2:13: containers.interval: invalid value 'never'"), "{told:?}");
        assert!(told[1].starts_with("a.yaml:3:17: kubelet.port: "), "{told:?}");
        assert!(told[2].starts_with("a.yaml:4:8: parts: invalid value 'perv'"), "{told:?}");
        let times = parsed(&[], "lease:\n  renewInterval: 3h\n").unwrap_err();
        assert!(times[0].starts_with("a.yaml:2:18: lease.renewInterval: "), "{times:?}");
        assert!(Source::of(&[]).flags(&[]).unwrap_err()[0].contains("which node is this?"));
    }
}
