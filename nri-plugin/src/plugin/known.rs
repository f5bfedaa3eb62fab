//! What a plugin was told of, so that it can be told what vanished while it was not connected.

use std::collections::HashSet;

use parking_lot::Mutex;

use crate::api::{Container, PodSandbox};
use crate::telemetry;

/// What a plugin was told of and was not told the removal of, and that is not there any more: it went while the plugin was
/// not connected. Ids, in no order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vanished {
    /// Pods, by their sandboxes' ids.
    pub pods: Vec<String>,
    /// Containers.
    pub containers: Vec<String>,
}

#[derive(Debug, Default)]
struct Ids {
    /// Whether the plugin was told all that there was.
    synchronized: bool,
    pods: HashSet<String>,
    containers: HashSet<String>,
    /// What vanished, until the plugin has taken it in.
    vanished: Vanished,
}

/// The ids that a plugin was told of, over all of its sessions.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Ids>);

impl Known {
    /// The plugin is told of a pod, and of a container in it, unless that has no id. What is beyond `most` is counted.
    pub(super) fn told(&self, pod: &PodSandbox, container: Option<&Container>, most: usize) {
        let mut ids = self.0.lock();
        let full = ids.pods.len() + ids.containers.len() >= most;
        let Ids { pods, containers, .. } = &mut *ids;
        for (set, id) in [(pods, Some(&pod.id)), (containers, container.map(|container| &container.id))] {
            match id {
                Some(id) if id.is_empty() || set.contains(id) => {}
                Some(_) if full => telemetry::untracked(),
                Some(id) => {
                    set.insert(id.clone());
                }
                None => {}
            }
        }
    }

    pub(super) fn removed_pod(&self, id: &str) {
        self.0.lock().pods.remove(id);
    }

    pub(super) fn removed_container(&self, id: &str) {
        self.0.lock().containers.remove(id);
    }

    /// The plugin is told all that there is; what vanished, unless it is told for the first time. There are no more of
    /// them than a session takes.
    pub(super) fn synchronized(&self, pods: &[PodSandbox], containers: &[Container]) -> Option<Vanished> {
        let there = Ids {
            synchronized: true,
            pods: pods.iter().map(|pod| pod.id.clone()).collect(),
            containers: containers.iter().map(|container| container.id.clone()).collect(),
            vanished: Vanished::default(),
        };
        let mut ids = self.0.lock();
        let before = std::mem::replace(&mut *ids, there);
        let gone = |before: HashSet<String>, untold: Vec<String>, there: &HashSet<String>| {
            before.into_iter().chain(untold).filter(|id| !there.contains(id)).collect::<Vec<_>>()
        };
        ids.vanished = Vanished {
            pods: gone(before.pods, before.vanished.pods, &ids.pods),
            containers: gone(before.containers, before.vanished.containers, &ids.containers),
        };
        before.synchronized.then(|| ids.vanished.clone())
    }

    /// The plugin has taken in what vanished; otherwise it is told again with the next state.
    pub(super) fn told_vanished(&self) {
        self.0.lock().vanished = Vanished::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(id: &str) -> PodSandbox {
        PodSandbox { id: id.to_owned(), ..PodSandbox::default() }
    }

    fn container(id: &str) -> Container {
        Container { id: id.to_owned(), ..Container::default() }
    }

    #[test]
    fn what_was_told_and_neither_removed_nor_there_has_vanished() {
        let known = Known::default();
        assert_eq!(known.synchronized(&[pod("a"), pod("b")], &[container("c")]), None);
        known.told(&pod("d"), Some(&container("e")), 10);
        known.told(&pod("d"), Some(&container("f")), 10);
        known.removed_pod("b");
        known.removed_container("f");
        let vanished = known.synchronized(&[pod("a")], &[container("new")]).unwrap();
        let sorted = |mut ids: Vec<String>| {
            ids.sort();
            ids
        };
        assert_eq!(
            (sorted(vanished.pods), sorted(vanished.containers)),
            (vec!["d".to_owned()], vec!["c".to_owned(), "e".to_owned()])
        );
        known.told_vanished();
        assert_eq!(known.synchronized(&[pod("a")], &[]).unwrap().containers, ["new"]);
        // It was not taken in.
        let again = known.synchronized(&[], &[]).unwrap();
        assert_eq!((again.pods, again.containers), (vec!["a".to_owned()], vec!["new".to_owned()]));
    }

    #[test]
    fn no_more_are_kept_than_a_session_takes() {
        let known = Known::default();
        for number in 0..100 {
            known.told(&pod(&number.to_string()), None, 10);
        }
        known.told(&pod("0"), Some(&container("")), 10);
        assert_eq!(known.0.lock().pods.len(), 10);
        assert!(known.0.lock().containers.is_empty());
    }
}
