//! The command line. What a pod knows of itself comes by the downward API; each other flag can be given by the
//! environment too: `--on-stop` as `LEASE_WRITER_ON_STOP`.

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use example_host::cluster::ClusterFlags;
use example_host::flags::with_environment;
use example_host::metadata::{Choice, SourceKind};
use jiff::SignedDuration;
use node_lease::source::aws::Imds;
use node_lease::{Contract, ContractError, OnStop, Owner};

/// The port where none is named; one that is taken is no reason to end then.
pub(crate) const DEFAULT_PORT: u16 = 8080;

const EXAMPLES: &str = "\
Examples:
  lease-writer --sim                              a node of a simulated cluster, with its metadata service
  lease-writer --node-name \"$NODE\" --source node  your cluster, what the Node object tells
  lease-writer                                    in a DaemonSet: K8S_NODE_NAME, K8S_NAMESPACE, K8S_POD_NAME
  lease-writer --lease-prefix acme-node- --annotation-prefix acme.example/

Each flag can be given by the environment too: --on-stop as LEASE_WRITER_ON_STOP.
The log level is set by RUST_LOG (debug, info, warn, node_lease=debug).";

/// Keeps a node's cloud metadata in a Lease.
///
/// It asks the metadata service of the machine that it runs on, and writes what that tells into a Lease of the node, from
/// which cluster-agent and the CloudWatch agent read it. To be run on each node.
#[derive(Debug, Parser)]
#[command(name = "lease-writer", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// The node that it runs on; in a simulated cluster any, the first one without it
    #[arg(long, value_name = "NAME", env = "K8S_NODE_NAME")]
    pub(crate) node_name: Option<String>,
    /// The namespace of the Leases
    #[arg(long, value_name = "NAME", env = "K8S_NAMESPACE", default_value = "amazon-cloudwatch")]
    pub(crate) namespace: String,
    /// Who holds the Lease: tells it apart from the pod that replaces it [default: the host's name]
    #[arg(long, value_name = "NAME", env = "K8S_POD_NAME")]
    pub(crate) pod_name: Option<String>,
    #[command(flatten)]
    pub(crate) source: SourceFlags,
    #[command(flatten)]
    pub(crate) lease: LeaseFlags,
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
    /// Where to serve; `::` for all addresses
    #[arg(long, default_value = "127.0.0.1", help_heading = "Serving")]
    pub(crate) host: String,
    /// The port to serve at; 0: any that is free [default: 8080, or any that is free]
    #[arg(long, help_heading = "Serving")]
    pub(crate) port: Option<u16>,
}

/// Where the metadata come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Metadata")]
pub(crate) struct SourceFlags {
    /// What tells the metadata
    #[arg(long, value_enum, default_value_t = SourceKind::Auto)]
    pub(crate) source: SourceKind,
    /// The metadata service's URL, instead of the cloud's usual one
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub(crate) imds_endpoint: Option<String>,
    /// Go on without a token where EC2's service gives none (IMDSv1)
    #[arg(long)]
    pub(crate) v1_fallback: bool,
}

impl SourceFlags {
    pub(crate) fn choice(&self, simulated: bool) -> Choice<'_> {
        let endpoint = self.imds_endpoint.as_deref();
        Choice { kind: self.source, endpoint, v1_fallback: self.v1_fallback, simulated }
    }
}

/// What the Lease is like.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Lease")]
pub(crate) struct LeaseFlags {
    /// Who owns the Lease, so that it goes with them; the Node's uid is looked up
    #[arg(long, value_enum, default_value_t = OwnedBy::Node)]
    owner: OwnedBy,
    /// What becomes of the Lease at the end
    #[arg(long, value_enum, default_value_t = AtEnd::Delete)]
    on_stop: AtEnd,
    /// What Leases' names begin with; readers must know it
    #[arg(long, value_name = "PREFIX", default_value = "cwagent-node-metadata-")]
    lease_prefix: String,
    /// What annotations begin with; readers must know it
    #[arg(long, value_name = "PREFIX", default_value = "cwagent.amazonaws.com/")]
    annotation_prefix: String,
    /// How long the Lease is good for without a renewal
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2h")]
    lease_duration: Duration,
    /// How often it is renewed, and the metadata asked for
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1h")]
    renew_interval: Duration,
    /// The longest wait before the first request, so that nodes that start together part [default: 30s; none in a
    /// simulated cluster]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    start_jitter: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OwnedBy {
    /// The Node
    Node,
    /// Nobody: the Lease of a node that is gone stays until it is over
    None,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AtEnd {
    /// It is deleted, unless the pod that replaces this one has taken it over
    Delete,
    /// It stays until it is over
    Keep,
}

impl LeaseFlags {
    pub(crate) fn contract(&self) -> Result<Contract, ContractError> {
        Contract::new(&*self.lease_prefix, &*self.annotation_prefix)?.times(self.lease_duration, self.renew_interval)
    }

    pub(crate) fn owner(&self) -> Owner {
        match self.owner {
            OwnedBy::Node => Owner::Node,
            OwnedBy::None => Owner::None,
        }
    }

    pub(crate) fn on_stop(&self) -> OnStop {
        match self.on_stop {
            AtEnd::Delete => OnStop::Delete,
            AtEnd::Keep => OnStop::Keep,
        }
    }

    pub(crate) fn start_jitter(&self, simulated: bool) -> Duration {
        self.start_jitter.unwrap_or(if simulated { Duration::ZERO } else { Duration::from_secs(30) })
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    parsed.and_then(|duration| duration.try_into().ok()).ok_or("a duration is written as 90s, 30m or 1h 30m")
}

fn endpoint(text: &str) -> Result<String, String> {
    // All clouds' services are plain HTTP.
    Imds::at(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// The command line and the environment; ends the program where they are wrong.
pub(crate) fn parse() -> Flags {
    let mut command = with_environment(Flags::command(), "LEASE_WRITER", &[]);
    let matches = command.get_matches_mut();
    let flags = Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if flags.node_name.is_none() && !flags.cluster.wants_sim() {
        let told = "which node is this? Give --node-name, or K8S_NODE_NAME by the downward API (spec.nodeName); --sim \
                    has nodes of its own";
        command.error(ErrorKind::MissingRequiredArgument, told).exit();
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from([&["lease-writer"], flags].concat())
    }

    #[test]
    fn without_flags_it_is_the_cloudwatch_agents_contract() {
        let flags = parsed(&[]).unwrap();
        assert_eq!(flags.lease.contract().unwrap(), Contract::cloudwatch());
        assert_eq!((flags.lease.owner(), flags.lease.on_stop()), (Owner::Node, OnStop::Delete));
        let jitter = |simulated| flags.lease.start_jitter(simulated).as_secs();
        assert_eq!((jitter(false), jitter(true)), (30, 0));
        with_environment(Flags::command(), "LEASE_WRITER", &[]).debug_assert();
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_right() {
        let told = |flags: &[&str]| parsed(flags).unwrap_err().to_string();
        assert!(told(&["--imds-endpoint", "localhost"]).contains("must be"));
        assert!(told(&["--renew-interval", "soon"]).contains("written as 90s"));
        assert!(told(&["--renew-interval=-1h"]).contains("written as 90s"));
        assert!(told(&["--source", "gcp"]).contains("'gce'"));
        let times = parsed(&["--lease-duration", "30m"]).unwrap().lease.contract().unwrap_err();
        assert!(times.to_string().contains("longer than the interval"), "{times}");
    }
}
