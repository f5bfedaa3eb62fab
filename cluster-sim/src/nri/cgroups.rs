//! Where the cgroups of pods and containers are, as their drivers name them, and directories in their places.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use parking_lot::Mutex;

use super::failure::Failure;

/// How a runtime names cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CgroupDriver {
    /// By path: `/kubepods/burstable/podUID/ID`.
    #[default]
    Cgroupfs,
    /// By slice and scope: `kubepods-burstable-podUID.slice:cri-containerd:ID`; CRI-O says `crio`, and gives the slice of a
    /// pod without its parents.
    Systemd,
}

/// The directories that stand for cgroups.
#[derive(Debug)]
pub(super) struct Cgroups {
    pub(super) driver: CgroupDriver,
    pub(super) crio: bool,
    pub(super) root: Option<PathBuf>,
    /// A cgroup of this name in each container's, which its processes are in.
    pub(super) nested: Option<String>,
    /// What was made, and is to be removed.
    pub(super) made: Mutex<BTreeSet<PathBuf>>,
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // The deepest come first, as a path is less than those below it.
        for directory in std::mem::take(self.made.get_mut()).into_iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// `a-b-c.slice` lies in `a.slice/a-b.slice`.
fn expand(slice: &str) -> String {
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    let ends = stem.match_indices('-').map(|(end, _)| end).chain([stem.len()]);
    let parts = ends.filter_map(|end| stem.get(..end));
    parts.fold(String::new(), |path, part| path + "/" + part + ".slice")
}

impl Cgroups {
    /// The parent of a pod's cgroups, as it is told.
    pub(super) fn parent(&self, uid: &str) -> String {
        match self.driver {
            CgroupDriver::Cgroupfs => format!("/kubepods/burstable/pod{uid}"),
            CgroupDriver::Systemd => {
                let slice = format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_"));
                if self.crio { slice } else { expand(&slice) }
            }
        }
    }

    /// The cgroup of a container, or of a pod's pause container, as it is told.
    pub(super) fn path(&self, parent: &str, id: &str) -> String {
        match self.driver {
            CgroupDriver::Cgroupfs => format!("{parent}/{id}"),
            CgroupDriver::Systemd => {
                let slice = parent.rsplit('/').next().unwrap_or(parent);
                format!("{slice}:{}:{id}", if self.crio { "crio" } else { "cri-containerd" })
            }
        }
    }

    /// The directory, below the root, of a cgroup as it is told.
    pub(super) fn directory(path: &str) -> String {
        match path.splitn(3, ':').collect::<Vec<_>>()[..] {
            [slice, prefix, name] => format!("{}/{prefix}-{name}.scope", expand(slice)),
            _ if path.contains('/') || path.strip_suffix(".slice").is_none() => path.to_owned(),
            _ => expand(path),
        }
    }

    /// Makes the directory of a cgroup, if there is a root for it.
    pub(super) fn make(&self, path: &str, is_container: bool) -> Result<(), Failure> {
        let Some(root) = &self.root else { return Ok(()) };
        let directory = Self::directory(path);
        let made = self.make_below(root, &directory).and_then(|directory| match &self.nested {
            Some(nested) if is_container => self.make_below(&directory, nested).map(|_| ()),
            _ => Ok(()),
        });
        made.map_err(|error| Failure::Cgroup { path: PathBuf::from(directory), reason: error.to_string() })
    }

    /// Plugins may say where a container's cgroup is to be: it is to be below the root nevertheless.
    fn make_below(&self, root: &Path, directory: &str) -> io::Result<PathBuf> {
        let mut path = root.to_owned();
        for component in Path::new(directory.trim_start_matches('/')).components() {
            let Component::Normal(name) = component else {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path of names is wanted, without . and .."));
            };
            path.push(name);
            match fs::create_dir(&path) {
                Ok(()) => drop(self.made.lock().insert(path.clone())),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(path)
    }

    /// Removes the directory of a cgroup, with those in it, if it was made. What is in use stays.
    pub(super) fn remove(&self, path: &str) {
        let Some(root) = &self.root else { return };
        let directory = root.join(Self::directory(path).trim_start_matches('/'));
        let mut made = self.made.lock();
        let gone: Vec<PathBuf> = made.iter().filter(|made| made.starts_with(&directory)).cloned().collect();
        for directory in gone.iter().rev() {
            if fs::remove_dir(directory).is_ok() {
                made.remove(directory);
            }
        }
    }
}
