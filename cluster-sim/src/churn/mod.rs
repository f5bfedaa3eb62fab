//! What happens in a cluster while one watches: rollouts, restarts, lost nodes, finished jobs.
//!
//! [`Churn`] plays every controller of a cluster at once. It remembers the facts of its population (about
//! a hundred bytes per pod), changes them one event at a time, and says which objects changed. Whatever
//! it changes stays consistent: counts in a status are those of the pods there are, endpoints list the
//! pods that are ready, owners exist. The number of pods stays near the number it began with.
//!
//! # The mix
//!
//! While something is under way (a rollout, a node that is lost), two of three events take it a step
//! further. The others are drawn with these weights:
//!
//! | weight | event |
//! |---|---|
//! | 30 | a node renews its lease; every fifth time its status too |
//! | 15 | a container fails and is restarted |
//! | 12 | an autoscaler measures |
//! | 10 | a CronJob starts its next Job, or a finished errand its next |
//! | 8 | a pod fails its readiness probe for a while |
//! | 8 | a Deployment rolls out a new revision |
//! | 6 | a Deployment is scaled, around the size it was made with |
//! | 5 | a container is killed for want of memory; one in three pods then crash-loops for a while |
//! | 4 | a leader renews its lease |
//! | 3 | a pod is deleted, and replaced |
//! | 2 | a pod is evicted, and replaced |
//! | 1 | a node is lost: its pods are not ready, then evicted; later it comes back |

mod changes;
mod drive;
mod incidents;
mod jobs;
mod nodes;
mod reconcile;

use std::collections::VecDeque;

use jiff::Timestamp;
use rand::seq::IndexedRandom;

pub use drive::drive;

use crate::Mutation;
use crate::population::Population;
use crate::population::dice::{Dice, Id};
use crate::population::model::{Cluster, Kind, Outcome, Pod, PodSet, State, Workload};

/// How much may be under way at once before nothing new is begun.
const MAX_UNDER_WAY: usize = 64;
/// How often an event is drawn before [`Churn::next`] settles for none.
const DRAWS: usize = 32;

/// Something that may happen at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Heartbeat,
    Restart,
    Measure,
    StartJob,
    Unready,
    Rollout,
    Scale,
    OutOfMemory,
    Leader,
    Delete,
    Evict,
    LoseNode,
}

/// What happens how often; the module's documentation says the same.
const MIX: [(Event, u32); 12] = [
    (Event::Heartbeat, 30),
    (Event::Restart, 15),
    (Event::Measure, 12),
    (Event::StartJob, 10),
    (Event::Unready, 8),
    (Event::Rollout, 8),
    (Event::Scale, 6),
    (Event::OutOfMemory, 5),
    (Event::Leader, 4),
    (Event::Delete, 3),
    (Event::Evict, 2),
    (Event::LoseNode, 1),
];

/// Something that takes several events to end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Process {
    /// A workload's pods become what it asks for.
    Reconcile { workload: usize },
    /// A pod in trouble gets well.
    Recover(Place),
    /// A Job runs.
    Job { workload: usize, set: Id },
    /// A node is away.
    NodeAway { node: usize, to_notice: VecDeque<Place>, to_evict: VecDeque<Place> },
}

/// Where a pod is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    workload: usize,
    set: Id,
    pod: Id,
}

/// A cluster's controllers, kubelets and users, as a source of changes.
#[derive(Debug)]
pub struct Churn {
    cluster: Cluster,
    dice: Dice,
    now: i64,
    under_way: Vec<Process>,
    /// Pods that were evicted, oldest first; more than a few are collected.
    evicted: VecDeque<Place>,
    heartbeats: usize,
}

impl Churn {
    /// Churn of a population; `seed` decides what happens, not what is there.
    pub fn new(population: &Population, seed: u64) -> Self {
        let cluster = population.cluster.clone();
        let mut under_way = Vec::new();
        for (index, workload) in cluster.workloads.iter().enumerate() {
            if workload.pods().any(|pod| pod.state == State::Creating) {
                under_way.push(Process::Reconcile { workload: index });
            }
            let open =
                workload.sets.iter().filter(|set| workload.kind.runs_to_completion() && set.outcome == Outcome::Open);
            under_way.extend(open.map(|set| Process::Job { workload: index, set: set.id }));
        }
        let now = cluster.now;
        let dice = Dice::new(seed, Id(0), "churn", 0);
        let mut churn = Self { cluster, dice, now, under_way, evicted: VecDeque::new(), heartbeats: 0 };
        let away: Vec<usize> =
            (0..).zip(&churn.cluster.nodes).filter(|(_, node)| !node.ready).map(|(at, _)| at).collect();
        for node in away {
            let to_evict = churn.evictable(node);
            churn.under_way.push(Process::NodeAway { node, to_notice: VecDeque::new(), to_evict });
        }
        churn
    }

