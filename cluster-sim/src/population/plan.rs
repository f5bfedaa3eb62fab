//! From a spec to the facts of a cluster: how many of what, how old, and in which state.

use super::dice::{Dice, Id};
use super::model::{
    Agent, Cluster, Companions, Exit, ExitReason, Kind, Namespace, Node, Outcome, Pod, PodSet, Slots, State, Workload,
};
use super::names::{ENVIRONMENTS, ERRANDS, NODE_AGENTS, PERIODIC, PLATFORM, ROLES, STORES, SUBJECTS, TEAMS};
use super::spec::PopulationSpec;

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;
/// Where the applications' namespaces begin.
const FIRST_APP_NAMESPACE: usize = PLATFORM.len();
/// The share of all pods that may belong to DaemonSets.
const DAEMON_PERCENT: u32 = 30;
/// How many pods one ReplicaSet of a uniform population has.
const UNIFORM_REPLICAS: u32 = 100;

/// Decides a cluster. The sum of its pods is exactly what the spec says.
pub(super) fn plan(spec: &PopulationSpec) -> Cluster {
    let mut plan = Plan::new(spec);
    if spec.uniform {
        plan.uniform();
    } else {
        plan.daemon_sets(spec.nodes);
        plan.batch();
        plan.stateful();
        plan.deployments();
        plan.trouble_nodes();
    }
    plan.cluster
}

struct Plan {
    cluster: Cluster,
    /// Pods that are not yet given to a workload.
    left: u32,
    total: u32,
    mix: Mix,
    serial: u32,
}

impl Plan {
    fn new(spec: &PopulationSpec) -> Self {
        let now = spec.now.as_second();
        // Twice the average, so that placing finds room; nodes of real clusters are addressed as sparsely.
        let per_node = spec.pods.checked_div(spec.nodes).unwrap_or(0).saturating_add(1);
        let slots_per_node = per_node.saturating_mul(2).clamp(256, 1 << 20).next_power_of_two();
        let mut cluster = Cluster {
            seed: spec.seed,
            now,
            uniform: spec.uniform,
            slots_per_node,
            nodes: Vec::new(),
            namespaces: Vec::new(),
            workloads: Vec::new(),
            last_id: 0,
        };
        for index in 0..spec.nodes {
            let id = cluster.next_id();
            let mut dice = cluster.dice(id, "node", 0);
            let created = ago(now, dice.between(31 * DAY, 120 * DAY));
            cluster.nodes.push(Node {
                id,
                index,
                created,
                ready: true,
                cordoned: false,
                since: created + 40,
                heartbeat: ago(now, dice.below(10)),
                slots: Slots::new(usize::try_from(slots_per_node).unwrap_or(256)),
            });
        }
        namespaces(&mut cluster, spec.pods);
        Self { cluster, left: spec.pods, total: spec.pods, mix: Mix::default(), serial: 0 }
    }

    /// Takes up to `wanted` pods out of what is left.
    fn take(&mut self, wanted: u32) -> u32 {
        let taken = wanted.min(self.left);
        self.left -= taken;
        taken
    }

    /// A workload without pods, made some time before the last month.
    fn workload(&mut self, kind: Kind, namespace: usize, name: String) -> (Workload, Dice) {
        let id = self.cluster.next_id();
        let mut dice = self.cluster.dice(id, "workload", 0);
        let created = ago(self.cluster.now, dice.between(31 * DAY, 400 * DAY));
        let workload = Workload {
            id,
            kind,
            namespace,
            name,
            created,
            base: 0,
            desired: 0,
            generation: 1,
            revision: 1,
            paused: false,
            progressed: created + 60,
            companions: Companions::default(),
            sets: Vec::new(),
        };
        (workload, dice)
    }

    fn app_namespace(&self, dice: &mut Dice) -> usize {
        let apps = self.cluster.namespaces.len().saturating_sub(FIRST_APP_NAMESPACE);
        FIRST_APP_NAMESPACE + dice.index(apps)
    }

