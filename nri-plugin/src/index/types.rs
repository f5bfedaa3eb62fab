//! What an index is told, and what it tells. Plain values: no type of a protocol.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::cgroup::CgroupDir;

/// Labels or annotations.
pub type Texts = BTreeMap<String, String>;

/// A pod, as its runtime tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodInfo {
    /// The sandbox's id, which its containers name.
    pub id: String,
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's uid.
    pub uid: String,
    /// Its labels.
    pub labels: Texts,
    /// Its annotations.
    pub annotations: Texts,
    /// The pause container's process; none once it has ended, and in most events but `RUN_POD_SANDBOX` and the full set.
    pub pid: Option<u32>,
    /// `linux.cgroup_parent`: the directory, or bare slice, that the containers' cgroups are made in.
    pub cgroup_parent: String,
    /// `linux.cgroups_path`: that of the pause container; empty once it has ended.
    pub cgroups_path: String,
}

/// A container, as its runtime tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerInfo {
    /// Its id.
    pub id: String,
    /// The id of its pod's sandbox.
    pub pod_id: String,
    /// Its name in the pod.
    pub name: String,
    /// Its labels.
    pub labels: Texts,
    /// Its annotations.
    pub annotations: Texts,
    /// Its image, where the runtime tells (NRI 0.12.2).
    pub image: Option<String>,
    /// Its first process; none before it is started and after it has ended.
    pub pid: Option<u32>,
    /// When it was made, where the runtime tells (NRI 0.10).
    pub created: Option<SystemTime>,
    /// When it was started, where the runtime tells (NRI 0.10).
    pub started: Option<SystemTime>,
    /// `linux.cgroups_path`.
    pub cgroups_path: String,
    /// Whether it has ended, and is still known to the runtime: the state `CONTAINER_STOPPED`.
    pub stopped: bool,
}

/// What happened at the runtime.
///
/// Each event may come twice, late, or never: containers before their pod, a removal without a stop. A full set puts
/// everything right.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A pod is new, or its metadata are others: `RUN_POD_SANDBOX`, `POST_UPDATE_POD_SANDBOX`.
    PodStarted(PodInfo),
    /// A pod's sandbox has ended, by its id: `STOP_POD_SANDBOX`.
    PodStopped(String),
    /// A pod is gone, by its sandbox's id: `REMOVE_POD_SANDBOX`.
    PodRemoved(String),
    /// A container is new or started, or its metadata are others: `POST_CREATE_CONTAINER`, `START_CONTAINER`,
    /// `POST_START_CONTAINER`, `POST_UPDATE_CONTAINER`. At `START_CONTAINER` its cgroup is there, and nothing has run in
    /// it yet: that is the event not to miss.
    ContainerStarted(ContainerInfo),
    /// A container has ended, by its id: `STOP_CONTAINER`.
    ContainerStopped(String),
    /// A container is gone, by its id: `REMOVE_CONTAINER`.
    ContainerRemoved(String),
    /// All that there is: what is known and not in it has vanished. A chunked `Synchronize` has to be joined first.
    Synchronized {
        /// All pods.
        pods: Vec<PodInfo>,
        /// All containers.
        containers: Vec<ContainerInfo>,
    },
}

/// What kind of container it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One of a pod's containers.
    Container,
    /// A pod's pause container, whose id is the sandbox's.
    Sandbox,
    /// One that was found in the cgroup tree, and that no runtime has told of: it has an id, perhaps a pod's uid, and no
    /// names.
    Found,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It was made and runs, or soon will.
    Live,
    /// It has ended, and is kept for late samples.
    Ended {
        /// When that was seen here.
        at: Instant,
    },
}

impl Phase {
    /// The phase that is told, after the one that is known. What has ended lives again only if its cgroup is there: a
    /// start may be told after the end of what was short.
    pub(super) fn after(self, known: Self, located: bool) -> Self {
        match (known, self) {
            (Self::Ended { .. }, Self::Ended { .. }) => known,
            (Self::Ended { .. }, Self::Live) if !located => known,
            _ => self,
        }
    }
}

/// What is known of a container at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Container {
    /// Its id.
    pub id: Arc<str>,
    /// What kind it is.
    pub kind: Kind,
    /// Where it is in its life.
    pub phase: Phase,
    /// What the runtime told of it; none for sandboxes, and for what was only found.
    pub info: Option<Arc<ContainerInfo>>,
    /// Its pod; none for what was only found, and until the pod is told.
    pub pod: Option<Arc<PodInfo>>,
    /// Its cgroup; none before it is started.
    pub cgroup: Option<CgroupDir>,
    pub(super) found_pod_uid: Option<Arc<str>>,
}

impl Container {
    /// Its name in the pod.
    pub fn name(&self) -> Option<&str> {
        self.info.as_ref().map(|info| info.name.as_str())
    }

    /// Its image.
    pub fn image(&self) -> Option<&str> {
        self.info.as_ref()?.image.as_deref()
    }

    /// The pod's name.
    pub fn pod_name(&self) -> Option<&str> {
        self.pod.as_ref().map(|pod| pod.name.as_str())
    }

    /// The pod's namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.pod.as_ref().map(|pod| pod.namespace.as_str())
    }

    /// The pod's uid: as the runtime told it, or as it stands in the cgroup's path.
    pub fn pod_uid(&self) -> Option<&str> {
        self.pod.as_ref().map(|pod| pod.uid.as_str()).or(self.found_pod_uid.as_deref())
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }
}

/// Why a container left the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Its time after the removal is over.
    Expired,
    /// The index was full, and it had ended.
    Full,
}

impl Reason {
    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Full => "full",
        }
    }
}

/// What changed in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A container is new, or something of it is other than before: also that it has ended.
    Changed(Arc<Container>),
    /// A container is not known any more.
    Forgotten {
        /// The last that was known.
        container: Arc<Container>,
        /// Why.
        reason: Reason,
    },
    /// So many changes were missed by a consumer that was too slow: look at [`ContainerIndex::containers`] anew.
    ///
    /// [`ContainerIndex::containers`]: super::ContainerIndex::containers
    Missed(u64),
}
