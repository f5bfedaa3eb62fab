//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use example_host::cluster::ClusterFlags;
use example_host::flags::with_environment;
use jiff::SignedDuration;
use kubelet_summary::{PodSelector, Scope};

const EXAMPLES: &str = "\
Examples:
  pod-usage                                    your cluster, or a simulated one where none is configured
  pod-usage -n shop -l 'app in (web,api)'      by namespace and labels
  pod-usage --owner Deployment/web --by pod    the pods of a workload
  pod-usage --node \"$NODE\" --by container --via direct --ca /etc/kubernetes/pki/ca.crt
  pod-usage --watch 30s
  pod-usage --json | jq '.rows[] | select(.memory.ofLimit > 0.9)'

Exit status:
  0  all pods in scope that are on a node have figures
  1  there is no answer: the cluster can't be asked, or no pod in scope has figures
  2  the command line is wrong
  3  some pods or nodes are missing, or stale; standard error says which
  130  it was ended by a signal before there was an answer

With --watch, which only a signal ends, the status is that of the last turn, and CPU is of the counters, once a kubelet was
asked twice. A single look has the kubelet's own figure, which is zero where another program polls the same kubelet.

Each flag can be given by the environment too: --by as POD_USAGE_BY. The log level is set by RUST_LOG.";

/// Shows what pods use of what they ask for and may take, as their kubelets say it.
#[derive(Debug, Parser)]
#[command(name = "pod-usage", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// Pods in this namespace; can be repeated [default: all]
    #[arg(short, long, value_name = "NAME")]
    namespace: Vec<String>,
    /// Pods with these labels, as kubectl has it: app in (a,b),!canary,tier!=x
    #[arg(short = 'l', long, value_name = "LABELS", default_value = "", hide_default_value = true)]
    selector: PodSelector,
    /// Pods that this controls, as Deployment/web
    #[arg(long, value_name = "KIND/NAME", value_parser = owner)]
    owner: Option<(String, String)>,
    /// Pods on this node; can be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// Show pods that are over, too
    #[arg(long)]
    finished: bool,
    /// What a row is of
    #[arg(long, value_enum, default_value_t = By::Workload)]
    pub(crate) by: By,
    /// Again and again, this often
    #[arg(long, value_name = "DURATION", value_parser = duration, num_args = 0..=1, default_missing_value = "15s")]
    pub(crate) watch: Option<Duration>,
    /// JSON instead of a table, one line each time
    #[arg(long)]
    pub(crate) json: bool,
    /// Prometheus' text format instead of a table
    #[arg(long, conflicts_with_all = ["json", "watch", "by"])]
    pub(crate) prometheus: bool,
    /// The longest time for the lists of pods and nodes, and again for the kubelets
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "20s")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) way: WayFlags,
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
}

/// What a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// The pods of a Deployment, StatefulSet, … together
    Workload,
    /// A pod
    Pod,
    /// A container of a pod
    Container,
}

/// How kubelets are asked.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kubelets")]
pub(crate) struct WayFlags {
    /// By which way
    #[arg(long, value_enum, default_value_t = Via::Proxy)]
    pub(crate) via: Via,
    /// Directly: the authority of the kubelets' certificates, in PEM [default: the service account's]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Directly: trust whoever answers, and send it the token
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Directly: the file of the token [default: the service account's]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// By which way kubelets are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// Through the API server: needs `get` on nodes/proxy
    Proxy,
    /// At the kubelet's own port: needs `get` on nodes/stats, and a way to the nodes
    Direct,
}

impl Flags {
    pub(crate) fn scope(&self) -> Scope {
        let scope = self.namespace.iter().fold(Scope::all(), Scope::namespace);
        let scope = self.node.iter().fold(scope, Scope::node).selector(self.selector.clone());
        let scope = if self.finished { scope.with_finished() } else { scope };
        match &self.owner {
            Some((kind, name)) => scope.owner(kind, name),
            None => scope,
        }
    }

    /// The namespaces to watch; none are all.
    pub(crate) fn namespaces(&self) -> &[String] {
        &self.namespace
    }
}

fn owner(text: &str) -> Result<(String, String), &'static str> {
    let parts = text.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty() && !name.contains('/'));
    let (kind, name) = parts.ok_or("an owner is written as KIND/NAME: Deployment/web")?;
    Ok((kind.to_owned(), name.to_owned()))
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    parsed.filter(|duration| !duration.is_zero()).ok_or("a duration is written as 90s, 30m or 1h 30m")
}

/// The command line and the environment; ends the program where they are wrong.
pub(crate) fn parse() -> Flags {
    let mut command = with_environment(Flags::command(), "POD_USAGE", &["watch"]);
    let matches = command.get_matches_mut();
    let flags = Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let way = &flags.way;
    if way.via == Via::Proxy && (way.ca.is_some() || way.insecure || way.token_file.is_some()) {
        let told = "--ca, --insecure and --token-file are for kubelets that are asked directly: add --via direct";
        command.error(clap::error::ErrorKind::ArgumentConflict, told).exit();
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_which_pods() {
        let flags = |flags: &[&str]| Flags::try_parse_from([&["pod-usage"], flags].concat()).unwrap();
        let scope = |given: &[&str]| flags(given).scope().to_string();
        assert_eq!(scope(&[]), "all pods");
        assert_eq!(
            scope(&["-n", "a", "-n", "b", "-l", "app in (x),!y", "--owner", "Deployment/web", "--node", "n"]),
            "Deployment web, namespace a or b, node n, app in (x),!y"
        );
        assert_eq!(flags(&["--watch"]).watch, Some(Duration::from_secs(15)));
        assert_eq!(flags(&["--watch", "1m"]).watch, Some(Duration::from_mins(1)));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for wrong in [&["-l", "a=b=c"][..], &["--owner", "web"], &["--watch", "0s"], &["--json", "--prometheus"]] {
            assert!(Flags::try_parse_from([&["pod-usage"], wrong].concat()).is_err(), "{wrong:?}");
        }
    }
}
