//! The pods and containers of a node, and how events show them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::api::{Container, ContainerState, ContainerUpdate, Event, LinuxResources, PodSandbox};
use super::failure::Failure;
use super::owners::Owners;
use super::resources;
use super::version::Version;

/// A pod, as it is while it runs.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) sandbox: PodSandbox,
    pub(super) stopped: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) pods: BTreeMap<String, Pod>,
    pub(super) containers: BTreeMap<String, Container>,
    /// Containers whose updates fail.
    pub(super) failing: BTreeSet<String>,
    /// What plugins are told when they join, where a caller says so.
    pub(super) told: Option<(Vec<PodSandbox>, Vec<Container>)>,
    random: ChaCha8Rng,
    last_pid: u32,
    began: (SystemTime, Instant),
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            pods: BTreeMap::new(),
            containers: BTreeMap::new(),
            failing: BTreeSet::new(),
            told: None,
            random: ChaCha8Rng::seed_from_u64(seed),
            last_pid: 1000,
            began: (SystemTime::now(), Instant::now()),
        }
    }

    /// An id as runtimes give it: 64 digits.
    pub(super) fn id(&mut self) -> String {
        let mut half = || self.random.random::<u128>();
        format!("{:032x}{:032x}", half(), half())
    }

    /// A uid as the API server gives it.
    pub(super) fn uid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.random.random()).into_uuid().to_string()
    }

    /// A number that no process of this node has; real processes may.
    pub(super) fn pid(&mut self) -> u32 {
        self.last_pid = self.last_pid.wrapping_add(1).max(1001);
        self.last_pid
    }

    /// Nanoseconds of Unix time, by tokio's clock.
    pub(super) fn now(&self) -> i64 {
        let (system, instant) = self.began;
        let since = system.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO) + instant.elapsed();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    pub(super) fn pod(&self, id: &str) -> Result<&Pod, Failure> {
        self.pods.get(id).ok_or_else(|| Failure::Unknown(id.to_owned()))
    }

    pub(super) fn container(&self, id: &str) -> Result<&Container, Failure> {
        self.containers.get(id).ok_or_else(|| Failure::Unknown(id.to_owned()))
    }

    /// Changes a container, and gives it and its pod.
    pub(super) fn change(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Container),
    ) -> Result<(Pod, Container), Failure> {
        let container = self.containers.get_mut(id).ok_or_else(|| Failure::Unknown(id.to_owned()))?;
        change(container);
        let container = container.clone();
        Ok((self.pod(&container.pod_sandbox_id)?.clone(), container))
    }

    /// What a plugin is synchronized with: all pods, and the containers that have not stopped; or what a caller says.
    pub(super) fn listed(&self, version: Version) -> (Vec<PodSandbox>, Vec<Container>) {
        if let Some(told) = &self.told {
            return told.clone();
        }
        let pods = self.pods.values().map(|pod| pod.seen(version, None)).collect();
        let running =
            self.containers.values().filter(|container| container.state() != ContainerState::ContainerStopped);
        (pods, running.map(|container| seen(version, container.clone())).collect())
    }

    /// Does the updates, and gives those that failed: those that are to. As with containerd, nothing else fails for a
    /// container that is not there.
    pub(super) fn update(&mut self, updates: Vec<ContainerUpdate>) -> Vec<ContainerUpdate> {
        let mut failed = Vec::new();
        for update in updates {
            if self.failing.contains(&update.container_id) {
                if !update.ignore_failure {
                    failed.push(update);
                }
                continue;
            }
            let Some(container) = self.containers.get_mut(&update.container_id) else { continue };
            if let Some(resources) = update.linux.and_then(|linux| linux.resources) {
                overlay(container, &resources);
            }
        }
        failed
    }
}

/// Sets of a container's resources what is given.
pub(super) fn overlay(container: &mut Container, with: &LinuxResources) {
    let own = container.linux.get_or_insert_default().resources.get_or_insert_default();
    own.hugepage_limits.retain(|limit| with.hugepage_limits.iter().all(|new| new.page_size != limit.page_size));
    if let Some(pids) = with.pids {
        own.pids = Some(pids);
    }
    // Nobody else claims anything here; a page size that is given twice stops it.
    let _ = resources::set(&mut Owners::default().of(&container.id, ""), with, &mut [own]);
}

impl Pod {
    /// The pod as a version and an event show it: the pause container's process and cgroup end with the pod.
    pub(super) fn seen(&self, version: Version, event: Option<Event>) -> PodSandbox {
        let mut pod = self.sandbox.clone();
        if version < Version::V0_8 {
            pod.ips.clear();
        }
        let removed = event == Some(Event::RemovePodSandbox);
        if removed || self.stopped {
            pod.pid = 0;
            if removed || version < Version::V0_8 {
                pod.linux.get_or_insert_default().cgroups_path.clear();
            }
        }
        pod
    }
}

/// The container as a version shows it.
pub(super) fn seen(version: Version, mut container: Container) -> Container {
    if version < Version::V0_10 {
        (container.created_at, container.started_at, container.finished_at) = (0, 0, 0);
        container.exit_code = 0;
        container.status_reason.clear();
        container.status_message.clear();
        container.cdi_devices.clear();
    }
    if version < Version::V0_6 {
        container.rlimits.clear();
    }
    if version < Version::V0_12 {
        container.user = None;
    }
    if version < Version::V0_12_5 {
        container.image = None;
    }
    container
}
