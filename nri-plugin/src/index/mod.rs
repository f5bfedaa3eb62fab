//! A node's containers, by cgroup id, container id, process or path.
//!
//! [`ContainerIndex::apply`] takes events of a runtime, [`ContainerIndex::scan`] looks at the cgroup tree where there is
//! none: either alone gives an index, and what a scan found gets its names once they are told.
//!
//! # What happens when
//!
//! | | the index |
//! |---|---|
//! | a container was removed | knows it for the [grace time](ContainerIndexBuilder::grace), [ended](Phase::Ended) |
//! | a container comes before its pod | knows it without its pod's names, until the pod comes |
//! | a cgroup is gone, and no event told of its container's end | [finds out](ContainerIndex::check), and takes it for removed |
//! | a cgroup id is another container's now | gives it to the one that lives |
//! | a container has cgroups of its own (crun's `container`, a systemd in it) | takes their ids for the container's |
//! | it is full | forgets what has ended; takes in nothing new where nothing has |
//!
//! # Which look-up costs what
//!
//! [`by_cgroup_id`](ContainerIndex::by_cgroup_id) and [`by_container_id`](ContainerIndex::by_container_id) look into
//! memory, wait for nobody, and may be called for each sample. The others read the kernel's files, as do `apply` and
//! `scan`: tens of microseconds per container.

mod apply;
mod bounds;
mod check;
mod locate;
mod look;
mod miss;
mod plugin;
mod table;
pub mod telemetry;
mod types;

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio::time::{Instant, sleep_until};

use self::bounds::Bounds;
pub use self::look::Scan;
use self::miss::Misses;
use self::table::{Published, Table};
pub use self::types::{Change, Container, ContainerInfo, Event, Kind, Phase, PodInfo, Reason, Texts};
use crate::cgroup::CgroupFs;

/// Changes that a slow consumer may be behind.
const CHANGES: usize = 1024;
/// The longest time that anything is set to: a moment in a hundred years can still be told.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);

/// What an index is to be like.
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct ContainerIndexBuilder {
    cgroups: CgroupFs,
    bounds: Bounds,
}

impl ContainerIndexBuilder {
    /// How long a container is known after it was removed, so that samples that come late find its name; a minute by
    /// default.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.bounds.grace = grace.min(LONGEST);
        self
    }

    /// The most containers that are known, sandboxes and ended ones included; 4,096 by default.
    pub fn max_containers(mut self, containers: usize) -> Self {
        self.bounds.containers = containers.max(1);
        self
    }

    /// The most cgroups inside containers that are known; 65,536 by default.
    pub fn max_nested(mut self, cgroups: usize) -> Self {
        self.bounds.nested = cgroups;
        self
    }

    /// How many bytes of labels and annotations are kept of each pod and container; 16 KiB by default. Labels go first;
    /// one that does not fit is left out.
    pub fn max_metadata_bytes(mut self, bytes: usize) -> Self {
        self.bounds.metadata_bytes = bytes;
        self
    }

    /// How long there is between two walks through the containers' cgroups for an unknown id; 250 ms by default.
    pub fn walk_interval(mut self, interval: Duration) -> Self {
        self.bounds.walk_interval = interval.min(LONGEST);
        self
    }

    /// How long an id that no container has is not looked for again; 5 s by default.
    pub fn miss_lifetime(mut self, lifetime: Duration) -> Self {
        self.bounds.miss_lifetime = lifetime.min(LONGEST);
        self
    }

    /// How long there is between two [checks](ContainerIndex::check) of whether what lives is still there; 30 s by
    /// default.
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.bounds.check_interval = interval.min(LONGEST);
        self
    }

    /// Builds it.
    pub fn build(self) -> ContainerIndex {
        let published = Arc::new(Published::default());
        let (changes, _) = broadcast::channel(CHANGES);
        let table = Mutex::new(Table::new(published.clone(), changes.clone(), self.bounds));
        let (misses, leaving) = (Mutex::default(), Notify::new());
        let Self { cgroups, bounds } = self;
        ContainerIndex { inner: Arc::new(Inner { cgroups, bounds, published, table, misses, changes, leaving }) }
    }
}

