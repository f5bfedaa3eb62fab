//! The kernel's files: where cgroup2 is mounted, which cgroup a process is in, which id a directory has.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::parse::{Cgroup2Mount, CgroupMounts, CgroupPath, ProcessCgroups};

/// The most that is read of `/proc/PID/cgroup`: a line per hierarchy, of at most 4096 bytes each.
const MAX_CGROUP: u64 = 256 << 10;
/// The most that is read of a mountinfo: hosts of many containers have some 1 MB.
const MAX_MOUNTINFO: u64 = 16 << 20;
/// Levels below a directory that a walk goes down. The kernel's own limit is `cgroup.max.depth`, not set by default.
const MAX_DEPTH: usize = 32;
/// Directories that are looked at for the root of the reader's cgroup namespace.
const MAX_SEARCH: usize = 100_000;

/// Why cgroups can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// No mount of cgroup2 is seen from here.
    #[error(
        "{mountinfo} has no cgroup2 mount: on a version 1 host there is none, and containers have no cgroup ids; in a \
         container, mount the host's /sys/fs/cgroup"
    )]
    NoCgroup2 {
        /// Where mounts were looked for.
        mountinfo: PathBuf,
    },
    /// A file or directory can't be read.
    #[error("{path} can't be read")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why: not found is a process or cgroup that has ended.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// Whether it is only that the process or cgroup has ended.
    pub fn is_gone(&self) -> bool {
        // A process that ends while its file is open answers ESRCH, a cgroup ENODEV.
        const ESRCH: i32 = 3;
        const ENODEV: i32 = 19;
        match self {
            Self::Io { source, .. } => {
                source.kind() == io::ErrorKind::NotFound || matches!(source.raw_os_error(), Some(ESRCH | ENODEV))
            }
            Self::NoCgroup2 { .. } => false,
        }
    }
}

/// A cgroup's directory, and the id that the kernel's programs know it by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CgroupDir {
    /// `bpf_get_current_cgroup_id()`: the directory's inode number on cgroup2.
    pub id: u64,
    /// The directory, under the mount.
    pub path: Arc<Path>,
}

/// How the host has its hierarchies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// cgroup2 alone.
    Unified,
    /// Version 1 hierarchies beside cgroup2, as systemd's hybrid mode has them. Runtimes make a container's directory in
    /// cgroup2 too, so ids work.
    Hybrid,
}

/// The cgroup2 hierarchy, as far as it is seen from this process.
#[derive(Debug, Clone)]
pub struct CgroupFs {
    proc: PathBuf,
    mount: Cgroup2Mount,
    layout: Layout,
    /// The way from the mount to the root of this process's cgroup namespace, where that is known.
    namespace: Option<PathBuf>,
}

impl CgroupFs {
    /// Finds the mount in `/proc/self/mountinfo`. Where several are seen, the one that shows most is taken: in a
    /// container that has the host's `/sys/fs/cgroup` mounted somewhere, that.
    pub fn discover() -> Result<Self, CgroupError> {
        Self::discover_in(Path::new("/"))
    }

    /// The same in another root directory, whose `proc` and mount points are taken: for tests.
    pub fn discover_in(root: &Path) -> Result<Self, CgroupError> {
        let proc = root.join("proc");
        let mountinfo = proc.join("self/mountinfo");
        let mounts = CgroupMounts::parse(&read(&mountinfo, MAX_MOUNTINFO)?);
        let in_root = |mount: &Cgroup2Mount| root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
        let Some(widest) = mounts.widest() else {
            return Err(CgroupError::NoCgroup2 { mountinfo });
        };
        let mount = Cgroup2Mount { point: in_root(widest), root: widest.root.clone() };
        let layout = if mounts.legacy { Layout::Hybrid } else { Layout::Unified };
        let own = mounts.unified.iter().find(|mount| mount.root.is_root()).map(in_root);
        let mut cgroups = Self { proc, mount, layout, namespace: None };
        cgroups.namespace = own.and_then(|own| cgroups.find_namespace(&own));
        Ok(cgroups)
    }

    /// Another `proc` for processes: in a container without the host's pid namespace, where the host's is mounted
    /// (`/host/proc`). Paths in it are relative to this process's cgroup namespace all the same.
    pub fn with_proc(mut self, proc: impl Into<PathBuf>) -> Self {
        self.proc = proc.into();
        self
    }

    /// Where the hierarchy is mounted.
    pub fn mount_point(&self) -> &Path {
        &self.mount.point
    }

