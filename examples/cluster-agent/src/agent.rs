//! The parts, started and stopped together; none of them waits for another that fails.

use std::sync::Arc;

use example_host::cluster::Cluster;
use k8s_openapi::api::core::v1::{Node, Pod};
use ksm_core::options::ShardChoice;
use ksm_core::otlp::{Exporter, ExporterBuilder};
use ksm_core::shard::auto::AutoShard;
use ksm_core::{Ksm, KsmBuilder, Query, ResourceBuilder, Shard, Sharding, WatchOptions};

use crate::events::Events;
use crate::flags::PushFlags;
use crate::nodes::{Following, Nodes};
use crate::options::Options;
use crate::scope::Namespaces;
use crate::simulated::Simulated;
use crate::status::Sources;
use crate::usage::shared::Shared;
use crate::usage::{Inventory, UsageSource};

/// What runs.
pub(crate) struct Agent {
    pub(crate) ksm: Arc<Ksm>,
    pub(crate) events: Option<Arc<Events>>,
    pub(crate) namespaces: Namespaces,
    /// Which shard this was when it started.
    pub(crate) ordinal: u32,
    pub(crate) sources: Sources,
    nodes: Option<Following>,
    usage: Option<UsageSource>,
    exporter: Option<Arc<Exporter>>,
    simulated: Option<Simulated>,
}

impl Agent {
    pub(crate) async fn start(options: &Options, cluster: &Cluster) -> anyhow::Result<Self> {
        let flags = &options.flags;
        let (builder, shard) = sharded(&options.shard, cluster).await?;
        let ordinal = shard.ordinal();
        let namespaces = Namespaces::of(&options.settings);
        let mut nodes = Nodes::start(&flags.nodes, &options.resources, cluster).await?;
        // A shard's watch knows its own pods and nodes, and usage needs all nodes.
        let shares = shard.is_all() && options.watches("pods") && options.watches("nodes");
        let shared = (flags.usage.wanted.is_on() && shares).then(Shared::new);
        let watch = WatchOptions { semantic: flags.scopes.list_semantic(), ..WatchOptions::default() };
        let mut ksm =
            builder.settings(options.settings.clone()).watch_options(watch).label_joins(options.joins.clone());
        for name in &options.resources {
            ksm = match name.as_str() {
                "nodes" => ksm.resource(nodes_of(nodes.as_mut(), shared.as_ref())),
                "pods" => ksm.resource(pods_of(nodes.as_mut(), shared.as_ref())),
                other => ksm.resources([other])?,
            };
        }
        let mut usage = None;
        if flags.usage.wanted.is_on() {
            let inventory =
                shared.map_or_else(|| Inventory::Own(options.settings.namespaces.clone()), Inventory::Shared);
            let (source, resource) = UsageSource::start(&flags.usage, cluster, inventory, namespaces.clone()).await?;
            ksm = ksm.resource(match &mut nodes {
                Some(nodes) => nodes.enrich_usage(resource),
                None => resource,
            });
            usage = Some(source);
        }
        let mut events = None;
        if flags.events.wanted.is_on() {
            let (source, resource) =
                Events::start(&flags.events, cluster.client.clone(), &options.events(ordinal)).await;
            ksm = ksm.resource(resource);
            events = Some(Arc::new(source));
        }
        let ksm = Arc::new(ksm.spawn()?);
        let exporter = push(&flags.push, &ksm)?.map(Arc::new);
        if let Some(usage) = &mut usage {
            usage.follow(ksm.clone());
        }
        let sources = Sources {
            ksm: ksm.clone(),
            nodes: nodes.as_ref().map(Nodes::told),
            usage: usage.as_ref().map(UsageSource::told),
            events: events.as_ref().map(|events| events.told()),
            exporter: exporter.clone(),
        };
        let nodes = nodes.map(|nodes| nodes.follow(ksm.clone()));
        let simulated = Simulated::start(cluster);
        Ok(Self { ksm, events, namespaces, ordinal, sources, nodes, usage, exporter, simulated })
    }

    /// Ends all parts, each within its own time.
    pub(crate) async fn shutdown(self) {
        drop(self.simulated);
        let usage = async {
            if let Some(usage) = self.usage {
                usage.shutdown().await;
            }
        };
        let events = async {
            if let Some(events) = self.events {
                events.shutdown().await;
            }
        };
        let nodes = async {
            if let Some(nodes) = self.nodes {
                nodes.shutdown().await;
            }
        };
        let push = async {
            if let Some(exporter) = self.exporter {
                exporter.shutdown().await;
            }
        };
        // The last push reads the store, and the store ends before those who feed it: their end is no failure then.
        tokio::join!(nodes, push);
        self.ksm.shutdown().await;
        tokio::join!(usage, events);
    }
}

fn nodes_of(nodes: Option<&mut Nodes>, shared: Option<&Shared>) -> ResourceBuilder<Node> {
    let resource = ResourceBuilder::<Node>::builtin();
    let resource = match shared {
        Some(shared) => shared.nodes(resource),
        None => resource,
    };
    match nodes {
        Some(nodes) => nodes.enrich_nodes(resource),
        None => resource,
    }
}

fn pods_of(nodes: Option<&mut Nodes>, shared: Option<&Shared>) -> ResourceBuilder<Pod> {
    let resource = ResourceBuilder::<Pod>::builtin();
    let resource = match shared {
        Some(shared) => shared.pods(resource),
        None => resource,
    };
    match nodes {
        Some(nodes) => nodes.enrich_pods(resource),
        None => resource,
    }
}

/// A builder that knows its shard.
async fn sharded(choice: &ShardChoice, cluster: &Cluster) -> anyhow::Result<(KsmBuilder, Shard)> {
    let builder = Ksm::builder().client(cluster.client.clone());
    Ok(match choice {
        ShardChoice::Fixed(shard) if shard.is_all() => (builder, *shard),
        ShardChoice::Fixed(shard) => (builder.sharding(Sharding::new(*shard)), *shard),
        ShardChoice::ByPod { namespace, pod } => {
            let auto = AutoShard::find(cluster.client.clone(), namespace, pod).await?;
            let shard = auto.shard();
            (builder.sharding(Sharding::new(shard)).follow_shards(auto.into_stream()), shard)
        }
    })
}

/// Pushes to a collector where that is wanted, once everything has been listed.
fn push(flags: &PushFlags, ksm: &Arc<Ksm>) -> anyhow::Result<Option<Exporter>> {
    if !flags.wanted.is_on() {
        return Ok(None);
    }
    let mut builder = ExporterBuilder::from_env()?.interval(flags.interval);
    if let Some(endpoint) = &flags.endpoint {
        builder = builder.endpoint(endpoint);
    }
    let ksm = ksm.clone();
    let snapshots = move || if ksm.is_synced() { ksm.snapshots(&Query::default()) } else { Vec::new() };
    Ok(Some(builder.spawn(snapshots)?))
}
