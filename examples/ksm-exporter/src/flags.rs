//! The command line: kube-state-metrics' flags, and what we add to them.

use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Parser};
use example_host::cluster::ClusterFlags;
use example_host::server::Timeouts;
use jiff::SignedDuration;
use ksm_core::options::{FilterFlags, ScopeFlags};

const EXAMPLES: &str = "\
Examples:
  ksm-exporter --kubeconfig ~/.kube/config --resources pods,nodes
  ksm-exporter --host :: --enable-gzip-encoding --metric-denylist '_created$'
  ksm-exporter --sim --sim-pods 10000

The log level is set by RUST_LOG (debug, info, warn, ksm_core=debug).";

/// A drop-in for kube-state-metrics: metrics about the state of Kubernetes objects.
///
/// Flags and their defaults are those of kube-state-metrics, but for --host and --telemetry-host: it listens on
/// loopback unless told otherwise.
#[derive(Debug, Parser)]
#[command(name = "ksm-exporter", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
    #[command(flatten)]
    pub(crate) filter: FilterFlags,
    #[command(flatten)]
    pub(crate) scopes: ScopeFlags,
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
    /// Keep compressed parts that did not change since the last scrape: less CPU, more memory
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
        value_name = "BOOL", action = ArgAction::Set, help_heading = "Serving", overrides_with = "gzip_cache")]
    pub(crate) gzip_cache: bool,
    /// Scrapes that are answered at a time; more get a 503
    #[arg(long, default_value_t = 16, value_name = "NUMBER", help_heading = "Serving",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_concurrent_scrapes: u16,
    /// How long a whole request may take to come in
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION", help_heading = "Serving")]
    server_read_timeout: Duration,
    /// How long an answer may take
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION", help_heading = "Serving")]
    server_write_timeout: Duration,
    /// How long a connection may be idle
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION", help_heading = "Serving")]
    server_idle_timeout: Duration,
    /// How long a request's headers may take to come in
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "DURATION", help_heading = "Serving")]
    server_read_header_timeout: Duration,
}

impl Flags {
    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            // No request that is answered has more than a head.
            read_header: self.server_read_header_timeout.min(self.server_read_timeout),
            write: self.server_write_timeout,
            idle: self.server_idle_timeout,
        }
    }
}

/// A duration as Go writes it: `60s`, `1m30s`, `1.5h`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    match parsed {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a duration is a positive time like 500ms, 60s or 1m30s".to_owned()),
    }
}

/// Flags of kube-state-metrics that are not here, and what to do instead. Prefixes end with `*`.
const MISSING: &[(&str, &str)] = &[
    ("shard", "sharding is not supported: run one instance, or split by --resources or --namespaces"),
    ("total-shards", "sharding is not supported: run one instance, or split by --resources or --namespaces"),
    ("pod", "sharding is not supported: leave it out"),
    ("pod-namespace", "sharding is not supported: leave it out"),
    ("object-limit", "lists are never cut: leave it out, memory at start is bounded without it"),
    ("custom-resource-state-*", "metrics of custom resources are made by code: see ksm_core::ResourceBuilder"),
    ("continue-without-*", "there is no such configuration file: leave it out"),
    ("config", "options are flags: give them on the command line"),
    ("tls-config", "put a proxy before it for TLS"),
    ("auth-filter", "put a proxy before it for authorization"),
    ("auto-gomemlimit*", "it is about Go's memory: leave it out"),
    ("add_dir_header", LOGGING),
    ("alsologto*", LOGGING),
    ("legacy_stderr_*", LOGGING),
    ("log_*", LOGGING),
    ("logtostderr", LOGGING),
    ("one_output", LOGGING),
    ("skip_*", LOGGING),
    ("stderrthreshold", LOGGING),
    ("v", LOGGING),
    ("vmodule", LOGGING),
];

const LOGGING: &str = "logging is set by RUST_LOG, as RUST_LOG=debug";

/// The command line; ends the program where it is wrong.
pub(crate) fn parse() -> Flags {
    Flags::try_parse().unwrap_or_else(|error| {
        if let Some((flag, instead)) = missing(&error) {
            eprintln!("ksm-exporter: {flag} of kube-state-metrics is not supported: {instead}");
            std::process::exit(2);
        }
        error.exit()
    })
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
        for flag in ["--shard=1", "--custom-resource-state-only", "--log_file=x", "--auto-gomemlimit-ratio=0.5", "-v=2"]
        {
            assert!(told(flag).is_some_and(|named| flag.starts_with(&named)), "{flag}: {:?}", told(flag));
        }
        assert_eq!(told("--resourcs=pods"), None);
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_mins(90)));
        assert!(duration("0s").is_err() && duration("-1s").is_err() && duration("soon").is_err());
    }

    #[test]
    fn booleans_take_a_value_or_none_and_repeated_flags_the_last() {
        let parse = |flags: &[&str]| Flags::try_parse_from([&["ksm-exporter"], flags].concat()).unwrap();
        assert!(parse(&["--enable-gzip-encoding"]).enable_gzip_encoding);
        assert!(!parse(&["--enable-gzip-encoding=false"]).enable_gzip_encoding);
        assert!(parse(&["--use-apiserver-cache=true"]).scopes.use_apiserver_cache);
        assert_eq!(parse(&["--port", "1", "--port=2"]).port, 2);
        let lists = parse(&["--metric-labels-allowlist=pods=[a]", "--metric-labels-allowlist=nodes=[b]"]);
        assert_eq!(lists.filter.metric_labels_allowlist.as_deref(), Some("nodes=[b]"));
        assert_eq!(parse(&["--resources=pods", "--resources=nodes"]).filter.resources, ["pods", "nodes"]);
    }
}