    /// A name that no other workload has, made of two words and, once those are used up, a number.
    fn app_name(&mut self, dice: &mut Dice) -> String {
        let serial = self.serial;
        self.serial += 1;
        format!("{}-{}-{serial}", dice.pick(&SUBJECTS), dice.pick(&ROLES))
    }

    fn daemon_sets(&mut self, nodes: u32) {
        let affordable = (self.total / 100 * DAEMON_PERCENT).checked_div(nodes).unwrap_or(0);
        for (agent, (namespace, name, ..)) in NODE_AGENTS.iter().enumerate().take(to_usize(affordable)) {
            let namespace = PLATFORM.iter().position(|known| known == namespace).unwrap_or(0);
            let kind = Kind::DaemonSet { agent: Agent::EveryNode(agent) };
            let (mut workload, mut dice) = self.workload(kind, namespace, (*name).to_owned());
            let id = workload.id;
            let mut set = self.set(id, &workload, &mut dice);
            self.take(nodes);
            for index in 0..self.cluster.nodes.len() {
                let id = self.cluster.next_id();
                let host_network = workload.host_network();
                let placement = self.cluster.nodes.get_mut(index).and_then(|node| node.place(index, host_network));
                let ordinal = u32::try_from(index).unwrap_or(u32::MAX);
                let mut pod = pod(id, ordinal, set.created);
                pod.placement = placement;
                if placement.is_none() {
                    pod.state = State::Unschedulable;
                }
                set.pods.push(pod);
            }
            workload.base = nodes;
            self.finish(workload, set);
        }
        let kind = Kind::DaemonSet { agent: Agent::Windows };
        let (workload, mut dice) = self.workload(kind, 1, "kube-proxy-windows".to_owned());
        let set = self.set(workload.id, &workload, &mut dice);
        self.finish(workload, set);
    }

    /// Jobs and CronJobs with the pods their history keeps.
    fn batch(&mut self) {
        for nth in 0..(self.total / 400).max(1) {
            let mut dice = self.cluster.dice(Id(u64::from(nth)), "errand", 0);
            let (namespace, word) = (self.app_namespace(&mut dice), dice.pick(&ERRANDS));
            let (mut workload, mut dice) = self.workload(Kind::Errand, namespace, format!("{word}-{nth}"));
            let started = ago(self.cluster.now, dice.between(60, 6 * HOUR));
            let outcome = match nth % 3 {
                0 => Outcome::Complete { at: started + i64::from(dice.between(5, 50)) },
                1 => Outcome::Open,
                _ => Outcome::Failed { at: started + i64::from(dice.between(5, 50)) },
            };
            workload.base = 1;
            self.job(&mut workload, started, outcome);
            self.cluster.workloads.push(workload);
        }
        for nth in 0..(self.total / 150).max(1) {
            let mut dice = self.cluster.dice(Id(u64::from(nth)), "periodic", 0);
            let namespace = self.app_namespace(&mut dice);
            let periodic = dice.index(PERIODIC.len());
            let name = PERIODIC.get(periodic).map_or("periodic", |periodic| periodic.0);
            let kind = Kind::CronJob { periodic };
            let (mut workload, mut dice) = self.workload(kind, namespace, format!("{name}-{nth}"));
            workload.base = 1;
            workload.paused = nth % 20 == 19;
            let last = self.cluster.now.div_euclid(60) * 60 - i64::from(dice.between(5, 50)) * 60;
            for back in (0..3).rev() {
                let started = last - back * 3600;
                let end = started + i64::from(dice.between(5, 90));
                let outcome = if dice.percent(8) { Outcome::Failed { at: end } } else { Outcome::Complete { at: end } };
                self.job(&mut workload, started, outcome);
            }
            self.cluster.workloads.push(workload);
        }
    }