#[derive(Debug)]
struct Inner {
    cgroups: CgroupFs,
    bounds: Bounds,
    published: Arc<Published>,
    table: Mutex<Table>,
    misses: Mutex<Misses>,
    changes: broadcast::Sender<Change>,
    /// Somebody leaves, and nobody did before.
    leaving: Notify,
}

/// A node's containers. Clones are handles of the same index.
///
/// ```no_run
/// use nri_plugin::cgroup::CgroupFs;
/// use nri_plugin::index::{ContainerIndex, ContainerInfo, Event};
///
/// # fn example(container: ContainerInfo, sampled: u64) -> Result<(), Box<dyn std::error::Error>> {
/// let index = ContainerIndex::builder(CgroupFs::discover()?).build();
/// index.scan();
/// index.apply(Event::ContainerStarted(container));
/// if let Some(container) = index.by_cgroup_id(sampled) {
///     println!("{:?}/{:?}: {:?}", container.namespace(), container.pod_name(), container.name());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ContainerIndex {
    inner: Arc<Inner>,
}

impl ContainerIndex {
    /// An index of the containers whose cgroups are in `cgroups`.
    pub fn builder(cgroups: CgroupFs) -> ContainerIndexBuilder {
        ContainerIndexBuilder { cgroups, bounds: Bounds::default() }
    }

    /// The container that a cgroup is of, by the id that the kernel's programs know: its own, or one inside it that was
    /// seen at its start or [found](Self::find_cgroup_id) later. Looks into memory only, and takes no lock.
    pub fn by_cgroup_id(&self, id: u64) -> Option<Arc<Container>> {
        self.inner.published.by_cgroup(id)
    }

    /// A container by its id. Looks into memory only, and takes no lock.
    pub fn by_container_id(&self, id: &str) -> Option<Arc<Container>> {
        self.inner.published.by_id(id)
    }

    /// All containers, in no order.
    pub fn containers(&self) -> Vec<Arc<Container>> {
        self.inner.published.all()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inner.published.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What changes from now on. Take it before [`containers`](Self::containers), and no change is missed between the
    /// two. It ends with the index.
    pub fn changes(&self) -> impl Stream<Item = Change> + Send + Unpin + use<> {
        let changes = self.inner.changes.subscribe();
        futures::stream::unfold(changes, async |mut changes| match changes.recv().await {
            Ok(change) => Some((change, changes)),
            Err(RecvError::Lagged(missed)) => Some((Change::Missed(missed), changes)),
            Err(RecvError::Closed) => None,
        })
        .boxed()
    }

    /// Forgets those whose grace time is over, each in its time, and [checks](Self::check) the others; runs until it is
    /// dropped. Where it does not run, they are forgotten at the next event, [`scan`](Self::scan) or check.
    pub async fn run(&self) {
        let interval = self.inner.bounds.check_interval;
        let mut check = Instant::now() + interval;
        loop {
            let next = {
                let mut table = self.inner.table.lock();
                table.sweep(Instant::now());
                table.next_leaving()
            };
            tokio::select! {
                () = self.inner.leaving.notified() => {}
                () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
                () = sleep_until(check) => {
                    self.check();
                    check = Instant::now() + interval;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn readers_wait_for_no_writer() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        fs::write(root.path().join("proc/self/mountinfo"), mountinfo).unwrap();
        let directory = root.path().join("sys/fs/cgroup/a");
        fs::create_dir_all(&directory).unwrap();
        let index = ContainerIndex::builder(CgroupFs::discover_in(root.path()).unwrap()).build();
        index.apply(Event::ContainerStarted(ContainerInfo {
            id: "c".to_owned(),
            cgroups_path: "/a".to_owned(),
            ..ContainerInfo::default()
        }));
        let id = index.by_container_id("c").unwrap().cgroup.as_ref().unwrap().id;
        // A lock that this thread holds already is one that it would wait for without end.
        let (_table, _misses) = (index.inner.table.lock(), index.inner.misses.lock());
        assert!(index.by_cgroup_id(id).is_some());
        assert!(index.by_container_id("c").is_some());
        assert_eq!(index.containers().len(), 1);
        assert!(index.by_path(&directory).is_some());
    }
}
