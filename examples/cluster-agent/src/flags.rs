//! The command line. Each flag can be given by the environment too: `--sim-pods` as `CLUSTER_AGENT_SIM_PODS`.

use clap::{CommandFactory, FromArgMatches, Parser};
use example_host::cluster::ClusterFlags;
use example_host::flags::with_environment;
use ksm_core::options::{FilterFlags, ScopeFlags};

use crate::nodes::NodeFlags;

/// The port where none is named; one that is taken is no reason to end then.
pub(crate) const DEFAULT_PORT: u16 = 8080;

const EXAMPLES: &str = "\
Examples:
  cluster-agent                                   your cluster; a simulated one if there is none
  cluster-agent --sim --sim-pods 20000 --sim-churn 200
  cluster-agent --resources pods,nodes --namespaces web,shop --port 9000
  cluster-agent --node-metadata-pods --node-metadata-labels host_type,cloud_availability_zone
  cluster-agent --print-rbac | kubectl apply -f -

Each flag can be given by the environment too: --sim-pods as CLUSTER_AGENT_SIM_PODS.
The log level is set by RUST_LOG (debug, info, warn, ksm_core=debug).";

/// The state of a cluster as metrics, and a page to look at.
///
/// Watches the cluster of your kubeconfig or, inside a pod, its own; where there is neither, it simulates one.
#[derive(Debug, Parser)]
#[command(name = "cluster-agent", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
    #[command(flatten)]
    pub(crate) filter: FilterFlags,
    #[command(flatten)]
    pub(crate) scopes: ScopeFlags,
    #[command(flatten)]
    pub(crate) nodes: NodeFlags,
    /// Where to serve; `::` for all addresses
    #[arg(long, default_value = "127.0.0.1", help_heading = "Serving")]
    pub(crate) host: String,
    /// The port to serve at; 0: any that is free [default: 8080, or any that is free]
    #[arg(long, help_heading = "Serving")]
    pub(crate) port: Option<u16>,
    /// Print the permissions that the agent needs, as YAML, and end
    #[arg(long)]
    pub(crate) print_rbac: bool,
}

/// The command line and the environment; ends the program where they are wrong.
pub(crate) fn parse() -> Flags {
    let matches = command().get_matches();
    Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn command() -> clap::Command {
    with_environment(Flags::command(), "CLUSTER_AGENT", &["print-rbac"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_variables_are_sound() {
        let command = command();
        let name = |long: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(long)).unwrap();
            arg.get_env().map(|name| name.to_str().unwrap().to_owned())
        };
        assert_eq!(name("sim-pods").unwrap(), "CLUSTER_AGENT_SIM_PODS");
        assert_eq!(name("metric-labels-allowlist").unwrap(), "CLUSTER_AGENT_METRIC_LABELS_ALLOWLIST");
        assert_eq!(name("print-rbac"), None);
        command.debug_assert();
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
