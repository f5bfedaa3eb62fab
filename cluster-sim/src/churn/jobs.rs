//! Jobs: started by a schedule or by hand, run to an end, forgotten after a while.

use super::changes::Changes;
use super::{Churn, Place, Process};
use crate::Mutation;
use crate::population::dice::Id;
use crate::population::model::{Kind, Outcome, Pod, PodSet, State};
use crate::population::plan;

/// How many Jobs of a CronJob are kept.
const HISTORY: usize = 3;

impl Churn {
    /// The next Job of a workload that has none running; with it goes the oldest that is over.
    pub(super) fn start_job(&mut self) -> Vec<Mutation> {
        let found = self.any_workload(|workload| {
            let idle = workload.sets.iter().all(|set| set.outcome != Outcome::Open);
            workload.kind.runs_to_completion() && idle && !workload.paused
        });
        let Some(index) = found else {
            return Vec::new();
        };
        let (set, pod, now) = (self.cluster.next_id(), self.cluster.next_id(), self.now);
        let mut dice = self.cluster.dice(pod, "place", 0);
        let placement = self.cluster.place(&mut dice, false);
        let mut changes = Changes::of(&self.cluster, index);
        let mut vacated = Vec::new();
        if let Some(workload) = self.cluster.workloads.get(index) {
            let keep = if workload.kind == Kind::Errand { 0 } else { HISTORY - 1 };
            for old in workload.sets.iter().take(workload.sets.len().saturating_sub(keep)) {
                changes.remove_set(&self.cluster, workload, old);
                vacated.extend(old.pods.iter().filter_map(|pod| pod.placement));
            }
        }
        for placement in vacated {
            self.cluster.vacate(placement);
        }
        let Some(workload) = self.cluster.workloads.get_mut(index) else {
            return Vec::new();
        };
        let keep = if workload.kind == Kind::Errand { 0 } else { HISTORY - 1 };
        let revision = workload.sets.last().map_or(1, |set| set.revision + 1);
        workload.sets.drain(..workload.sets.len().saturating_sub(keep));
        workload.progressed = now;
        let state = if placement.is_some() { State::Creating } else { State::Unschedulable };
        let pod = Pod { placement, state, since: now, ..plan::pod(pod, 0, now) };
        changes.pod(set, &pod);
        let (desired, generation, outcome) = (1, 1, Outcome::Open);
        workload.sets.push(PodSet { id: set, created: now, revision, desired, generation, outcome, pods: vec![pod] });
        self.under_way.push(Process::Job { workload: index, set });
        changes.into_mutations(&self.cluster)
    }

    /// A Job's pod is placed, starts, runs for a while, and ends.
    pub(super) fn run_job(&mut self, workload: usize, set: Id) -> (Vec<Mutation>, Option<Process>) {
        let again = Some(Process::Job { workload, set });
        let Some(pod) = self.set_mut(workload, set).and_then(|set| set.pods.first_mut()) else {
            return (Vec::new(), None);
        };
        let (place, state) = (Place { workload, set, pod: pod.id }, pod.state);
        if pod.lost.is_some() {
            return (Vec::new(), again);
        }
        match state {
            State::Unschedulable => {
                let (mutations, _) = self.recover(place);
                (mutations, again)
            }
            State::Creating => {
                (self.change_pod(place, |pod, now| (pod.state, pod.since) = (State::Running, now)), again)
            }
            State::Running if self.dice.percent(50) => (Vec::new(), again),
            State::Running => {
                let succeeded = self.dice.percent(92);
                let at = self.now;
                if let Some(set) = self.set_mut(workload, set) {
                    set.outcome = if succeeded { Outcome::Complete { at } } else { Outcome::Failed { at } };
                }
                let end = if succeeded { State::Succeeded } else { State::Failed };
                (self.change_pod(place, |pod, now| (pod.state, pod.since) = (end, now)), None)
            }
            _ => (Vec::new(), None),
        }
    }
}
