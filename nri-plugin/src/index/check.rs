//! Ends that nobody told.

use std::sync::Arc;

use metrics::counter;

use super::types::{Container, Kind};
use super::{ContainerIndex, telemetry};

impl ContainerIndex {
    /// Looks whether the cgroups of those that live are still there, and gives the containers that had vanished: a runtime
    /// does not tell of the end of each pod. containerd 1.7 and 2.1 that were restarted never tell of that of a pod from
    /// before. [`run`](Self::run) does it [now and then](super::ContainerIndexBuilder::check_interval).
    ///
    /// What only a [`scan`](Self::scan) has found is left to the scan.
    pub fn check(&self) -> Vec<Arc<Container>> {
        let inner = &*self.inner;
        let is_gone = |container: &Container| {
            let own = container.cgroup.as_ref().filter(|_| !container.is_ended() && container.kind != Kind::Found);
            own.is_some_and(|own| inner.cgroups.stat(own.path.clone()).is_err_and(|error| error.is_gone()))
        };
        let gone: Vec<_> = inner.published.all().into_iter().filter(|container| is_gone(container)).collect();
        let vanished: Vec<_> = inner.write(|table, now| {
            let vanish = |seen: &Arc<Container>| {
                // An event may have moved it meanwhile, or told of its end.
                let known = table.get(&seen.id).filter(|known| !known.is_ended() && known.cgroup == seen.cgroup)?;
                let id = known.id.clone();
                table.remove(&id, now)
            };
            gone.iter().filter_map(vanish).collect()
        });
        if !vanished.is_empty() {
            counter!(telemetry::UNTOLD).increment(vanished.len() as u64);
        }
        vanished
    }
}
