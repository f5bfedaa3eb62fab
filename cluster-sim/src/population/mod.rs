//! What lives in a simulated cluster: objects as a production cluster of the given size has them.
//!
//! Everything follows from a [`PopulationSpec`]: equal specs give equal objects, byte for byte. Objects
//! come one at a time and are not kept; a population of 100,000 pods itself takes a few dozen megabytes.
//!
//! ```
//! use cluster_sim::population::{Population, PopulationSpec};
//!
//! let population = Population::new(&PopulationSpec::new(3, 60).seed(42));
//! let kinds: std::collections::BTreeSet<String> =
//!     population.objects().filter_map(|object| Some(object["kind"].as_str()?.to_owned())).collect();
//! assert!(kinds.contains("EndpointSlice") && kinds.contains("StatefulSet"));
//! ```

mod access;
pub(crate) mod dice;
pub(crate) mod draft;
pub(crate) mod extensions;
pub(crate) mod model;
mod names;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod plan;
pub(crate) mod pod;
pub(crate) mod policy;
mod spec;
pub(crate) mod storage;
pub(crate) mod template;
pub(crate) mod workload;

use serde_json::Value;

pub use spec::PopulationSpec;

use model::{Cluster, Kind, Workload};

/// A cluster's objects, decided but not yet written out.
#[derive(Clone, Debug)]
pub struct Population {
    pub(crate) cluster: Cluster,
}

impl Population {
    /// Decides a population. Takes a few microseconds per pod.
    pub fn new(spec: &PopulationSpec) -> Self {
        Self { cluster: plan::plan(spec) }
    }

    /// Every object, in an order in which a server can take them: definitions and namespaces before what
    /// is in them, owners before what they own. None has a resourceVersion: that is the server's to give.
    pub fn objects(&self) -> impl Iterator<Item = Value> + '_ {
        let cluster = &self.cluster;
        let namespaces = cluster.namespaces.iter();
        let nodes = cluster.nodes.iter();
        let fixtures = std::iter::once(()).filter(|()| !cluster.uniform).flat_map(|()| fixtures(cluster));
        let defaults = namespaces.clone().filter(|_| !cluster.uniform).flat_map(|namespace| {
            let mut objects = Vec::from(access::namespace_defaults(cluster, namespace));
            objects.extend(policy::quota_and_range(cluster, namespace));
            objects.push(network::network_policy(cluster, namespace));
            objects
        });
        let leases = cluster.nodes.iter().filter(|_| !cluster.uniform).map(|node| node::node_lease(cluster, node));
        namespaces
            .map(|namespace| access::namespace_object(cluster, namespace))
            .chain(nodes.map(|node| node::node_object(cluster, node)))
            .chain(fixtures)
            .chain(defaults)
            .chain(leases)
            .chain(cluster.workloads.iter().flat_map(|workload| {
                before_pods(cluster, workload)
                    .into_iter()
                    .chain(pods(cluster, workload))
                    .chain(std::iter::once(()).flat_map(|()| after_pods(cluster, workload)))
            }))
    }

    /// The pods alone.
    pub fn pods(&self) -> impl Iterator<Item = Value> + '_ {
        self.cluster.workloads.iter().flat_map(|workload| pods(&self.cluster, workload))
    }

    /// How many pods there are.
    pub fn pod_count(&self) -> usize {
        self.cluster.workloads.iter().map(|workload| workload.pods().count()).sum()
    }
}

/// What every cluster has once.
fn fixtures(cluster: &Cluster) -> Vec<Value> {
    let mut objects = vec![extensions::custom_resource_definition(cluster), extensions::ingress_class(cluster)];
    objects.extend(storage::classes(cluster));
    objects.extend(access::cluster_wide(cluster));
    objects.extend(extensions::admission(cluster));
    objects.extend(extensions::custom_resources(cluster));
    let leaders = u32::try_from(extensions::LEADERS.len()).unwrap_or(0);
    objects.extend((0..leaders).map(|nth| extensions::leader_lease(cluster, nth, cluster.now - 1)));
    objects
}

/// What a workload's pods need or are owned by.
fn before_pods(cluster: &Cluster, workload: &Workload) -> Vec<Value> {
    let mut objects = Vec::new();
    if !cluster.uniform {
        objects.extend(access::workload_companions(cluster, workload));
    }
    objects.extend(workload::workload_object(cluster, workload));
    objects.extend(workload::controller_revision(cluster, workload));
    objects.extend(workload.sets.iter().filter_map(|set| workload::set_object(cluster, workload, set)));
    if matches!(workload.kind, Kind::StatefulSet { .. }) {
        objects.extend(workload.pods().flat_map(|pod| storage::claim_and_volume(cluster, workload, pod)));
    }
    objects
}

/// A workload's pods, one at a time.
fn pods<'a>(cluster: &'a Cluster, workload: &'a Workload) -> impl Iterator<Item = Value> + 'a {
    workload.sets.iter().filter(|set| !set.pods.is_empty()).flat_map(move |set| {
        let mould = pod::Mould::of(cluster, workload, set);
        set.pods.iter().map(move |pod| pod::pod_object(cluster, workload, set, pod, &mould))
    })
}

/// What refers to a workload's pods.
fn after_pods(cluster: &Cluster, workload: &Workload) -> Vec<Value> {
    let mut objects = Vec::new();
    let companions = workload.companions;
    if companions.service {
        objects.push(network::service(cluster, workload));
        objects.push(network::endpoints(cluster, workload));
        objects.extend((0..network::slice_count(workload)).map(|nth| network::endpoint_slice(cluster, workload, nth)));
    }
    if companions.ingress {
        objects.push(network::ingress(cluster, workload));
    }
    if companions.autoscaler {
        objects.push(policy::autoscaler(cluster, workload, cluster.now));
    }
    if companions.disruption_budget {
        objects.push(policy::disruption_budget(cluster, workload));
    }
    if matches!(workload.kind, Kind::StatefulSet { .. }) {
        objects.extend(workload.pods().filter_map(|pod| storage::attachment(cluster, workload, pod)));
    }
    objects
}
