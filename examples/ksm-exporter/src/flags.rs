//! The command line: kube-state-metrics' flags, and what we add to them.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser};
use example_host::cluster::ClusterFlags;
use ksm_core::options::{FilterFlags, ScopeFlags, ShardFlags, duration};

const EXAMPLES: &str = "\
Examples:
  ksm-exporter --kubeconfig ~/.kube/config --resources pods,nodes
  ksm-exporter --host :: --enable-gzip-encoding --metric-denylist '_created$'
  ksm-exporter --config options.yaml --tls-config web.yaml --auth-filter
  ksm-exporter --custom-resource-state-config-file crs.yaml --custom-resource-state-only
  ksm-exporter --shard 0 --total-shards 3
  ksm-exporter --sim --sim-pods 10000

The file of --config holds the same options in snake case, as `metric_denylist: [_created$]`; where both say something,
the file wins, as in kube-state-metrics. Changes to it, and to the files that options name, are taken up at once.

The log level is set by RUST_LOG (debug, info, warn, ksm_core=debug), or by -v.";

/// A drop-in for kube-state-metrics: metrics about the state of Kubernetes objects.
///
/// Flags and their defaults are those of kube-state-metrics, but for --host and --telemetry-host: it listens on
/// loopback unless told otherwise.
#[derive(Debug, Clone, Parser)]
#[command(name = "ksm-exporter", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
    #[command(flatten)]
    pub(crate) filter: FilterFlags,
    #[command(flatten)]
    pub(crate) scopes: ScopeFlags,
    #[command(flatten)]
    pub(crate) shards: ShardFlags,
    /// The most objects of a resource that a list takes in, and says so where there are more; 0: all
    #[arg(
        long,
        default_value_t = 0,
        value_name = "NUMBER",
        help_heading = "What is watched",
        overrides_with = "object_limit"
    )]
    pub(crate) object_limit: u64,
    #[command(flatten)]
    pub(crate) serving: ServingFlags,
    #[command(flatten)]
    pub(crate) pushing: PushFlags,
    #[command(flatten)]
    pub(crate) custom: CustomResourceFlags,
    #[command(flatten)]
    pub(crate) config: ConfigFlags,
    /// How much to log: 0 warnings, 1 to 3 what it does, 4 and 5 details, more for everything; RUST_LOG wins
    #[arg(short = 'v', long = "v", value_name = "LEVEL", overrides_with = "verbosity")]
    pub(crate) verbosity: Option<u8>,
}

/// Metrics of custom resources.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Custom resources")]
pub(crate) struct CustomResourceFlags {
    /// CustomResourceStateMetrics, as YAML in one argument; joins what the file says
    #[arg(long, value_name = "YAML", overrides_with = "custom_resource_state_config")]
    pub(crate) custom_resource_state_config: Option<String>,
    /// The file of CustomResourceStateMetrics; watched while it runs
    #[arg(long, value_name = "FILE", overrides_with = "custom_resource_state_config_file")]
    pub(crate) custom_resource_state_config_file: Option<String>,
    /// Show custom resources alone, whatever --resources says
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        value_name = "BOOL", action = ArgAction::Set, overrides_with = "custom_resource_state_only")]
    pub(crate) custom_resource_state_only: bool,
    /// Start without that file where it is not there; taken up when it comes
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        value_name = "BOOL", action = ArgAction::Set,
        overrides_with = "continue_without_custom_resource_state_config_file")]
    pub(crate) continue_without_custom_resource_state_config_file: bool,
}

/// The options file.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options file")]
pub(crate) struct ConfigFlags {
    /// A file of options, as YAML; watched while it runs
    #[arg(long, value_name = "FILE", overrides_with = "config")]
    pub(crate) config: Option<PathBuf>,
    /// Start without the file of --config where it is not there; taken up when it comes
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        value_name = "BOOL", action = ArgAction::Set, overrides_with = "continue_without_config")]
    pub(crate) continue_without_config: bool,
}