    /// The next thing that happens, as the objects that it changes, in the order a watcher would see.
    ///
    /// `now` is the moment it happens at; time never runs backwards, an earlier moment counts as the
    /// last. Empty only where nothing can happen at all, as in a cluster without nodes and workloads.
    pub fn next(&mut self, now: Timestamp) -> Vec<Mutation> {
        self.now = self.now.max(now.as_second());
        for _ in 0..DRAWS {
            let busy = self.under_way.len() >= MAX_UNDER_WAY;
            let mutations = if !self.under_way.is_empty() && (busy || self.dice.percent(66)) {
                self.continue_process()
            } else {
                self.begin()
            };
            if !mutations.is_empty() {
                return mutations;
            }
        }
        self.heartbeat()
    }

    fn begin(&mut self) -> Vec<Mutation> {
        let Ok((event, _)) = MIX.choose_weighted(self.dice.rng(), |(_, weight)| *weight) else {
            return Vec::new();
        };
        match event {
            Event::Heartbeat => self.heartbeat(),
            Event::Restart => self.restart(),
            Event::Measure => self.measure(),
            Event::StartJob => self.start_job(),
            Event::Unready => self.unready(),
            Event::Rollout => self.rollout(),
            Event::Scale => self.scale(),
            Event::OutOfMemory => self.out_of_memory(),
            Event::Leader => self.renew_leader(),
            Event::Delete => self.delete(),
            Event::Evict => self.evict(),
            Event::LoseNode => self.lose_node(),
        }
    }

    /// Takes one of the processes a step further, and drops it when it has ended.
    fn continue_process(&mut self) -> Vec<Mutation> {
        let index = self.dice.index(self.under_way.len());
        if index >= self.under_way.len() {
            return Vec::new();
        }
        let process = self.under_way.swap_remove(index);
        let (mutations, rest) = match process {
            Process::Reconcile { workload } => self.reconcile(workload),
            Process::Recover(place) => self.recover(place),
            Process::Job { workload, set } => self.run_job(workload, set),
            Process::NodeAway { node, to_notice, to_evict } => self.node_away(node, to_notice, to_evict),
        };
        self.under_way.extend(rest);
        mutations
    }

    /// Sees to it that a workload's pods become what it asks for.
    fn reconcile_later(&mut self, workload: usize) {
        let process = Process::Reconcile { workload };
        if !self.under_way.contains(&process) {
            self.under_way.push(process);
        }
    }

    fn workload(&self, index: usize) -> Option<&Workload> {
        self.cluster.workloads.get(index)
    }

    fn pod_mut(&mut self, place: Place) -> Option<&mut Pod> {
        self.set_mut(place.workload, place.set)?.pods.iter_mut().find(|pod| pod.id == place.pod)
    }

    fn set_mut(&mut self, workload: usize, set: Id) -> Option<&mut PodSet> {
        self.cluster.workloads.get_mut(workload)?.sets.iter_mut().find(|known| known.id == set)
    }

    /// Some workload of the kinds that `wanted` lets through; `None` if the dice find none soon.
    fn any_workload(&mut self, wanted: impl Fn(&Workload) -> bool) -> Option<usize> {
        (0..DRAWS).find_map(|_| {
            let index = self.dice.index(self.cluster.workloads.len());
            self.cluster.workloads.get(index).filter(|workload| wanted(workload)).map(|_| index)
        })
    }

    /// Some pod that runs and is reachable, of a workload that `wanted` lets through.
    fn any_running_pod(&mut self, wanted: impl Fn(Kind) -> bool) -> Option<Place> {
        let workload = self.any_workload(|workload| wanted(workload.kind) && workload.pods().any(healthy))?;
        let running = |set: &PodSet| set.pods.iter().filter(|pod| healthy(pod)).count();
        let count = self.workload(workload)?.sets.iter().map(running).sum();
        let chosen = self.dice.index(count);
        let sets = &self.workload(workload)?.sets;
        sets.iter()
            .flat_map(|set| {
                set.pods.iter().filter(|pod| healthy(pod)).map(|pod| Place { workload, set: set.id, pod: pod.id })
            })
            .nth(chosen)
    }
}

fn healthy(pod: &Pod) -> bool {
    pod.active() && pod.ready()
}
