//! Whose a cgroup is, by the index of containers: a resolver.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cgroup_perf::resolver::{Interner, Labels, Lookup, Resolver};
use cgroup_perf::sample::CgroupId;
use cgroup_perf::totals::Totals;
use cgroup_perf::tree::{Progress, ScanError, Tree};
use nri_plugin::index::{Container, ContainerIndex, Kind};
use parking_lot::{Mutex, RwLock};

/// Entries of directories that are looked at in one go.
const ENTRIES: usize = 100_000;

/// Answers from memory, which [`look`](Self::look) fills.
///
/// The index knows the cgroups of containers. Of any other it does not know whether it is nobody's or new: that is what
/// the tree is for. One that was there before the index looked, and that it knows no container of, is nobody's.
pub struct Names {
    index: ContainerIndex,
    tree: Mutex<Tree>,
    /// Of all cgroups in the tree, the container's id, or none for what is nobody's.
    seen: RwLock<HashMap<CgroupId, Option<Arc<str>>>>,
    /// Whether a runtime tells names: then they are waited for.
    has_runtime: AtomicBool,
    /// Whether a cgroup was asked for that no look has seen.
    missed: AtomicBool,
    interner: Mutex<Interner>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Names {
    /// Knows nothing before the first [`look`](Self::look).
    pub fn new(index: ContainerIndex, tree: Tree) -> Self {
        Self {
            index,
            tree: Mutex::new(tree),
            seen: RwLock::default(),
            has_runtime: AtomicBool::new(false),
            missed: AtomicBool::new(false),
            interner: Mutex::default(),
        }
    }

    /// Whether there is a runtime that tells names.
    pub fn set_runtime(&self, is_there: bool) {
        self.has_runtime.store(is_there, Ordering::Relaxed);
    }

    /// Whether a cgroup was asked for since this was last called that no look has seen: reason for one. What a runtime tells
    /// of is known without.
    pub fn take_missed(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }

    /// Looks at the tree of cgroups. To be called now and then, on a thread that may wait for files.
    pub fn look(&self, now: u64) -> Result<(), ScanError> {
        self.look_with(&mut Totals::new(&[]), now)
    }

    /// The same, where totals are kept: those of what is gone go to what is above it.
    pub fn look_with(&self, totals: &mut Totals, now: u64) -> Result<(), ScanError> {
        let mut tree = self.tree.lock();
        // In this order: what the tree has by now, the index sees too.
        while tree.scan(ENTRIES, now)? == Progress::Going {}
        self.index.scan();
        let own = |cgroup: CgroupId| self.index.by_cgroup_id(cgroup.0).map(|container| container.id.clone());
        let owner = |cgroup| own(cgroup).or_else(|| tree.ancestors(cgroup).find_map(|(above, _)| own(above)));
        let living = tree.iter().filter(|(_, node)| node.removed.is_none());
        *self.seen.write() = living.map(|(cgroup, _)| (cgroup, owner(cgroup))).collect();
        tree.settle(totals, now);
        Ok(())
    }

    fn labels(&self, container: &Container) -> Arc<Labels> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        self.interner.lock().intern(Labels {
            namespace: text(container.namespace()),
            pod: text(container.pod_name()),
            pod_uid: text(container.pod_uid()),
            container: text(container.name()),
            container_id: container.id.to_string(),
            more: Vec::new(),
        })
    }
}

