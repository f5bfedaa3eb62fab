//! The cluster as the few facts that everything else follows from.
//!
//! A pod is about a hundred bytes here and ten kilobytes as an object. Objects are rendered from these
//! facts one at a time, so counts and references agree however often the facts change.

use super::dice::{Dice, Id};

/// Everything that is decided about a cluster; times are Unix seconds.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) seed: u64,
    pub(crate) now: i64,
    pub(crate) uniform: bool,
    /// How many addresses each node hands out to pods; a power of two.
    pub(crate) slots_per_node: u32,
    pub(crate) nodes: Vec<Node>,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) last_id: u64,
}

impl Cluster {
    pub(crate) fn next_id(&mut self) -> Id {
        self.last_id += 1;
        Id(self.last_id)
    }

    /// When the cluster itself was made, and with it what every cluster has.
    pub(crate) fn founded(&self) -> i64 {
        self.now - 501 * 86_400
    }

    pub(crate) fn dice(&self, id: Id, facet: &str, nth: u32) -> Dice {
        Dice::new(self.seed, id, facet, nth)
    }

    /// The uid of an object; `facet` tells apart the objects that one id stands for.
    pub(crate) fn uid(&self, id: Id, facet: &str, nth: u32) -> String {
        self.dice(id, facet, nth).uuid()
    }

    pub(crate) fn node_of(&self, pod: &Pod) -> Option<&Node> {
        self.nodes.get(usize::try_from(pod.placement?.node).ok()?)
    }

    /// The name of the namespace a workload lives in.
    pub(crate) fn namespace_of(&self, workload: &Workload) -> &str {
        self.namespaces.get(workload.namespace).map_or("default", |namespace| &namespace.name)
    }

    /// A place for a pod that asks for it with these dice: a node that is up, and an address on it.
    pub(crate) fn place(&mut self, dice: &mut Dice, host_network: bool) -> Option<Placement> {
        let first = dice.index(self.nodes.len());
        let order = (first..self.nodes.len()).chain(0..first);
        for index in order {
            let node = self.nodes.get_mut(index)?;
            if !node.ready || node.cordoned {
                continue;
            }
            if let Some(placement) = node.place(index, host_network) {
                return Some(placement);
            }
        }
        None
    }

    /// Gives a pod's address back.
    pub(crate) fn vacate(&mut self, placement: Placement) {
        let node = usize::try_from(placement.node).ok().and_then(|index| self.nodes.get_mut(index));
        if let (Some(node), Some(slot)) = (node, placement.slot) {
            node.slots.release(slot);
        }
    }
}

/// A node and the addresses it has handed out.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: Id,
    pub(crate) index: u32,
    pub(crate) created: i64,
    pub(crate) ready: bool,
    /// Marked unschedulable by an administrator.
    pub(crate) cordoned: bool,
    /// When `ready` last changed.
    pub(crate) since: i64,
    pub(crate) heartbeat: i64,
    pub(crate) slots: Slots,
}

impl Node {
    pub(crate) fn place(&mut self, index: usize, host_network: bool) -> Option<Placement> {
        let node = u32::try_from(index).ok()?;
        let slot = if host_network { None } else { Some(self.slots.take()?) };
        Some(Placement { node, slot })
    }
}

/// A bounded set of small numbers, handed out round robin so that a freed one is not reused at once.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    used: Vec<bool>,
    next: usize,
}

impl Slots {
    pub(crate) fn new(len: usize) -> Self {
        Self { used: vec![false; len], next: 0 }
    }

    pub(crate) fn take(&mut self) -> Option<u32> {
        let len = self.used.len();
        let found = (self.next..len).chain(0..self.next).find(|&slot| self.used.get(slot) == Some(&false))?;
        *self.used.get_mut(found)? = true;
        self.next = (found + 1) % len;
        u32::try_from(found).ok()
    }

    pub(crate) fn release(&mut self, slot: u32) {
        if let Some(used) = usize::try_from(slot).ok().and_then(|slot| self.used.get_mut(slot)) {
            *used = false;
        }
    }
}

/// A namespace.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) team: &'static str,
    pub(crate) environment: &'static str,
    pub(crate) created: i64,
}

/// What a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deployment,
    StatefulSet {
        store: usize,
    },
    DaemonSet {
        agent: Agent,
    },
    ReplicationController,
    /// Jobs that somebody starts by hand, one after the other.
    Errand,
    CronJob {
        periodic: usize,
    },
    /// A pod without an owner.
    Bare,
}

impl Kind {
    /// True where finished pods are the point.
    pub(crate) fn runs_to_completion(self) -> bool {
        matches!(self, Self::Errand | Self::CronJob { .. })
    }
}

