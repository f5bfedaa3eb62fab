//! The command line, which takes flags as kubernetes-event-exporter does too: `-conf FILE` with one dash.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use example_host::checkpoint::Place;
use example_host::cluster::ClusterFlags;
use example_host::flags::with_environment;
use jiff::SignedDuration;
use kube_events::config::{LogFormat, LogLevel};

const EXAMPLES: &str = "\
Examples:
  event-exporter --sim                                a simulated cluster: open the page that it names
  event-exporter -conf config.yaml --check            what it would do, and all that is wrong
  event-exporter -conf config.yaml                    your cluster, by your kubeconfig or inside a pod
  event-exporter -conf config.yaml --checkpoint configmap:monitoring/event-exporter
  event-exporter --sim | jq -r '[.reason, .involvedObject.name] | @tsv'

Exit status:
  0  it was asked to end (Ctrl-C, SIGTERM) and has ended; with --check: the configuration can be used
  1  it could not start, or its pipeline has ended by itself
  2  the command line or the configuration is wrong; standard error says all that is

Each flag can be given by the environment too: --checkpoint as EVENT_EXPORTER_CHECKPOINT. RUST_LOG goes before
--log-level, and that before the configuration's logLevel. Flags may have one dash (-conf, -metrics-address).";

/// Sends the events of a cluster, with the objects that they are about, where a configuration says.
///
/// It takes the configuration file of kubernetes-event-exporter.
#[derive(Debug, Parser)]
#[command(name = "event-exporter", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// The configuration file [default: config.yaml; in a simulated cluster without one: all events to standard output]
    #[arg(long, alias = "conf", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Say what the configuration does and all that is wrong with it, and end; no cluster is needed
    #[arg(long)]
    pub(crate) check: bool,
    /// Warn of what kubernetes-event-exporter lets pass (unknown keys, patterns that are none, variables that are not
    /// set), instead of refusing it
    #[arg(long)]
    pub(crate) lenient: bool,
    /// How much is logged, instead of the configuration's logLevel
    #[arg(long, value_enum)]
    pub(crate) log_level: Option<Level>,
    /// How it is logged, instead of the configuration's logFormat
    #[arg(long, value_enum)]
    pub(crate) log_format: Option<Format>,
    #[command(flatten)]
    pub(crate) delivery: DeliveryFlags,
    #[command(flatten)]
    pub(crate) serving: ServingFlags,
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
}

/// How events are kept and passed on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Delivery")]
pub(crate) struct DeliveryFlags {
    /// Where the position is kept, so that a restart misses nothing: file:PATH, configmap:NAME, configmap:NAMESPACE/NAME
    #[arg(long, value_name = "PLACE")]
    pub(crate) checkpoint: Option<Place>,
    /// What is under way may take so long at the end
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub(crate) drain: Duration,
    /// Owners that are followed up from an object, for `rich` receivers: a read for each
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=10))]
    pub(crate) owners: u8,
    /// The namespace of the election's Lease and of a checkpoint that names none [default: the pod's, else `default`]
    #[arg(long, value_name = "NAME", env = "K8S_NAMESPACE")]
    pub(crate) own_namespace: Option<String>,
    /// The name in the election: no other candidate may have it [default: the host's name and a random end]
    #[arg(long, value_name = "NAME", env = "K8S_POD_NAME")]
    pub(crate) pod_name: Option<String>,
}

/// What is served.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServingFlags {
    /// Where to serve: HOST:PORT, or :PORT for all addresses [default: 127.0.0.1:2112, or any port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_address: Option<Address>,
    /// A web configuration, as Prometheus' exporters have it: TLS, client certificates, passwords
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_tls_config: Option<PathBuf>,
    /// Serve metrics and health only: whoever reaches the page reads what events tell
    #[arg(long)]
    pub(crate) no_page: bool,
    /// Events that the page remembers
    #[arg(long, value_name = "NUMBER", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) page_events: u16,
}

/// `logLevel`'s names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Disabled,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
            Level::Disabled => Self::Off,
        }
    }
}

/// `logFormat`'s names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Pretty,
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Pretty => Self::Pretty,
            Format::Json => Self::Json,
        }
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address: write HOST:PORT (127.0.0.1:2112, [::1]:2112), or :PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.contains(':') != host.starts_with('[') {
            return Err(wrong());
        }
        // What Go takes an empty host for.
        let host = if bare.is_empty() { "::" } else { bare };
        Ok(Self { host: host.to_owned(), port })
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    parsed.filter(|duration| *duration <= Duration::from_hours(1)).ok_or("a duration is written as 10s or 1m, up to 1h")
}

/// Flags of one dash as Go's programs take them: `-conf=x` is `--conf=x`. What is no flag of ours stays.
fn with_two_dashes(command: &clap::Command, args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let known = |name: &str| {
        let mut args = command.get_arguments();
        let builtin = ["help", "version"].contains(&name);
        builtin
            || args.any(|arg| {
                arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
            })
    };
    let one_dash = |arg: &OsString| {
        let text = arg.to_str()?.strip_prefix('-')?;
        let name = text.split_once('=').map_or(text, |(name, _)| name);
        known(name).then(|| OsString::from(format!("--{text}")))
    };
    args.into_iter().map(|arg| one_dash(&arg).unwrap_or(arg)).collect()
}

/// The command line and the environment; ends the program where they are wrong.
pub(crate) fn parse() -> Flags {
    let command = with_environment(Flags::command(), "EVENT_EXPORTER", &["check"]);
    let args = with_two_dashes(&command, std::env::args_os());
    let matches = command.get_matches_from(args);
    Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Result<Flags, clap::Error> {
        let args = ["event-exporter"].iter().chain(args).map(OsString::from);
        Flags::try_parse_from(with_two_dashes(&Flags::command(), args))
    }

    #[test]
    fn flags_of_one_dash_are_taken() {
        let given = flags(&["-conf", "a.yaml", "-metrics-address=:9000", "-log-level", "debug"]).unwrap();
        assert_eq!(given.config, Some("a.yaml".into()));
        assert_eq!(given.serving.metrics_address, Some(Address { host: "::".to_owned(), port: 9000 }));
        assert_eq!(given.log_level, Some(Level::Debug));
        assert_eq!(flags(&["--config=b.yaml"]).unwrap().config, Some("b.yaml".into()));
        assert!(flags(&["-confx", "a"]).is_err());
    }

    #[test]
    fn addresses_are_read_as_in_go() {
        let address = |text: &str| text.parse().map(|Address { host, port }| format!("{host} {port}"));
        assert_eq!(address(":2112").as_deref(), Ok(":: 2112"));
        assert_eq!(address("127.0.0.1:0").as_deref(), Ok("127.0.0.1 0"));
        assert_eq!(address("[::1]:1").as_deref(), Ok("::1 1"));
        for wrong in ["2112", "::1:2112", "a:b", "a:70000", "", "[1.2.3.4]:5"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
