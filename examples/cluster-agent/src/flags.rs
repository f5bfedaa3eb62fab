//! The command line. Each flag can be given by the environment too: `--sim-pods` as `CLUSTER_AGENT_SIM_PODS`; and most by
//! the configuration file.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use example_host::cluster::ClusterFlags;
use example_host::config;
use example_host::flags::with_environment;
use ksm_core::options::{FilterFlags, ScopeFlags, ShardFlags};

use crate::events::EventFlags;
use crate::file::File;
use crate::nodes::NodeFlags;
use crate::usage::UsageFlags;

/// The port where none is named; one that is taken is no reason to end then.
pub(crate) const DEFAULT_PORT: u16 = 8080;

const EXAMPLES: &str = "\
Examples:
  cluster-agent                                   your cluster; a simulated one if there is none
  cluster-agent --sim --sim-pods 20000 --sim-churn 200
  cluster-agent --resources pods,nodes --namespaces web,shop --port 9000
  cluster-agent --node-metadata-pods --node-metadata-labels host_type,cloud_availability_zone
  cluster-agent --config cluster-agent.yaml --check
  cluster-agent --usage off --events off --print-rbac | kubectl apply -f -

Flags win over the environment (--sim-pods as CLUSTER_AGENT_SIM_PODS), that wins over the file of --config, and that over
the defaults. The log level is set by RUST_LOG (debug, info, warn, ksm_core=debug).";

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    #[value(alias = "true")]
    On,
    #[value(alias = "false")]
    Off,
}

impl Switch {
    pub(crate) fn is_on(self) -> bool {
        self == Self::On
    }
}

/// The state of a cluster as metrics, and a page to look at.
///
/// Watches the cluster of your kubeconfig or, inside a pod, its own; where there is neither, it simulates one.
#[derive(Debug, Clone, Parser)]
#[command(name = "cluster-agent", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// A file of options, as YAML; watched while it runs
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Check flags, environment and file, say what is wrong, and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the permissions that the agent needs, as YAML, and end
    #[arg(long)]
    pub(crate) print_rbac: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
    #[command(flatten)]
    pub(crate) filter: FilterFlags,
    #[command(flatten)]
    pub(crate) scopes: ScopeFlags,
    #[command(flatten)]
    pub(crate) shards: ShardFlags,
    #[command(flatten)]
    pub(crate) nodes: NodeFlags,
    #[command(flatten)]
    pub(crate) usage: UsageFlags,
    #[command(flatten)]
    pub(crate) events: EventFlags,
    #[command(flatten)]
    pub(crate) push: PushFlags,
    /// Where to serve; `::` for all addresses
    #[arg(long, default_value = "127.0.0.1", help_heading = "Serving")]
    pub(crate) host: String,
    /// The port to serve at; 0: any that is free [default: 8080, or any that is free]
    #[arg(long, help_heading = "Serving")]
    pub(crate) port: Option<u16>,
}

/// The flags about pushing.
#[derive(Debug, Clone, Args, PartialEq, Eq)]
#[command(next_help_heading = "Pushing")]
pub(crate) struct PushFlags {
    /// Whether all metrics are pushed to an OpenTelemetry collector, too; by the OTEL_EXPORTER_OTLP_* variables where
    /// nothing else is said
    #[arg(long = "otlp", value_enum, default_value_t = Switch::Off, id = "otlp")]
    pub(crate) wanted: Switch,
    /// The collector's URL [default: $OTEL_EXPORTER_OTLP_ENDPOINT, or http://localhost:4318]
    #[arg(long = "otlp-endpoint", value_name = "URL", id = "otlp_endpoint")]
    pub(crate) endpoint: Option<String>,
    /// The time between two pushes
    #[arg(long = "otlp-interval", value_name = "DURATION", default_value = "60s", value_parser = push_interval, id = "otlp_interval")]
    pub(crate) interval: Duration,
}

/// A duration as `500ms`, `30s`, `5m` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || "a duration is wanted, as 500ms, 30s, 5m or 1h".to_owned();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs).ok_or_else(wrong),
        "h" => number.checked_mul(3600).map(Duration::from_secs).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

fn push_interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|interval| match interval.as_secs() {
        1..=3_600 => Ok(interval),
        _ => Err("an interval is from 1s to 1h".to_owned()),
    })
}

fn command() -> clap::Command {
    with_environment(Flags::command(), "CLUSTER_AGENT", &["print-rbac", "check"])
}

/// The command line as it was given, and the environment.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) flags: config::Given,
    pub(crate) config: Option<PathBuf>,
}

