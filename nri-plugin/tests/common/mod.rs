//! A `/proc` and a cgroup tree in a temporary directory.
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nri_plugin::cgroup::CgroupFs;
use nri_plugin::index::{ContainerInfo, PodInfo};
use tempfile::TempDir;

pub(crate) const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
pub(crate) const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
    32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

/// A container's id: 64 digits.
pub(crate) fn id(number: usize) -> String {
    format!("{number:064x}")
}

pub(crate) struct Host {
    root: TempDir,
    mount: PathBuf,
}

impl Host {
    pub(crate) fn new(mountinfo: &str, mount: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mount = root.path().join(mount);
        fs::create_dir_all(&mount).unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::write(root.path().join("proc/self/mountinfo"), mountinfo).unwrap();
        Self { root, mount }
    }

    pub(crate) fn unified() -> Self {
        Self::new(UNIFIED, "sys/fs/cgroup")
    }

    pub(crate) fn hybrid() -> Self {
        Self::new(HYBRID, "sys/fs/cgroup/unified")
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn cgroups(&self) -> CgroupFs {
        CgroupFs::discover_in(self.root()).unwrap()
    }

    pub(crate) fn path(&self, cgroup: &str) -> PathBuf {
        self.mount.join(cgroup.trim_start_matches('/'))
    }

    /// Makes a cgroup; its id.
    pub(crate) fn make(&self, cgroup: &str) -> u64 {
        fs::create_dir_all(self.path(cgroup)).unwrap();
        inode(&self.path(cgroup))
    }

    pub(crate) fn remove(&self, cgroup: &str) {
        fs::remove_dir_all(self.path(cgroup)).unwrap();
    }

    /// A process whose `/proc/PID/cgroup` has these lines.
    pub(crate) fn process_with(&self, pid: u32, lines: &str) {
        let directory = self.root().join(format!("proc/{pid}"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("cgroup"), lines).unwrap();
    }

    pub(crate) fn process(&self, pid: u32, cgroup: &str) {
        self.process_with(pid, &format!("0::{cgroup}\n"));
    }
}

pub(crate) fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

pub(crate) fn uid(number: usize) -> String {
    format!("{number:08x}-1234-4abc-8def-0123456789ab")
}

/// The pod's cgroup with the cgroupfs driver.
pub(crate) fn pod_cgroup(number: usize) -> String {
    format!("/kubepods/burstable/pod{}", uid(number))
}

pub(crate) fn pod(number: usize) -> PodInfo {
    PodInfo {
        id: id(1_000_000 + number),
        name: format!("web-{number}"),
        namespace: "shop".to_owned(),
        uid: uid(number),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        cgroup_parent: pod_cgroup(number),
        ..PodInfo::default()
    }
}

/// A container of `pod`, whose cgroup the cgroupfs driver makes.
pub(crate) fn container(number: usize, of: usize) -> ContainerInfo {
    ContainerInfo {
        id: id(number),
        pod_id: id(1_000_000 + of),
        name: format!("app-{number}"),
        cgroups_path: format!("{}/{}", pod_cgroup(of), id(number)),
        ..ContainerInfo::default()
    }
}
