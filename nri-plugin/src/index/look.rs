//! Look-ups and scans that read the kernel's files.

use std::path::Path;
use std::sync::Arc;

use metrics::counter;
use tokio::time::Instant;

use super::locate::{Located, inside};
use super::types::{Container, Kind, Phase};
use super::{ContainerIndex, Inner, telemetry};
use crate::cgroup::{CgroupDir, identify};

/// Cgroups that a scan looks at: a node of 500 pods has some 2,000.
const MAX_SCANNED: usize = 100_000;

/// What a scan of the cgroup tree found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// The containers in the tree, those that were known before included.
    pub found: usize,
    /// Those that an earlier scan found, that no runtime told of, and that are gone.
    pub vanished: Vec<Arc<Container>>,
    /// Whether the whole tree was seen. If not, nothing vanished.
    pub complete: bool,
}

impl ContainerIndex {
    /// The container that a process is in.
    pub fn by_pid(&self, pid: u32) -> Option<Arc<Container>> {
        let process = self.inner.cgroups.process(pid).ok()?;
        let directory = process.unified.and_then(|path| self.inner.cgroups.directory(&path));
        let unified = directory.and_then(|directory| self.by_path(&directory));
        // On a hybrid host it may be in the hierarchies of version 1 alone.
        unified.or_else(|| process.legacy.iter().find_map(|legacy| self.inner.by_names(legacy.path.names())))
    }

    /// The innermost container that a cgroup lies in: a directory under the mount, or a path from the root of the host's
    /// hierarchy.
    pub fn by_path(&self, path: &Path) -> Option<Arc<Container>> {
        let mount = self.inner.cgroups.mount_point();
        let on_host = if path.starts_with(mount) { None } else { self.inner.cgroups.host_directory(path) };
        let directory = on_host.as_deref().unwrap_or(path);
        let known = directory
            .ancestors()
            .take_while(|above| above.starts_with(mount) && *above != mount)
            .find_map(|above| self.inner.published.by_directory(above));
        known.or_else(|| self.inner.by_names(path))
    }

    /// Like [`by_cgroup_id`](Self::by_cgroup_id); an id that is not known is looked for among the cgroups inside of
    /// containers. One that is not there either is not looked for again for
    /// [some time](super::ContainerIndexBuilder::miss_lifetime), and walks are
    /// [apart](super::ContainerIndexBuilder::walk_interval).
    pub fn find_cgroup_id(&self, id: u64) -> Option<Arc<Container>> {
        // 0 is none at all, and 1 the root's.
        if id <= 2 {
            return None;
        }
        if let Some(known) = self.by_cgroup_id(id) {
            return Some(known);
        }
        // Held while walking: whoever waits finds what this walk found.
        let mut misses = self.inner.misses.lock();
        if let Some(known) = self.by_cgroup_id(id) {
            return Some(known);
        }
        let now = Instant::now();
        if !misses.may_look(id, now, &self.inner.bounds) {
            return None;
        }
        self.inner.walk_containers();
        let found = self.by_cgroup_id(id);
        if found.is_none() {
            misses.remember(id, now, &self.inner.bounds);
        }
        found
    }

    /// Looks for containers in the whole cgroup tree, by the [names](identify) of their cgroups: for hosts without NRI, and
    /// for the time before it. Call it now and then where no events come: what it found itself vanishes by a scan only.
    pub fn scan(&self) -> Scan {
        let inner = &*self.inner;
        let mut containers: Vec<(Container, Located)> = Vec::new();
        let mount = inner.cgroups.mount_point();
        let complete = inner.cgroups.walk(mount, MAX_SCANNED, |cgroup| {
            // A container's own directory; what lies in it is looked at below.
            let identity = identify(&cgroup.path).filter(|identity| *identity.directory == *cgroup.path);
            if let Some(identity) = identity {
                let container = Container {
                    id: identity.container_id.into(),
                    kind: Kind::Found,
                    phase: Phase::Live,
                    info: None,
                    pod: None,
                    cgroup: None,
                    found_pod_uid: identity.pod_uid,
                };
                containers.push((container, Located { own: cgroup, nested: Vec::new(), complete: true }));
            }
            true
        });
        for (_, located) in &mut containers {
            let belongs =
                |inside: &CgroupDir| identify(&inside.path).is_none_or(|of| *of.directory == *located.own.path);
            let (nested, complete) = inside(&inner.cgroups, &located.own.path, inner.bounds.nested, belongs);
            (located.nested, located.complete) = (nested, complete);
        }
        let found = containers.len();
        let vanished = inner.take_found(containers, complete);
        Scan { found, vanished, complete }
    }
}

impl Inner {
    /// A container by the ids in a path.
    fn by_names(&self, path: &Path) -> Option<Arc<Container>> {
        let mut path = path;
        loop {
            let identity = identify(path)?;
            let known = self.published.by_id(identity.container_id);
            if known.is_some() {
                return known;
            }
            path = identity.directory.parent()?;
        }
    }

    /// Looks at the cgroups inside of all living containers, and whether their own are still the same.
    fn walk_containers(&self) {
        counter!(telemetry::WALKS).increment(1);
        for container in self.published.all() {
            let Some(known) = container.cgroup.as_ref().filter(|_| !container.is_ended()) else { continue };
            let Ok(own) = self.cgroups.stat(known.path.clone()) else { continue };
            let belongs = |cgroup: &CgroupDir| !self.published.is_anothers(cgroup.id, &container.id);
            let (nested, complete) = inside(&self.cgroups, &own.path, self.bounds.nested, belongs);
            let mut table = self.table.lock();
            if own != *known {
                table.update(&container.id, |container| container.cgroup = Some(own));
            }
            table.put_nested(&container.id, &nested, complete);
        }
    }

    fn take_found(&self, containers: Vec<(Container, Located)>, complete: bool) -> Vec<Arc<Container>> {
        self.write(|table, now| {
            let there: std::collections::HashSet<_> =
                containers.iter().map(|(container, _)| container.id.clone()).collect();
            let gone: Vec<_> = table
                .all()
                .filter(|known| complete && known.kind == Kind::Found && !there.contains(&known.id))
                .map(|known| known.id.clone())
                .collect();
            let vanished = gone.iter().filter_map(|id| table.remove(id, now)).collect();
            for (found, located) in containers {
                match table.get(&found.id) {
                    // The runtime knows better that it has ended.
                    Some(known) if known.is_ended() && known.kind != Kind::Found => {}
                    Some(known) => {
                        let mut known = Container::clone(known);
                        known.phase = Phase::Live;
                        known.found_pod_uid = found.found_pod_uid;
                        let pod = table.pod_of(&known.id);
                        table.put(known, &pod, Some(located));
                    }
                    None => {
                        table.put(found, "", Some(located));
                    }
                }
            }
            vanished
        })
    }
}
