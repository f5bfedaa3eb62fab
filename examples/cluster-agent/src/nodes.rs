//! The metadata of nodes: from which Leases they come, whose series get them, and how that goes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use example_host::cluster::Cluster;
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{Node, Pod};
use ksm_core::{Ksm, ResourceBuilder};
use node_lease::{Attribute, CacheState, Enricher, LeaseCache, NodeChange, WriterHandle};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::enrich::NodeLabels;
use crate::flags::Switch;
use crate::simulated;
use crate::status::{NodeMetadata, State};
use crate::usage::object::{self, Usage};

/// How long the Leases may take to be listed before everything else is: objects that come later have their labels at
/// once, instead of being touched twice.
const HEAD_START: Duration = Duration::from_secs(2);

/// The flags about nodes' metadata.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Node metadata")]
pub(crate) struct NodeFlags {
    /// Whether series of nodes get labels of the machine under them, which lease-writer or the CloudWatch agent
    /// publishes on each node as a Lease
    #[arg(long = "node-metadata", value_enum, default_value_t = Switch::On, id = "node_metadata")]
    wanted: Switch,
    /// The namespace of these Leases
    #[arg(long = "node-metadata-namespace", value_name = "NAMESPACE", default_value = "amazon-cloudwatch")]
    namespace: String,
    /// The labels; all that are known without it
    #[arg(long = "node-metadata-labels", value_name = "LABELS", value_delimiter = ',', value_parser = attribute())]
    labels: Vec<Attribute>,
    /// Put them on the series of the nodes' pods, too
    #[arg(long = "node-metadata-pods", num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_name = "BOOL", action = clap::ArgAction::Set,
        overrides_with = "pods")]
    pods: bool,
}

fn attribute() -> impl TypedValueParser<Value = Attribute> {
    let labels = PossibleValuesParser::new(Attribute::ALL.map(Attribute::label));
    labels.try_map(|label| Attribute::ALL.into_iter().find(|known| known.label() == label).ok_or("no such label"))
}

impl NodeFlags {
    /// The namespace whose Leases are needed; none where nothing that is watched would get a label.
    pub(crate) fn namespace(&self, resources: &[String]) -> Option<&str> {
        (!self.series(resources).is_empty()).then_some(&self.namespace)
    }

    /// The resources whose series get labels.
    fn series(&self, resources: &[String]) -> Vec<&'static str> {
        let wanted = [("nodes", true), ("pods", self.pods)];
        let on = self.wanted.is_on();
        let is_watched = |name: &str| resources.iter().any(|resource| resource == name);
        wanted.into_iter().filter(|(name, wanted)| on && *wanted && is_watched(name)).map(|(name, _)| name).collect()
    }

    fn attributes(&self) -> Vec<Attribute> {
        if self.labels.is_empty() { Attribute::ALL.to_vec() } else { self.labels.clone() }
    }
}

/// What is known of the nodes, on its way to their series.
pub(crate) struct Nodes {
    told: Told,
    labels: NodeLabels,
    changes: BoxStream<'static, NodeChange>,
    simulated: Vec<WriterHandle>,
}

/// What is told of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    cache: LeaseCache,
    namespace: String,
    series: Vec<&'static str>,
    labels: Vec<&'static str>,
}

impl Nodes {
    /// Begins to watch the Leases, if something that is watched gets their labels. In a simulated cluster, they are
    /// written first.
    pub(crate) async fn start(
        flags: &NodeFlags,
        resources: &[String],
        cluster: &Cluster,
    ) -> anyhow::Result<Option<Self>> {
        let Some(namespace) = flags.namespace(resources) else { return Ok(None) };
        let simulated = match cluster.sim() {
            Some(sim) => simulated::write_leases(sim, namespace).await.context("no Leases of simulated nodes")?,
            None => Vec::new(),
        };
        let cache = LeaseCache::builder(cluster.client.clone(), namespace).spawn();
        let changes = cache.changes().boxed();
        // Without the right to list them, nothing is waited for: the state says so at once.
        let begun = cache.wait_for(|state| *state != CacheState::Starting);
        if timeout(HEAD_START, begun).await.is_err() {
            tracing::warn!(namespace, "the Leases of nodes are not listed yet: labels come later");
        }
        let attributes = flags.attributes();
        let told = Told {
            namespace: namespace.to_owned(),
            series: flags.series(resources),
            labels: attributes.iter().map(|attribute| attribute.label()).collect(),
            cache: cache.clone(),
        };
        let labels = NodeLabels::new(Enricher::new(cache).only(attributes));
        Ok(Some(Self { told, labels, changes, simulated }))
    }

    /// Gives nodes their labels, if they are to have them.
    pub(crate) fn enrich_nodes(&mut self, nodes: ResourceBuilder<Node>) -> ResourceBuilder<Node> {
        if !self.told.series.contains(&"nodes") {
            return nodes;
        }
        self.labels.enrich("nodes", nodes, |node| node.metadata.name.as_deref())
    }

    /// Gives pods those of their nodes.
    pub(crate) fn enrich_pods(&mut self, pods: ResourceBuilder<Pod>) -> ResourceBuilder<Pod> {
        if !self.told.series.contains(&"pods") {
            return pods;
        }
        self.labels.enrich("pods", pods, |pod| pod.spec.as_ref()?.node_name.as_deref())
    }

    /// Gives figures of nodes what nodes have, and those of pods what pods have.
    pub(crate) fn enrich_usage(&mut self, usage: ResourceBuilder<Usage>) -> ResourceBuilder<Usage> {
        match (self.told.series.contains(&"nodes"), self.told.series.contains(&"pods")) {
            (_, true) => self.labels.enrich(object::NAME, usage, Usage::node),
            (true, false) => self.labels.enrich(object::NAME, usage, Usage::node_itself),
            (false, false) => usage,
        }
    }

    /// What is told of it.
    pub(crate) fn told(&self) -> Told {
        self.told.clone()
    }

    /// Brings changes to the series from now on.
    pub(crate) fn follow(self, ksm: Arc<Ksm>) -> Following {
        Following {
            task: tokio::spawn(self.labels.follow(ksm, self.changes)),
            cache: self.told.cache,
            simulated: self.simulated,
        }
    }
}

/// Changes on their way.
pub(crate) struct Following {
    task: JoinHandle<()>,
    cache: LeaseCache,
    simulated: Vec<WriterHandle>,
}

impl Following {
    pub(crate) async fn shutdown(self) {
        self.task.abort();
        // What it held is given back with it.
        let _ = self.task.await;
        self.cache.shutdown().await;
        drop(self.simulated);
    }
}

impl Told {
    pub(crate) fn status(&self) -> NodeMetadata {
        let status = self.cache.status();
        let (state, error) = match status.state {
            CacheState::Starting => (State::Listing, None),
            CacheState::Synced => (State::Synced, None),
            CacheState::Degraded { error, .. } => (State::Failing, Some(error)),
            state => (State::Failing, Some(format!("{state:?}"))),
        };
        NodeMetadata {
            namespace: self.namespace.clone(),
            state,
            state_seconds: status.since.elapsed().as_secs(),
            nodes: status.nodes,
            series: self.series.clone(),
            labels: self.labels.clone(),
            error,
        }
    }
}