/// Whether metrics are pushed, too.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PushFlags {
    /// Push all metrics to an OpenTelemetry collector, too: to OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318), by
    /// the other OTEL_EXPORTER_OTLP_* variables
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        value_name = "BOOL", action = ArgAction::Set, help_heading = "Pushing", overrides_with = "otlp")]
    pub(crate) otlp: bool,
    /// The time between two pushes to the collector
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION", help_heading = "Pushing",
        overrides_with = "otlp_interval")]
    pub(crate) otlp_interval: Duration,
}

/// How metrics are served.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServingFlags {
    /// Where to serve the cluster's metrics; `::` for all addresses, as kube-state-metrics does
    #[arg(long, default_value = "127.0.0.1", help_heading = "Serving", overrides_with = "host")]
    pub(crate) host: String,
    /// The port of the cluster's metrics; 0: any that is free
    #[arg(long, default_value_t = 8080, help_heading = "Serving", overrides_with = "port")]
    pub(crate) port: u16,
    /// Where to serve metrics about the program itself
    #[arg(long, default_value = "127.0.0.1", help_heading = "Serving", overrides_with = "telemetry_host")]
    pub(crate) telemetry_host: String,
    /// The port of the metrics about the program itself; 0: any that is free
    #[arg(long, default_value_t = 8081, help_heading = "Serving", overrides_with = "telemetry_port")]
    pub(crate) telemetry_port: u16,
    /// Compress answers where the client accepts it
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        value_name = "BOOL", action = ArgAction::Set, help_heading = "Serving",
        overrides_with = "enable_gzip_encoding")]
    pub(crate) enable_gzip_encoding: bool,
    /// Compress answers by zstd where the client prefers it, or takes it as well as gzip
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        value_name = "BOOL", action = ArgAction::Set, help_heading = "Serving",
        overrides_with = "enable_zstd_encoding")]
    pub(crate) enable_zstd_encoding: bool,
    /// Keep compressed parts that did not change since the last scrape: less CPU, more memory
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        value_name = "BOOL", action = ArgAction::Set, help_heading = "Serving", overrides_with = "gzip_cache")]
    pub(crate) gzip_cache: bool,
    /// Scrapes that are answered at a time; more get a 503
    #[arg(long, default_value_t = 16, value_name = "NUMBER", help_heading = "Serving",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_concurrent_scrapes: u16,
    /// A web configuration, as Prometheus' exporters have it: TLS, client certificates, passwords; watched
    #[arg(long, value_name = "FILE", help_heading = "Serving", overrides_with = "tls_config")]
    pub(crate) tls_config: Option<String>,
    /// Ask the API server who may scrape: a bearer token, and the right to get the nonResourceURL /metrics
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        value_name = "BOOL", action = ArgAction::Set, help_heading = "Serving", overrides_with = "auth_filter")]
    pub(crate) auth_filter: bool,
    /// How long a whole request may take to come in
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION", help_heading = "Serving",
        overrides_with = "server_read_timeout")]
    pub(crate) server_read_timeout: Duration,
    /// How long an answer may take
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION", help_heading = "Serving",
        overrides_with = "server_write_timeout")]
    pub(crate) server_write_timeout: Duration,
    /// How long a connection may be idle
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION", help_heading = "Serving",
        overrides_with = "server_idle_timeout")]
    pub(crate) server_idle_timeout: Duration,
    /// How long a request's headers may take to come in
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "DURATION", help_heading = "Serving",
        overrides_with = "server_read_header_timeout")]
    pub(crate) server_read_header_timeout: Duration,
}

impl Flags {
    /// What is logged where RUST_LOG does not say it; by klog's levels, which its users know.
    pub(crate) fn log_filter(&self) -> Option<&'static str> {
        Some(match self.verbosity? {
            0 => "warn,kube_client::client::builder=off",
            1..=3 => "info,kube_client::client::builder=off",
            4..=5 => "debug",
            _ => "trace",
        })
    }
}

/// Flags of kube-state-metrics that are not here, and what to do instead. Prefixes end with `*`.
const MISSING: &[(&str, &str)] = &[
    ("auto-gomemlimit*", "it is about Go's memory: leave it out"),
    ("add_dir_header", LOGGING),
    ("alsologto*", LOGGING),
    ("legacy_stderr_*", LOGGING),
    ("log_*", LOGGING),
    ("logtostderr", LOGGING),
    ("one_output", LOGGING),
    ("skip_*", LOGGING),
    ("stderrthreshold", LOGGING),
    ("vmodule", LOGGING),
];