    /// One Job of a workload, with its pod if there is one left to give.
    fn job(&mut self, workload: &mut Workload, started: i64, outcome: Outcome) {
        let id = self.cluster.next_id();
        let revision = workload.sets.last().map_or(1, |set| set.revision + 1);
        let mut set = PodSet { id, created: started, revision, desired: 1, generation: 1, outcome, pods: Vec::new() };
        if self.take(1) == 1 {
            let id = self.cluster.next_id();
            let mut dice = self.cluster.dice(id, "place", 0);
            let mut pod = pod(id, 0, started);
            pod.placement = self.cluster.place(&mut dice, false);
            match outcome {
                _ if pod.placement.is_none() => {
                    pod.state = State::Unschedulable;
                    set.outcome = Outcome::Open;
                }
                Outcome::Open => {}
                Outcome::Complete { at } => (pod.state, pod.since) = (State::Succeeded, at),
                Outcome::Failed { at } => (pod.state, pod.since) = (State::Failed, at),
            }
            set.pods.push(pod);
        } else {
            // Its pod has been collected since; a Job that is open would have one.
            set.outcome = match outcome {
                Outcome::Open => Outcome::Complete { at: started + 20 },
                ended => ended,
            };
        }
        workload.sets.push(set);
    }

    fn stateful(&mut self) {
        for nth in 0..(self.total / 200).max(1) {
            let mut dice = self.cluster.dice(Id(u64::from(nth)), "store", 0);
            let namespace = self.app_namespace(&mut dice);
            let store = dice.index(STORES.len());
            let name = STORES.get(store).map_or("store", |store| store.0);
            let (mut workload, mut dice) =
                self.workload(Kind::StatefulSet { store }, namespace, format!("{name}-{nth}"));
            workload.companions = Companions { service: true, config: true, secret: true, ..Companions::default() };
            workload.companions.disruption_budget = dice.percent(60);
            let wanted = dice.pick(&[1, 1, 2, 3, 3, 3, 5]);
            let set = self.set(workload.id, &workload, &mut dice);
            self.fill(workload, set, wanted);
        }
        for nth in 0..(self.total / 2000).max(1) {
            let kind = Kind::ReplicationController;
            let (mut workload, mut dice) = self.workload(kind, 0, format!("legacy-{nth}"));
            workload.companions.service = true;
            let set = self.set(workload.id, &workload, &mut dice);
            self.fill(workload, set, dice.between(1, 3));
        }
        for nth in 0..(self.total / 1000).max(1) {
            let mut dice = self.cluster.dice(Id(u64::from(nth)), "bare", 0);
            let namespace = self.app_namespace(&mut dice);
            let (workload, mut dice) = self.workload(Kind::Bare, namespace, format!("debug-{nth}"));
            let set = self.set(workload.id, &workload, &mut dice);
            self.fill(workload, set, 1);
        }
    }

    /// Deployments, until no pod is left; at least one.
    fn deployments(&mut self) {
        let mut first = true;
        while first || self.left > 0 {
            let mut dice = self.cluster.dice(Id(u64::from(self.serial)), "app", 0);
            let namespace = self.app_namespace(&mut dice);
            let name = self.app_name(&mut dice);
            let (mut workload, mut dice) = self.workload(Kind::Deployment, namespace, name);
            workload.revision = dice.between(2, 40);
            workload.generation = workload.revision + dice.below(20);
            workload.paused = dice.percent(1);
            workload.companions = Companions {
                service: first || dice.percent(80),
                ingress: first || dice.percent(15),
                autoscaler: first || dice.percent(20),
                disruption_budget: first || dice.percent(25),
                config: first || dice.percent(70),
                secret: first || dice.percent(40),
                role: first || dice.percent(10),
            };
            workload.companions.service |= workload.companions.ingress;
            let mut set = self.set(workload.id, &workload, &mut dice);
            set.id = self.cluster.next_id();
            for old in old_revisions(workload.revision, dice.between(1, 2)) {
                let id = self.cluster.next_id();
                let age = i64::from((workload.revision - old) * 5 * DAY);
                let created = set.created - age;
                workload.created = workload.created.min(created - 60);
                let outcome = Outcome::Open;
                let generation = 3;
                workload.sets.push(PodSet {
                    id,
                    created,
                    revision: old,
                    desired: 0,
                    generation,
                    outcome,
                    pods: vec![],
                });
            }
            let wanted = replicas(&mut dice);
            self.fill(workload, set, wanted);
            first = false;
        }
    }