impl Given {
    /// Reads both; ends the program where they are wrong.
    pub(crate) fn read() -> Self {
        Self::of(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
    }

    fn of(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let config = Flags::from_arg_matches(&command().try_get_matches_from(&arguments)?)?.config;
        Ok(Self { flags: config::Given::read(command(), arguments)?, config })
    }

    /// Nothing is given.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::of(vec!["cluster-agent".into()]).unwrap()
    }

    /// The flags that hold, with those of the file where nobody else gives them.
    pub(crate) fn with(&self, file: &File) -> Result<Flags, Vec<String>> {
        let wants_sim =
            ["sim", "sim-nodes", "sim-pods", "sim-churn", "sim-seed"].iter().any(|flag| self.flags.has(flag));
        // A simulated cluster is asked for instead of the file's.
        let entries = file.flags.iter().filter(|entry| !(wants_sim && entry.key.starts_with("cluster.")));
        let matches = self.flags.with(&entries.cloned().collect::<Vec<_>>())?;
        Flags::from_arg_matches(&matches).map_err(|error| vec![error.to_string()])
    }
}

impl Given {
    /// A message about a flag, as one about the file's key where that gave it.
    pub(crate) fn placed(&self, file: &File, message: String) -> String {
        let flag = message.strip_prefix("--").and_then(|rest| rest.split([':', ' ']).next());
        if flag.is_some_and(|flag| self.flags.has(flag)) { message } else { file.placed(message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(flags: &[&str]) -> Given {
        Given::of([&["cluster-agent"], flags].concat().into_iter().map(OsString::from).collect()).unwrap()
    }

    fn file(text: &str) -> File {
        File::parse(text, "agent.yaml").unwrap()
    }

    #[test]
    fn flags_and_variables_are_sound() {
        let command = command();
        let name = |long: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(long)).unwrap();
            arg.get_env().map(|name| name.to_str().unwrap().to_owned())
        };
        assert_eq!(name("sim-pods").unwrap(), "CLUSTER_AGENT_SIM_PODS");
        assert_eq!(name("metric-labels-allowlist").unwrap(), "CLUSTER_AGENT_METRIC_LABELS_ALLOWLIST");
        assert_eq!(name("usage").unwrap(), "CLUSTER_AGENT_USAGE");
        assert_eq!([name("print-rbac"), name("check")], [None, None]);
        command.debug_assert();
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_that_over_defaults() {
        let file = file("serve: {port: 9, host: '::'}\nusage: {enabled: false}\nscope: {namespaces: [a, b]}\n");
        let flags = given(&["--port", "7"]).with(&file).unwrap();
        assert_eq!((flags.port, flags.host.as_str()), (Some(7), "::"));
        assert_eq!((flags.usage.wanted, flags.events.wanted), (Switch::Off, Switch::On));
        assert_eq!(flags.scopes.namespaces, ["a,b"]);
        assert!(given(&["--usage=on"]).with(&file).unwrap().usage.wanted.is_on());
        assert!(given(&["--sim"]).with(&self::file("cluster: {context: c}")).unwrap().cluster.wants_sim());
    }

    #[test]
    fn wrong_values_are_told_with_their_places() {
        let text = "serve:\n  port: high\nusage:\n  interval: 1s\n  via: mail\n";
        let told = given(&[]).with(&file(text)).unwrap_err();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("agent.yaml:2:9: serve.port: invalid value 'high'"), "{told:?}");
        assert!(told[1].starts_with("agent.yaml:4:13: usage.interval: ") && told[1].contains("from 10s to 1h"));
        assert!(told[2].starts_with("agent.yaml:5:8: usage.via: invalid value 'mail'"), "{told:?}");
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in ["", "5", "s", "1d", "-1s", "99999999999999999999s", "9999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn leases_are_needed_only_for_series_that_are_there() {
        let namespace = |flags: &[&str], resources: &[&str]| {
            let flags = Flags::try_parse_from([&["cluster-agent"], flags].concat()).unwrap();
            let resources: Vec<String> = resources.iter().map(|name| (*name).to_owned()).collect();
            flags.nodes.namespace(&resources).map(str::to_owned)
        };
        assert_eq!(namespace(&[], &["nodes", "pods"]).as_deref(), Some("amazon-cloudwatch"));
        assert_eq!(namespace(&["--node-metadata-namespace=n"], &["nodes"]).as_deref(), Some("n"));
        assert_eq!(namespace(&["--node-metadata", "off"], &["nodes", "pods"]), None);
        assert_eq!(namespace(&[], &["pods"]), None);
        assert!(namespace(&["--node-metadata-pods"], &["pods"]).is_some());
        let error = Flags::try_parse_from(["cluster-agent", "--node-metadata-labels=host_id,host_ip"]).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("'host_ip'") && told.contains("cloud_availability_zone"), "{told}");
    }
}