/// Which nodes a DaemonSet's pods go to, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    /// Every node; the index says which of the usual agents.
    EveryNode(usize),
    /// Windows nodes, of which there are none.
    Windows,
}

/// What stands around a workload.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is the presence of one companion object")]
pub(crate) struct Companions {
    pub(crate) service: bool,
    pub(crate) ingress: bool,
    pub(crate) autoscaler: bool,
    pub(crate) disruption_budget: bool,
    pub(crate) config: bool,
    pub(crate) secret: bool,
    pub(crate) role: bool,
}

/// Something that owns pods, directly or through its sets.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) id: Id,
    pub(crate) kind: Kind,
    pub(crate) namespace: usize,
    pub(crate) name: String,
    pub(crate) created: i64,
    /// How many replicas it was made with; scale changes stay around it.
    pub(crate) base: u32,
    /// How many replicas it asks for now.
    pub(crate) desired: u32,
    pub(crate) generation: u32,
    /// The revision of the pod template in use, from 1.
    pub(crate) revision: u32,
    pub(crate) paused: bool,
    /// When it last made progress.
    pub(crate) progressed: i64,
    pub(crate) companions: Companions,
    /// ReplicaSets of a Deployment and Jobs of a CronJob, oldest first; exactly one for all others.
    pub(crate) sets: Vec<PodSet>,
}

impl Workload {
    pub(crate) fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.sets.iter().flat_map(|set| &set.pods)
    }

    /// The lowest ordinal that no pod has.
    pub(crate) fn free_ordinal(&self) -> u32 {
        let mut taken: Vec<u32> = self.pods().map(|pod| pod.ordinal).collect();
        taken.sort_unstable();
        taken.dedup();
        (0..)
            .zip(&taken)
            .find(|(expected, ordinal)| expected != *ordinal)
            .map_or_else(|| u32::try_from(taken.len()).unwrap_or(u32::MAX), |(expected, _)| expected)
    }

    pub(crate) fn host_network(&self) -> bool {
        match self.kind {
            Kind::DaemonSet { agent: Agent::EveryNode(agent) } => {
                super::names::NODE_AGENTS.get(agent).is_some_and(|agent| agent.3)
            }
            _ => false,
        }
    }
}

/// The direct owner of pods.
#[derive(Clone, Debug)]
pub(crate) struct PodSet {
    pub(crate) id: Id,
    pub(crate) created: i64,
    /// The revision of the pod template its pods are made from; of a Job, its number.
    pub(crate) revision: u32,
    pub(crate) desired: u32,
    pub(crate) generation: u32,
    pub(crate) outcome: Outcome,
    pub(crate) pods: Vec<Pod>,
}

/// How far a Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Still at it, or not a Job.
    Open,
    Complete {
        at: i64,
    },
    Failed {
        at: i64,
    },
}

/// Where a pod runs: the index of its node, and its address there unless it uses the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) node: u32,
    pub(crate) slot: Option<u32>,
}

/// A pod.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) id: Id,
    pub(crate) ordinal: u32,
    pub(crate) placement: Option<Placement>,
    pub(crate) created: i64,
    pub(crate) state: State,
    /// When `state` began.
    pub(crate) since: i64,
    pub(crate) restarts: u32,
    pub(crate) last_exit: Option<Exit>,
    /// When it should be gone, once deletion was asked for.
    pub(crate) deleted: Option<i64>,
    /// Since when its node is not heard of.
    pub(crate) lost: Option<i64>,
}

impl Pod {
    /// Counts for its controller: it exists, is not on its way out, and did not end.
    pub(crate) fn active(&self) -> bool {
        self.deleted.is_none() && !self.ended()
    }

    pub(crate) fn ended(&self) -> bool {
        matches!(self.state, State::Succeeded | State::Failed | State::Evicted)
    }

    pub(crate) fn ready(&self) -> bool {
        self.state == State::Running && self.lost.is_none()
    }

    /// Has an address that traffic could go to.
    pub(crate) fn addressable(&self) -> bool {
        self.placement.is_some() && !self.ended() && self.state != State::Creating
    }
}

/// What a pod's main container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unschedulable,
    Creating,
    Running,
    /// Running, but its readiness probe fails.
    Unready,
    CrashLoop,
    ImagePull,
    Succeeded,
    Failed,
    Evicted,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) reason: ExitReason,
    pub(crate) at: i64,
}

/// Why a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitReason {
    Completed,
    Error,
    OutOfMemory,
}

impl ExitReason {
    /// The kubelet's word for it, and the exit code.
    pub(crate) fn spelled(self) -> (&'static str, i32) {
        match self {
            Self::Completed => ("Completed", 0),
            Self::Error => ("Error", 1),
            Self::OutOfMemory => ("OOMKilled", 137),
        }
    }
}