    /// Deployments of equal, healthy pods.
    fn uniform(&mut self) {
        while self.left > 0 {
            let mut dice = self.cluster.dice(Id(u64::from(self.serial)), "app", 0);
            let namespace = self.app_namespace(&mut dice);
            let name = self.app_name(&mut dice);
            let (workload, mut dice) = self.workload(Kind::Deployment, namespace, name);
            let mut set = self.set(workload.id, &workload, &mut dice);
            set.id = self.cluster.next_id();
            self.fill(workload, set, UNIFORM_REPLICAS);
        }
    }

    /// The set of pods that are of a workload's current revision.
    fn set(&self, id: Id, workload: &Workload, dice: &mut Dice) -> PodSet {
        let created = ago(self.cluster.now, dice.between(HOUR, 30 * DAY));
        PodSet {
            id,
            created,
            revision: workload.revision,
            desired: 0,
            generation: 1,
            outcome: Outcome::Open,
            pods: Vec::new(),
        }
    }

    /// Gives a set as many pods as it wants and the plan still has.
    fn fill(&mut self, mut workload: Workload, mut set: PodSet, wanted: u32) {
        let count = self.take(wanted);
        for ordinal in 0..count {
            let id = self.cluster.next_id();
            let mut dice = self.cluster.dice(id, "place", 0);
            let age = to_u32(self.cluster.now - set.created);
            let created = set.created + i64::from(dice.below(age / 2));
            let mut pod = pod(id, ordinal, created);
            if !self.cluster.uniform {
                let may_end = workload.kind == Kind::Deployment && set.pods.iter().any(Pod::active);
                self.mix.apply(&mut pod, self.cluster.now, may_end);
            }
            if pod.state != State::Unschedulable {
                pod.placement = self.cluster.place(&mut dice, false);
                if pod.placement.is_none() {
                    pod = Pod { state: State::Unschedulable, last_exit: None, restarts: 0, ..pod };
                }
            }
            set.pods.push(pod);
        }
        // A pod that ended has been replaced: what is active is what was asked for.
        workload.base = wanted;
        self.finish(workload, set);
    }

    fn finish(&mut self, mut workload: Workload, mut set: PodSet) {
        set.desired = u32::try_from(set.pods.iter().filter(|pod| pod.active()).count()).unwrap_or(u32::MAX);
        workload.desired = set.desired;
        workload.progressed = set.created + 90;
        workload.sets.push(set);
        self.cluster.workloads.push(workload);
    }

    /// One node in fifty is lost, and one in fifty cordoned, in clusters large enough to live with it.
    fn trouble_nodes(&mut self) {
        let now = self.cluster.now;
        for node in self.cluster.nodes.iter_mut().filter(|node| node.index >= 10) {
            match node.index % 50 {
                13 => {
                    (node.ready, node.since, node.heartbeat) = (false, ago(now, 150), ago(now, 190));
                }
                17 => node.cordoned = true,
                _ => {}
            }
        }
        let lost: Vec<u32> = self.cluster.nodes.iter().filter(|node| !node.ready).map(|node| node.index).collect();
        let pods =
            self.cluster.workloads.iter_mut().flat_map(|workload| &mut workload.sets).flat_map(|set| &mut set.pods);
        for pod in pods {
            if pod.placement.is_some_and(|place| lost.contains(&place.node)) && !pod.ended() {
                pod.lost = Some(ago(now, 150));
            }
        }
    }
}