const LOGGING: &str = "it logs to standard error, by RUST_LOG (as RUST_LOG=debug) or -v: leave it out";

/// The flags, and the names of those that were given; ends the program where they are wrong.
pub(crate) fn parse() -> (Flags, Vec<String>) {
    try_parse(std::env::args_os()).unwrap_or_else(|error| {
        if let Some((flag, instead)) = missing(&error) {
            eprintln!("ksm-exporter: {flag} of kube-state-metrics is not supported: {instead}");
            std::process::exit(2);
        }
        error.exit()
    })
}

fn try_parse<T: Into<std::ffi::OsString> + Clone>(
    arguments: impl IntoIterator<Item = T>,
) -> Result<(Flags, Vec<String>), clap::Error> {
    let matches = Flags::command().try_get_matches_from(arguments)?;
    Ok((Flags::from_arg_matches(&matches)?, given(&matches)))
}

fn given(matches: &ArgMatches) -> Vec<String> {
    let ids = matches.ids().map(clap::Id::as_str);
    let given = ids.filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
    given.map(|id| id.replace('_', "-")).collect()
}

/// The flag of kube-state-metrics that an error is about, and what to do instead.
fn missing(error: &clap::Error) -> Option<(&str, &'static str)> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = flag.trim_start_matches('-').split('=').next().unwrap_or_default();
    let matches = |known: &str| known.strip_suffix('*').map_or(known == name, |prefix| name.starts_with(prefix));
    MISSING.iter().find(|(known, _)| matches(known)).map(|(_, instead)| (flag.as_str(), *instead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_upstream_has_and_we_have_not_are_told_apart_from_typos() {
        let told = |flag: &str| {
            let error = Flags::try_parse_from(["ksm-exporter", flag]).unwrap_err();
            missing(&error).map(|(flag, _)| flag.to_owned())
        };
        for flag in ["--log_file=x", "--auto-gomemlimit-ratio=0.5", "--logtostderr=true", "--skip_headers"] {
            assert!(told(flag).is_some_and(|named| flag.starts_with(&named)), "{flag}: {:?}", told(flag));
        }
        assert_eq!(told("--resourcs=pods"), None);
    }

    #[test]
    fn booleans_take_a_value_or_none_and_repeated_flags_the_last() {
        let parse = |flags: &[&str]| Flags::try_parse_from([&["ksm-exporter"], flags].concat()).unwrap();
        assert!(parse(&["--enable-gzip-encoding"]).serving.enable_gzip_encoding);
        assert!(!parse(&["--enable-gzip-encoding=false"]).serving.enable_gzip_encoding);
        assert!(parse(&["--use-apiserver-cache=true"]).scopes.use_apiserver_cache);
        assert_eq!(parse(&["--port", "1", "--port=2"]).serving.port, 2);
        let lists = parse(&["--metric-labels-allowlist=pods=[a]", "--metric-labels-allowlist=nodes=[b]"]);
        assert_eq!(lists.filter.metric_labels_allowlist.as_deref(), Some("nodes=[b]"));
        assert_eq!(parse(&["--resources=pods", "--resources=nodes"]).filter.resources, ["pods", "nodes"]);
    }

    #[test]
    fn which_flags_were_given_is_known() {
        let (flags, given) = try_parse(["ksm-exporter", "--port=1", "--metric-labels-allowlist=pods=[a]"]).unwrap();
        let is_given = |flag: &str| given.iter().any(|given| given == flag);
        assert_eq!(flags.serving.port, 1);
        assert!(is_given("port") && is_given("metric-labels-allowlist") && !is_given("host"));
    }

    #[test]
    fn klogs_levels_set_ours() {
        let filter = |flags: &[&str]| try_parse([&["ksm-exporter"], flags].concat()).unwrap().0.log_filter();
        assert_eq!(filter(&[]), None);
        assert!(filter(&["-v", "2"]).unwrap().starts_with("info"));
        assert_eq!((filter(&["--v=4"]), filter(&["-v=10"])), (Some("debug"), Some("trace")));
        assert!(try_parse(["ksm-exporter", "--v=much"]).is_err());
    }
}
