//! What happens to single pods and workloads out of the blue.

use super::changes::Changes;
use super::{Churn, Place, Process};
use crate::Mutation;
use crate::population::model::{Exit, ExitReason, Kind, Pod, State};
use crate::population::policy;

impl Churn {
    /// A container fails and is running again at once.
    pub(super) fn restart(&mut self) -> Vec<Mutation> {
        let Some(place) = self.any_running_pod(|kind| !kind.runs_to_completion()) else {
            return Vec::new();
        };
        self.exit(place, ExitReason::Error, State::Running)
    }

    /// A container is killed for want of memory; sometimes it can not get up again for a while.
    pub(super) fn out_of_memory(&mut self) -> Vec<Mutation> {
        let Some(place) = self.any_running_pod(|kind| !kind.runs_to_completion()) else {
            return Vec::new();
        };
        let after = if self.dice.percent(33) { State::CrashLoop } else { State::Running };
        if after == State::CrashLoop {
            self.under_way.push(Process::Recover(place));
        }
        self.exit(place, ExitReason::OutOfMemory, after)
    }

    fn exit(&mut self, place: Place, reason: ExitReason, after: State) -> Vec<Mutation> {
        self.change_pod(place, |pod, now| {
            pod.restarts = pod.restarts.saturating_add(1);
            pod.last_exit = Some(Exit { reason, at: now });
            (pod.state, pod.since) = (after, now + 2);
        })
    }

    /// A pod fails its readiness probe for a while.
    pub(super) fn unready(&mut self) -> Vec<Mutation> {
        let Some(place) = self.any_running_pod(|kind| !kind.runs_to_completion()) else {
            return Vec::new();
        };
        self.under_way.push(Process::Recover(place));
        self.change_pod(place, |pod, now| (pod.state, pod.since) = (State::Unready, now))
    }

    /// Somebody deletes a pod; its controller will make another.
    pub(super) fn delete(&mut self) -> Vec<Mutation> {
        let Some(place) = self.any_running_pod(replaced) else {
            return Vec::new();
        };
        self.reconcile_later(place.workload);
        self.change_pod(place, |pod, now| pod.deleted = Some(now + 30))
    }

    /// A node is short of memory and ends a pod; its controller will make another. Of the pods that were
    /// evicted only the latest are kept.
    pub(super) fn evict(&mut self) -> Vec<Mutation> {
        let Some(place) = self.any_running_pod(|kind| kind == Kind::Deployment) else {
            return Vec::new();
        };
        self.reconcile_later(place.workload);
        self.evicted.push_back(place);
        let mut mutations = self.change_pod(place, |pod, now| (pod.state, pod.since) = (State::Evicted, now));
        if self.evicted.len() > (self.cluster.workloads.len() / 50).max(1)
            && let Some(oldest) = self.evicted.pop_front()
        {
            mutations.extend(self.remove_pod(oldest));
        }
        mutations
    }

    /// A pod in trouble gets a step better; over when it runs, or is no more.
    pub(super) fn recover(&mut self, place: Place) -> (Vec<Mutation>, Option<Process>) {
        let again = Some(Process::Recover(place));
        let Some(pod) = self.pod_mut(place) else {
            return (Vec::new(), None);
        };
        if pod.deleted.is_some() || pod.ended() {
            return (Vec::new(), None);
        }
        if pod.lost.is_some() {
            return (Vec::new(), again);
        }
        match pod.state {
            State::Unschedulable => {
                let mut dice = self.cluster.dice(place.pod, "place", 1);
                let Some(placement) = self.cluster.place(&mut dice, false) else {
                    return (Vec::new(), again);
                };
                let mutations = self.change_pod(place, |pod, now| {
                    pod.placement = Some(placement);
                    (pod.state, pod.since) = (State::Creating, now);
                });
                (mutations, again)
            }
            State::Creating | State::CrashLoop | State::ImagePull | State::Unready => {
                let mutations = self.change_pod(place, |pod, now| {
                    if pod.state == State::CrashLoop {
                        pod.restarts = pod.restarts.saturating_add(1);
                        pod.last_exit = Some(Exit { reason: ExitReason::Error, at: now - 1 });
                    }
                    (pod.state, pod.since) = (State::Running, now);
                });
                (mutations, None)
            }
            _ => (Vec::new(), None),
        }
    }

    /// An autoscaler reads its metrics.
    pub(super) fn measure(&mut self) -> Vec<Mutation> {
        let Some(index) = self.any_workload(|workload| workload.companions.autoscaler) else {
            return Vec::new();
        };
        let now = self.now;
        let cluster = &self.cluster;
        let measured = cluster.workloads.get(index).map(|workload| policy::autoscaler(cluster, workload, now));
        measured.into_iter().map(Mutation::Upsert).collect()
    }

    /// Changes the facts of one pod, and says what that looks like.
    pub(super) fn change_pod(&mut self, place: Place, change: impl FnOnce(&mut Pod, i64)) -> Vec<Mutation> {
        let (mut changes, now) = (Changes::of(&self.cluster, place.workload), self.now);
        let Some(pod) = self.pod_mut(place) else {
            return Vec::new();
        };
        change(pod, now);
        changes.pod(place.set, pod);
        if let Some(workload) = self.cluster.workloads.get_mut(place.workload) {
            workload.progressed = now;
        }
        changes.into_mutations(&self.cluster)
    }

    /// Takes a pod out, and gives its address back.
    pub(super) fn remove_pod(&mut self, place: Place) -> Vec<Mutation> {
        let mut changes = Changes::of(&self.cluster, place.workload);
        let Some(workload) = self.cluster.workloads.get(place.workload) else {
            return Vec::new();
        };
        let found = workload.sets.iter().find(|set| set.id == place.set);
        let found = found.and_then(|set| Some((set, set.pods.iter().find(|pod| pod.id == place.pod)?)));
        let Some((set, pod)) = found else {
            return Vec::new();
        };
        changes.remove_pod(&self.cluster, workload, set, pod);
        let placement = pod.placement;
        if let Some(set) = self.set_mut(place.workload, place.set) {
            set.pods.retain(|pod| pod.id != place.pod);
        }
        if let Some(placement) = placement {
            self.cluster.vacate(placement);
        }
        changes.into_mutations(&self.cluster)
    }
}

/// Workloads whose controller replaces a pod that is gone.
pub(super) fn replaced(kind: Kind) -> bool {
    matches!(kind, Kind::Deployment | Kind::StatefulSet { .. } | Kind::ReplicationController)
}