/// A running pod, not placed yet.
pub(crate) fn pod(id: Id, ordinal: u32, created: i64) -> Pod {
    Pod {
        id,
        ordinal,
        placement: None,
        created,
        state: State::Running,
        since: created + 12,
        restarts: 0,
        last_exit: None,
        deleted: None,
        lost: None,
    }
}

/// Which pods are in trouble: a few of every hundred, so that small clusters have some too.
#[derive(Default)]
struct Mix {
    seen: u32,
    evictions_due: u32,
}

impl Mix {
    fn apply(&mut self, pod: &mut Pod, now: i64, may_end: bool) {
        let nth = self.seen % 200;
        self.seen += 1;
        self.evictions_due += u32::from(nth % 100 == 31);
        let recent = ago(now, 30 + nth * 7);
        let restarted = |pod: &mut Pod, reason, restarts| {
            pod.restarts = restarts;
            pod.last_exit = Some(Exit { reason, at: recent });
            pod.since = recent + 2;
        };
        match nth {
            7 => {
                restarted(pod, ExitReason::OutOfMemory, 14);
                pod.state = State::CrashLoop;
            }
            107 => {
                restarted(pod, ExitReason::Error, 231);
                pod.state = State::CrashLoop;
            }
            11 | 61 | 111 => restarted(pod, ExitReason::OutOfMemory, 1),
            13 | 43 | 73 | 133 => restarted(pod, ExitReason::Error, 2),
            83 => restarted(pod, ExitReason::Completed, 5),
            17 => (pod.state, pod.created, pod.since) = (State::ImagePull, recent, recent),
            19 => (pod.state, pod.created, pod.since) = (State::Unschedulable, recent, recent),
            123 => {
                let moment = ago(now, 4);
                (pod.state, pod.created, pod.since) = (State::Creating, moment, moment);
            }
            23 => (pod.state, pod.since) = (State::Unready, recent),
            _ if may_end && self.evictions_due > 0 => {
                self.evictions_due -= 1;
                (pod.state, pod.since) = (State::Evicted, recent.max(pod.created));
            }
            _ => {}
        }
    }
}

fn namespaces(cluster: &mut Cluster, pods: u32) {
    let now = cluster.now;
    let push = |cluster: &mut Cluster, name: String, team, environment| {
        let id = cluster.next_id();
        let created = ago(now, cluster.dice(id, "age", 0).between(400 * DAY, 500 * DAY));
        cluster.namespaces.push(Namespace { id, name, team, environment, created });
    };
    for name in PLATFORM {
        push(cluster, name.to_owned(), "platform", "prod");
    }
    for nth in 0..to_usize(pods / 300).clamp(3, 2000) {
        let team = TEAMS.get(nth % TEAMS.len()).copied().unwrap_or("apps");
        let environment = ENVIRONMENTS.get(nth / TEAMS.len() % ENVIRONMENTS.len()).copied().unwrap_or("prod");
        let lap = nth / (TEAMS.len() * ENVIRONMENTS.len());
        let name = if lap == 0 { format!("{team}-{environment}") } else { format!("{team}-{environment}-{lap}") };
        push(cluster, name, team, environment);
    }
}

/// Most Deployments are small, a few are large.
fn replicas(dice: &mut Dice) -> u32 {
    match dice.below(100) {
        0..=2 => 0,
        3..=24 => 1,
        25..=54 => 2,
        55..=74 => 3,
        75..=87 => dice.between(4, 10),
        88..=96 => dice.between(11, 40),
        _ => dice.between(41, 150),
    }
}

/// The revisions before `current`, oldest first.
fn old_revisions(current: u32, count: u32) -> std::ops::Range<u32> {
    current.saturating_sub(count).max(1)..current
}

pub(crate) fn ago(now: i64, seconds: u32) -> i64 {
    now - i64::from(seconds)
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn to_u32(seconds: i64) -> u32 {
    u32::try_from(seconds).unwrap_or(0)
}