    /// How the host has its hierarchies.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The cgroups of a process.
    pub fn process(&self, pid: u32) -> Result<ProcessCgroups, CgroupError> {
        Ok(ProcessCgroups::parse(&read(&self.proc.join(format!("{pid}/cgroup")), MAX_CGROUP)?))
    }

    /// The directory of a path from `/proc/PID/cgroup`; none if the mount does not show it.
    pub fn directory(&self, path: &CgroupPath) -> Option<PathBuf> {
        let root = &self.mount.root;
        let names = if path.ups() == root.ups() {
            path.names().strip_prefix(root.names()).ok()?.to_owned()
        } else if path.ups() < root.ups() && root.names().as_os_str().is_empty() {
            // Less far up than the mount begins: the names between are those of this process's namespace.
            self.namespace.as_deref()?.ancestors().nth(path.ups())?.join(path.names())
        } else {
            return None;
        };
        Some(if names.as_os_str().is_empty() { self.mount.point.clone() } else { self.mount.point.join(names) })
    }

    /// The directory of a path from the root of the host's hierarchy, as [`container_directory`] gives it.
    ///
    /// [`container_directory`]: super::container_directory
    pub fn host_directory(&self, path: &Path) -> Option<PathBuf> {
        let names = path.strip_prefix("/").ok()?;
        let within = names.components().all(|name| matches!(name, Component::Normal(_)));
        let names = names.strip_prefix(self.mount.root.names()).ok()?;
        (within && !names.as_os_str().is_empty()).then(|| self.mount.point.join(names))
    }

    /// A directory and its id.
    ///
    /// The root's is refused: its id (1) is where everything is counted that is in no cgroup.
    pub fn stat(&self, directory: impl Into<Arc<Path>>) -> Result<CgroupDir, CgroupError> {
        let path = directory.into();
        let failed = |source| CgroupError::Io { path: path.to_path_buf(), source };
        let metadata = fs::metadata(&path).map_err(failed)?;
        if !metadata.is_dir() || *path == *self.mount.point || metadata.ino() <= 2 {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a cgroup below the root")));
        }
        Ok(CgroupDir { id: metadata.ino(), path })
    }

    /// Whether a directory is still there with the same id. A kernel of 64 bits gives no id twice until it restarts; one
    /// of 32 bits does.
    pub fn is_current(&self, directory: &CgroupDir) -> bool {
        fs::metadata(&directory.path).is_ok_and(|metadata| metadata.ino() == directory.id)
    }

    /// All cgroups below a directory, parents first; `visit` says whether to go down into one. Ends after `most` of them,
    /// and says whether it was complete. What ends meanwhile is left out.
    pub fn walk(&self, from: &Path, most: usize, mut visit: impl FnMut(CgroupDir) -> bool) -> bool {
        let mut left = most;
        let mut complete = true;
        let mut pending = vec![(from.to_owned(), 0)];
        while let Some((directory, depth)) = pending.pop() {
            // A cgroup without children has two links (its own and its parent's entry); to list one costs far more.
            if fs::metadata(&directory).is_ok_and(|metadata| metadata.nlink() == 2) {
                continue;
            }
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                let Ok(child) = self.stat(entry.path()) else { continue };
                if left == 0 || depth == MAX_DEPTH {
                    complete = false;
                    continue;
                }
                left -= 1;
                let path = child.path.clone();
                if visit(child) {
                    pending.push((path.to_path_buf(), depth + 1));
                }
            }
        }
        complete
    }

    /// Where in the mount the root of this process's namespace is: the directory that is `own`, another mount of which
    /// begins there.
    fn find_namespace(&self, own: &Path) -> Option<PathBuf> {
        let depth = self.mount.root.ups();
        let wanted = fs::metadata(own).ok()?.ino();
        let mut found = None;
        self.walk(&self.mount.point, MAX_SEARCH, |directory| {
            let names = directory.path.strip_prefix(&self.mount.point).unwrap_or(&directory.path);
            let level = names.components().count();
            if level == depth && directory.id == wanted {
                found = Some(names.to_owned());
            }
            found.is_none() && level < depth
        });
        found
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, CgroupError> {
    let mut text = Vec::new();
    let reading = File::open(path).and_then(|file| file.take(most).read_to_end(&mut text));
    reading.map_err(|source| CgroupError::Io { path: path.to_owned(), source })?;
    Ok(text)
}