impl Resolver for Names {
    fn lookup(&self, cgroup: CgroupId) -> Lookup {
        let seen = || self.seen.read().get(&cgroup).cloned();
        let known = self.index.by_cgroup_id(cgroup.0);
        let container = match known.map_or_else(seen, |container| Some(Some(container.id.clone()))) {
            Some(Some(id)) => self.index.by_container_id(&id),
            Some(None) => return Lookup::Unknown,
            None => {
                self.missed.store(true, Ordering::Relaxed);
                None
            }
        };
        let Some(container) = container else { return Lookup::Later };
        let has_names = match container.kind {
            // Only a runtime has them. Without one, what the path tells is all there is.
            Kind::Found => !self.has_runtime.load(Ordering::Relaxed),
            _ => container.pod.is_some(),
        };
        if has_names { Lookup::Known(self.labels(&container)) } else { Lookup::Later }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use nri_plugin::cgroup::CgroupFs;
    use nri_plugin::index::{ContainerInfo, Event, PodInfo};

    use super::*;

    const POD: &str = "kubepods/burstable/pod6f1c9a3e-77aa-4a53-b0c4-0a5d3c1f2e10";

    struct Host {
        root: tempfile::TempDir,
        names: Names,
    }

    impl Host {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let mount = root.path().join("sys/fs/cgroup");
            fs::create_dir_all(&mount).unwrap();
            fs::create_dir_all(root.path().join("proc/self")).unwrap();
            let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
            fs::write(root.path().join("proc/self/mountinfo"), mountinfo).unwrap();
            let index = ContainerIndex::builder(CgroupFs::discover_in(root.path()).unwrap()).build();
            let names = Names::new(index, Tree::new(mount).unwrap());
            Self { root, names }
        }

        fn make(&self, path: &str) -> CgroupId {
            let path: PathBuf = self.root.path().join("sys/fs/cgroup").join(path);
            fs::create_dir_all(&path).unwrap();
            CgroupId(fs::metadata(path).unwrap().ino())
        }

        fn labels(&self, cgroup: CgroupId) -> Labels {
            match self.names.lookup(cgroup) {
                Lookup::Known(labels) => Labels::clone(&labels),
                other => panic!("{other:?}"),
            }
        }
    }

    fn id() -> String {
        "a1b2c3d4".repeat(8)
    }

    #[test]
    fn what_no_look_has_seen_is_asked_for_again_and_what_is_nobodys_is_not() {
        let host = Host::new();
        let service = host.make("system.slice/sshd.service");
        assert!(!host.names.take_missed());
        assert_eq!(host.names.lookup(service), Lookup::Later);
        assert_eq!([host.names.take_missed(), host.names.take_missed()], [true, false]);
        host.names.look(1).unwrap();
        assert_eq!(host.names.lookup(service), Lookup::Unknown);
        assert!(!host.names.take_missed());
        assert_eq!(host.names.lookup(CgroupId(u64::MAX)), Lookup::Later);
    }

    #[test]
    fn without_a_runtime_a_container_has_the_ids_of_its_path_also_in_cgroups_inside() {
        let host = Host::new();
        let container = host.make(&format!("{POD}/{}", id()));
        let inside = host.make(&format!("{POD}/{}/init.scope", id()));
        host.names.look(1).unwrap();
        let labels = host.labels(container);
        assert_eq!((labels.container_id.as_str(), labels.container.as_str()), (id().as_str(), ""));
        assert_eq!(labels.pod_uid, "6f1c9a3e-77aa-4a53-b0c4-0a5d3c1f2e10");
        assert_eq!(host.labels(inside), labels);
        let later = host.make(&format!("{POD}/{}/later", id()));
        assert_eq!(host.names.lookup(later), Lookup::Later);
        host.names.look(2).unwrap();
        assert_eq!(host.labels(later), labels);
    }

    #[test]
    fn names_are_waited_for_where_there_is_a_runtime() {
        let host = Host::new();
        host.names.set_runtime(true);
        let cgroup = host.make(&format!("{POD}/{}", id()));
        host.names.look(1).unwrap();
        assert_eq!(host.names.lookup(cgroup), Lookup::Later);
        let info = ContainerInfo {
            id: id(),
            pod_id: "sandbox".into(),
            name: "app".into(),
            cgroups_path: format!("/{POD}/{}", id()),
            ..ContainerInfo::default()
        };
        host.names.index.apply(Event::ContainerStarted(info));
        assert_eq!(host.names.lookup(cgroup), Lookup::Later, "its pod is not told yet");
        let (name, namespace) = ("web-0".into(), "shop".into());
        host.names.index.apply(Event::PodStarted(PodInfo {
            id: "sandbox".into(),
            name,
            namespace,
            ..PodInfo::default()
        }));
        let labels = host.labels(cgroup);
        assert_eq!([labels.namespace, labels.pod, labels.container], ["shop", "web-0", "app"]);
    }
}
