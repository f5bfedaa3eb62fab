//! Nodes: their heartbeats, and what follows when one is not heard of.

use std::collections::{BTreeMap, VecDeque};

use super::changes::Changes;
use super::incidents::replaced;
use super::{Churn, Place, Process};
use crate::Mutation;
use crate::population::model::{Pod, PodSet, Workload};
use crate::population::{extensions, node};

/// How many pods of a lost node one event changes.
const BATCH: usize = 25;
/// Every how many heartbeats of a node its status is posted too.
const STATUS_EVERY: usize = 5;

impl Churn {
    /// The next node's kubelet says that it is alive.
    pub(super) fn heartbeat(&mut self) -> Vec<Mutation> {
        let (nodes, now) = (self.cluster.nodes.len(), self.now);
        for _ in 0..nodes {
            let turn = self.heartbeats;
            self.heartbeats = self.heartbeats.wrapping_add(1);
            let uniform = self.cluster.uniform;
            let Some(node) = self.cluster.nodes.get_mut(turn % nodes) else {
                return Vec::new();
            };
            if !node.ready {
                continue;
            }
            node.heartbeat = now;
            let node = node.clone();
            let mut mutations = Vec::new();
            // Uniform populations are without leases.
            if !uniform {
                mutations.push(Mutation::Upsert(node::node_lease(&self.cluster, &node)));
            }
            if uniform || (turn / nodes).is_multiple_of(STATUS_EVERY) {
                mutations.push(Mutation::Upsert(node::node_object(&self.cluster, &node)));
            }
            return mutations;
        }
        self.renew_leader()
    }

    /// One of the controllers renews the lease it leads by.
    pub(super) fn renew_leader(&mut self) -> Vec<Mutation> {
        if self.cluster.uniform {
            return Vec::new();
        }
        let nth = self.dice.index(extensions::LEADERS.len());
        let nth = u32::try_from(nth).unwrap_or(0);
        vec![Mutation::Upsert(extensions::leader_lease(&self.cluster, nth, self.now))]
    }

    /// A node stops posting its status; never more than one in fifty at a time.
    pub(super) fn lose_node(&mut self) -> Vec<Mutation> {
        let away = self.cluster.nodes.iter().filter(|node| !node.ready).count();
        let count = self.cluster.nodes.len();
        if count < 2 || away >= (count / 50).max(1) {
            return Vec::new();
        }
        let index = self.dice.index(count);
        let to_notice = self.pods_on(index, |_, pod| pod.lost.is_none() && !pod.ended());
        let to_evict = self.evictable(index);
        self.turn(index, false, Process::NodeAway { node: index, to_notice, to_evict })
    }

    /// Changes a node's readiness and says so.
    fn turn(&mut self, index: usize, ready: bool, process: Process) -> Vec<Mutation> {
        let now = self.now;
        let Some(node) = self.cluster.nodes.get_mut(index).filter(|node| node.ready != ready) else {
            return Vec::new();
        };
        (node.ready, node.since) = (ready, now);
        if ready {
            node.heartbeat = now;
        } else {
            self.under_way.push(process);
        }
        let node = self.cluster.nodes.get(index);
        node.map(|node| Mutation::Upsert(node::node_object(&self.cluster, node))).into_iter().collect()
    }

    /// A node is away: first its pods are marked, then those that can run elsewhere are evicted, then it
    /// comes back.
    pub(super) fn node_away(
        &mut self,
        node: usize,
        mut to_notice: VecDeque<Place>,
        mut to_evict: VecDeque<Place>,
    ) -> (Vec<Mutation>, Option<Process>) {
        if !to_notice.is_empty() {
            let batch = to_notice.drain(..to_notice.len().min(BATCH)).collect();
            let mutations = self.change_pods(batch, |pod, now| pod.lost = Some(now));
            return (mutations, Some(Process::NodeAway { node, to_notice, to_evict }));
        }
        if !to_evict.is_empty() {
            let batch: Vec<Place> = to_evict.drain(..to_evict.len().min(BATCH)).collect();
            for place in &batch {
                self.reconcile_later(place.workload);
            }
            let mutations = self.change_pods(batch, |pod, now| {
                if pod.active() {
                    pod.deleted = Some(now + 30);
                }
            });
            return (mutations, Some(Process::NodeAway { node, to_notice, to_evict }));
        }
        // Away for a while: it takes some luck to come back.
        let process = Process::NodeAway { node, to_notice, to_evict };
        if self.dice.percent(80) {
            return (Vec::new(), Some(process));
        }
        let back = self.pods_on(node, |_, pod| pod.lost.is_some());
        let mut mutations = self.turn(node, true, process);
        mutations.extend(self.change_pods(back.into(), |pod, now| {
            pod.lost = None;
            if pod.deleted.is_none() && !pod.ended() {
                pod.since = now;
            }
        }));
        (mutations, None)
    }

    /// The pods on a node that a controller can replace elsewhere.
    pub(super) fn evictable(&self, node: usize) -> VecDeque<Place> {
        self.pods_on(node, |workload, pod| replaced(workload.kind) && pod.active())
    }

    fn pods_on(&self, node: usize, wanted: impl Fn(&Workload, &Pod) -> bool) -> VecDeque<Place> {
        let Ok(node) = u32::try_from(node) else {
            return VecDeque::new();
        };
        let mut places = VecDeque::new();
        for (index, workload) in self.cluster.workloads.iter().enumerate() {
            let on_node = |pod: &&Pod| pod.placement.is_some_and(|placement| placement.node == node);
            let place = |set: &PodSet, pod: &Pod| Place { workload: index, set: set.id, pod: pod.id };
            for set in &workload.sets {
                let pods = set.pods.iter().filter(on_node).filter(|pod| wanted(workload, pod));
                places.extend(pods.map(|pod| place(set, pod)));
            }
        }
        places
    }

    /// Changes many pods; each workload they belong to is told of once.
    fn change_pods(&mut self, places: Vec<Place>, change: impl Fn(&mut Pod, i64)) -> Vec<Mutation> {
        let mut all: BTreeMap<usize, Changes> = BTreeMap::new();
        let now = self.now;
        for place in places {
            let changes = all.entry(place.workload).or_insert_with(|| Changes::of(&self.cluster, place.workload));
            let set = self.cluster.workloads.get_mut(place.workload).and_then(|workload| {
                workload.progressed = now;
                workload.sets.iter_mut().find(|set| set.id == place.set)
            });
            if let Some(pod) = set.and_then(|set| set.pods.iter_mut().find(|pod| pod.id == place.pod)) {
                change(pod, now);
                changes.pod(place.set, pod);
            }
        }
        all.into_values().flat_map(|changes| changes.into_mutations(&self.cluster)).collect()
    }
}
