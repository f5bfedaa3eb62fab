//! What the controllers of Deployments, StatefulSets and ReplicationControllers do: one step at a time
//! towards what is asked for, from whatever there is.

use super::changes::Changes;
use super::{Churn, Place, Process};
use crate::Mutation;
use crate::population::dice::Id;
use crate::population::model::{Kind, Outcome, Pod, PodSet, State, Workload};
use crate::population::plan;
use crate::population::workload::{Counts, floor, surge};

/// How many old ReplicaSets a Deployment keeps.
const HISTORY: usize = 3;

/// The next thing a controller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The pod's time is up: it goes.
    Remove(Id, Id),
    /// The pod's containers start.
    Start(Id, Id),
    /// The newest set gets another pod.
    Spawn,
    /// A pod is asked to go.
    Terminate(Id, Id),
    /// The oldest set goes.
    Forget,
    /// Nothing can be done until something else happens.
    Wait,
    Done,
}

impl Churn {
    /// A new revision of a Deployment's template.
    pub(super) fn rollout(&mut self) -> Vec<Mutation> {
        let Some(index) = self.any_workload(|workload| workload.kind == Kind::Deployment && !workload.paused) else {
            return Vec::new();
        };
        if self.under_way.contains(&Process::Reconcile { workload: index }) {
            return Vec::new();
        }
        let (id, now) = (self.cluster.next_id(), self.now);
        let mut changes = Changes::of(&self.cluster, index);
        let Some(workload) = self.cluster.workloads.get_mut(index) else {
            return Vec::new();
        };
        workload.revision += 1;
        workload.generation += 1;
        workload.progressed = now;
        let (revision, generation, outcome) = (workload.revision, 1, Outcome::Open);
        workload.sets.push(PodSet { id, created: now, revision, desired: 0, generation, outcome, pods: Vec::new() });
        changes.set(id);
        self.reconcile_later(index);
        changes.into_mutations(&self.cluster)
    }

    /// A Deployment is asked for more or fewer replicas, around the number it was made with.
    pub(super) fn scale(&mut self) -> Vec<Mutation> {
        let Some(index) = self.any_workload(|workload| workload.kind == Kind::Deployment && workload.base > 0) else {
            return Vec::new();
        };
        let mut changes = Changes::of(&self.cluster, index);
        let Some(workload) = self.cluster.workloads.get_mut(index) else {
            return Vec::new();
        };
        let (low, high) = (workload.base / 2, workload.base + workload.base.div_ceil(2));
        let wanted = self.dice.between(low.max(1), high);
        if wanted == workload.desired {
            return Vec::new();
        }
        workload.desired = wanted;
        workload.generation += 1;
        workload.progressed = self.now;
        if let Some(set) = workload.sets.last() {
            changes.set(set.id);
        }
        self.reconcile_later(index);
        changes.into_mutations(&self.cluster)
    }

    /// One step of a workload's controller.
    pub(super) fn reconcile(&mut self, index: usize) -> (Vec<Mutation>, Option<Process>) {
        let again = Some(Process::Reconcile { workload: index });
        let Some(workload) = self.workload(index) else {
            return (Vec::new(), None);
        };
        let place = |set, pod| Place { workload: index, set, pod };
        let mutations = match next_step(workload) {
            Step::Done => return (Vec::new(), None),
            Step::Wait => Vec::new(),
            Step::Remove(set, pod) => self.remove_pod(place(set, pod)),
            Step::Start(set, pod) => {
                self.change_pod(place(set, pod), |pod, now| (pod.state, pod.since) = (State::Running, now))
            }
            Step::Spawn => self.spawn(index),
            Step::Terminate(set, pod) => self.terminate(place(set, pod)),
            Step::Forget => self.forget(index),
        };
        (mutations, again)
    }

    /// Another pod for the newest set. A few of them do not come up at once.
    fn spawn(&mut self, index: usize) -> Vec<Mutation> {
        let id = self.cluster.next_id();
        let mut dice = self.cluster.dice(id, "place", 0);
        let luck = dice.below(100);
        let placement = if luck < 2 { None } else { self.cluster.place(&mut dice, false) };
        let mut changes = Changes::of(&self.cluster, index);
        let now = self.now;
        let Some(workload) = self.cluster.workloads.get_mut(index) else {
            return Vec::new();
        };
        workload.progressed = now;
        let ordinal = workload.free_ordinal();
        let Some(set) = workload.sets.last_mut() else {
            return Vec::new();
        };
        let state = match placement {
            None => State::Unschedulable,
            Some(_) if luck < 4 => State::ImagePull,
            Some(_) => State::Creating,
        };
        let pod = Pod { placement, state, since: now, ..plan::pod(id, ordinal, now) };
        changes.pod(set.id, &pod);
        set.pods.push(pod);
        let active = active(set);
        if set.desired < active {
            set.desired = active;
            set.generation += 1;
        }
        let place = Place { workload: index, set: set.id, pod: id };
        if state != State::Creating {
            self.under_way.push(Process::Recover(place));
        }
        changes.into_mutations(&self.cluster)
    }

