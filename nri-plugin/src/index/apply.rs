//! An event → what is known. The kernel's files are read before the table is locked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::locate::{Clues, Located, locate};
use super::table::Table;
use super::types::{Container, ContainerInfo, Event, Kind, Phase, PodInfo};
use super::{ContainerIndex, Inner};

impl ContainerIndex {
    /// Takes an event; gives the containers that vanished with it: those that were removed, or that a full set did not
    /// have. They are known for the grace time yet.
    ///
    /// Events of one container have to come in their order: call it from one task.
    pub fn apply(&self, event: Event) -> Vec<Arc<Container>> {
        let inner = &*self.inner;
        match event {
            Event::PodStarted(pod) => {
                if let Some((pod, located)) = inner.bounds.pod(pod).map(|pod| inner.with_sandbox(pod)) {
                    inner.write(|table, _| table.put_pod(&pod.into(), located, Phase::Live));
                }
                Vec::new()
            }
            Event::ContainerStarted(container) => {
                if let Some(container) = inner.bounds.container(container) {
                    let pod = inner.table.lock().pod(&container.pod_id).cloned();
                    let located = inner.locate(&container, pod.as_deref());
                    inner.write(|table, now| put_container(table, container, located, now));
                }
                Vec::new()
            }
            Event::PodStopped(id) | Event::ContainerStopped(id) => {
                inner.write(|table, now| table.stop(&id, now));
                Vec::new()
            }
            Event::PodRemoved(id) => inner.write(|table, now| table.remove_pod(&id, now)),
            Event::ContainerRemoved(id) => inner.write(|table, now| table.remove(&id, now)).into_iter().collect(),
            Event::Synchronized { pods, containers } => inner.synchronize(pods, containers),
        }
    }
}

impl Inner {
    /// Writes, and forgets those whose time is over.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Table, Instant) -> T) -> T {
        let now = Instant::now();
        let mut table = self.table.lock();
        let before = table.next_leaving();
        let result = change(&mut table, now);
        table.sweep(now);
        if before.is_none() && table.next_leaving().is_some() {
            self.leaving.notify_one();
        }
        result
    }

    fn with_sandbox(&self, pod: PodInfo) -> (PodInfo, Option<Located>) {
        let located = self.locate_by(Clues {
            id: &pod.id,
            pid: pod.pid,
            cgroups_path: &pod.cgroups_path,
            cgroup_parent: &pod.cgroup_parent,
        });
        (pod, located)
    }

    fn locate(&self, container: &ContainerInfo, pod: Option<&PodInfo>) -> Option<Located> {
        let clues = Clues {
            id: &container.id,
            pid: container.pid,
            cgroups_path: &container.cgroups_path,
            cgroup_parent: pod.map_or("", |pod| &pod.cgroup_parent),
        };
        // The directory of one that has ended is gone, or another's.
        if container.stopped { None } else { self.locate_by(clues) }
    }

    fn locate_by(&self, clues: Clues<'_>) -> Option<Located> {
        locate(&self.cgroups, clues, self.bounds.nested, |cgroup| !self.published.is_anothers(cgroup.id, clues.id))
    }

    fn synchronize(&self, pods: Vec<PodInfo>, containers: Vec<ContainerInfo>) -> Vec<Arc<Container>> {
        let pods: Vec<_> =
            pods.into_iter().filter_map(|pod| self.bounds.pod(pod)).map(|pod| self.with_sandbox(pod)).collect();
        let by_id: HashMap<&str, &PodInfo> = pods.iter().map(|(pod, _)| (pod.id.as_str(), pod)).collect();
        let located = |container: ContainerInfo| {
            let located = self.locate(&container, by_id.get(container.pod_id.as_str()).copied());
            (container, located)
        };
        let containers: Vec<_> =
            containers.into_iter().filter_map(|container| self.bounds.container(container)).map(located).collect();
        let there: HashSet<String> = pods
            .iter()
            .map(|(pod, _)| &pod.id)
            .chain(containers.iter().map(|(container, _)| &container.id))
            .cloned()
            .collect();
        self.write(|table, now| {
            let told = table.all().filter(|known| known.kind != Kind::Found && !there.contains(&*known.id));
            let gone: Vec<_> = told.map(|known| known.id.clone()).collect();
            // The old first: they make room.
            let vanished = gone.iter().filter_map(|id| table.remove(id, now)).collect();
            for id in &there {
                table.stays(id);
            }
            for (pod, located) in pods {
                // Runtimes tell of sandboxes that have ended as well, such as those of jobs.
                let has_ended = pod.pid.is_none() && located.is_none();
                let phase = if has_ended { Phase::Ended { at: now } } else { Phase::Live };
                table.put_pod(&pod.into(), located, phase);
            }
            for (container, located) in containers {
                put_container(table, container, located, now);
            }
            vanished
        })
    }
}

fn put_container(table: &mut Table, info: ContainerInfo, located: Option<Located>, now: Instant) {
    let mut container = table.known_or_new(&info.id);
    container.kind = Kind::Container;
    let told = if info.stopped { Phase::Ended { at: now } } else { Phase::Live };
    container.phase = told.after(container.phase, located.is_some());
    let pod_id = info.pod_id.clone();
    container.info = Some(info.into());
    table.put(container, &pod_id, located);
}
