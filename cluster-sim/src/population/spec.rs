//! What a population should be: how many, how old, and by which seed.

use jiff::Timestamp;

/// The moment every population is generated at unless told otherwise: 2026-01-15T12:00:00Z. A fixed
/// moment keeps populations equal from run to run.
const DEFAULT_NOW: Timestamp = Timestamp::constant(1_768_478_400, 0);

/// How many nodes and pods a simulated cluster has, and what decides everything else about it.
///
/// Two populations of equal specs are equal byte for byte.
///
/// ```
/// use cluster_sim::population::{Population, PopulationSpec};
///
/// let population = Population::new(&PopulationSpec::new(5, 100).seed(7));
/// assert_eq!(population.pods().count(), 100);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopulationSpec {
    pub(crate) nodes: u32,
    pub(crate) pods: u32,
    pub(crate) seed: u64,
    pub(crate) now: Timestamp,
    pub(crate) uniform: bool,
}

impl PopulationSpec {
    /// A production-like mix of workloads: exactly `pods` pods (those of DaemonSets and Jobs count) on
    /// `nodes` nodes, and the objects of every other kind that a cluster of this size would have.
    ///
    /// With at least one node and 20 pods, every kind has at least one object. Without nodes all pods
    /// are pending.
    pub fn new(nodes: u32, pods: u32) -> Self {
        Self { nodes, pods, seed: 1, now: DEFAULT_NOW, uniform: false }
    }

    /// Exactly `pods` running pods of one shape, for benchmarks: two containers, each with requests and
    /// limits for cpu and memory, never restarted, owned by ReplicaSets of 100, 100 pods to a node. Each
    /// gives 50 samples of kube-state-metrics' default families. Namespaces, nodes, Deployments and
    /// ReplicaSets are there so that owners resolve; other kinds are not.
    pub fn uniform_pods(pods: u32) -> Self {
        Self { uniform: true, ..Self::new(pods.div_ceil(100).max(1), pods) }
    }

    /// Decides every name, uid, size and state. Default 1.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The moment the population is seen at: ages and heartbeats count back from here. Default
    /// 2026-01-15T12:00:00Z; a fraction of a second is dropped.
    pub fn now(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }
}

impl Default for PopulationSpec {
    /// Ten nodes with 300 pods.
    fn default() -> Self {
        Self::new(10, 300)
    }
}