    /// Asks a pod to go; one that was never placed goes at once.
    fn terminate(&mut self, place: Place) -> Vec<Mutation> {
        let placed = self.pod_mut(place).is_some_and(|pod| pod.placement.is_some());
        if let Some(set) = self.set_mut(place.workload, place.set) {
            set.desired = active(set).saturating_sub(1);
            set.generation += 1;
        }
        if placed { self.change_pod(place, |pod, now| pod.deleted = Some(now + 30)) } else { self.remove_pod(place) }
    }

    /// Drops the oldest set, which has no pods any more.
    fn forget(&mut self, index: usize) -> Vec<Mutation> {
        let mut changes = Changes::of(&self.cluster, index);
        if let Some(workload) = self.cluster.workloads.get(index)
            && let Some(oldest) = workload.sets.first()
        {
            changes.remove_set(&self.cluster, workload, oldest);
        }
        if let Some(workload) = self.cluster.workloads.get_mut(index)
            && !workload.sets.is_empty()
        {
            workload.sets.remove(0);
        }
        changes.into_mutations(&self.cluster)
    }
}

fn active(set: &PodSet) -> u32 {
    Counts::of(set.pods.iter()).active
}

/// What the workload's controller would do now.
fn next_step(workload: &Workload) -> Step {
    let find = |wanted: &dyn Fn(&Pod) -> bool| {
        workload.sets.iter().find_map(|set| Some((set.id, set.pods.iter().find(|pod| wanted(pod))?.id)))
    };
    // A pod on a node that is away can not end before the node says so.
    if let Some((set, pod)) = find(&|pod| pod.deleted.is_some() && pod.lost.is_none()) {
        return Step::Remove(set, pod);
    }
    if let Some((set, pod)) = find(&|pod| pod.state == State::Creating && pod.lost.is_none()) {
        return Step::Start(set, pod);
    }
    let Some((current, old)) = workload.sets.split_last() else {
        return Step::Done;
    };
    let counts = Counts::of(workload.pods());
    let (have, desired) = (active(current), workload.desired);
    let rolling = old.iter().any(|set| active(set) > 0);
    let limit = if rolling { surge(desired) } else { desired };
    let room = counts.active < limit;
    // A StatefulSet's pod comes back under its old name, so the old one must be gone.
    let name_free = !matches!(workload.kind, Kind::StatefulSet { .. }) || workload.free_ordinal() < desired;
    if have < desired && room && name_free {
        return Step::Spawn;
    }
    if let Some((set, pod)) = old.iter().find_map(|set| Some((set.id, spare(set)?)))
        && (!pod.ready() || counts.ready > floor(desired))
    {
        return Step::Terminate(set, pod.id);
    }
    if have > desired
        && let Some(pod) = spare(current)
    {
        return Step::Terminate(current.id, pod.id);
    }
    if workload.kind == Kind::Deployment && old.len() >= HISTORY && old.first().is_some_and(|set| set.pods.is_empty()) {
        return Step::Forget;
    }
    if have == desired && !rolling && counts.terminating == 0 { Step::Done } else { Step::Wait }
}

/// The pod a controller gives up first: one that is not ready, else the last one made.
fn spare(set: &PodSet) -> Option<&Pod> {
    let active = || set.pods.iter().filter(|pod| pod.active());
    active().find(|pod| !pod.ready()).or_else(|| active().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::{Population, PopulationSpec};
    use jiff::Timestamp;

    #[test]
    fn left_to_itself_every_workload_becomes_what_it_asks_for() {
        let mut churn = Churn::new(&Population::new(&PopulationSpec::new(12, 300)), 5);
        let mut second = 1_768_478_401;
        for _ in 0..1_500 {
            second += 1;
            churn.next(Timestamp::from_second(second).unwrap());
        }
        let started = churn.under_way.len();
        assert!(started > 5, "{started} processes under way");
        for _ in 0..200_000 {
            if churn.under_way.is_empty() {
                break;
            }
            churn.continue_process();
        }
        assert!(churn.under_way.is_empty(), "never ends: {:?}", churn.under_way);
        for workload in churn.cluster.workloads.iter().filter(|workload| !workload.kind.runs_to_completion()) {
            let (newest, old) = workload.sets.split_last().unwrap();
            assert_eq!(active(newest), workload.desired, "{}", workload.name);
            assert!(old.iter().all(|set| active(set) == 0), "{}", workload.name);
            assert!(old.len() <= HISTORY, "{}", workload.name);
        }
    }
}
