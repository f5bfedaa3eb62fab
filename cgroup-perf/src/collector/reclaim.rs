//! Which removed cgroups have had their grace time. Pure, but for the walk through the tree.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    os::unix::fs::DirEntryExt,
    path::Path,
};

use crate::{abi::ROOT_CGROUP, sample::CgroupId};

/// Directories deeper than this are not looked into: the kernel makes none so deep unless it is told to.
const DEEPEST: usize = 64;

/// Cgroups that were found missing, and when.
#[derive(Debug, Default)]
pub(super) struct Graves(BTreeMap<CgroupId, u64>);

impl Graves {
    /// Takes what the kernel told, in nanoseconds of the clock that `due` is asked by.
    pub(super) fn told(&mut self, removed: impl IntoIterator<Item = (CgroupId, u64)>) {
        for (cgroup, when) in removed {
            self.0.entry(cgroup).or_insert(when);
        }
    }

    /// Takes what has a place, and is not in the tree.
    pub(super) fn found(&mut self, placed: &[CgroupId], alive: &HashSet<u64>, now: u64) {
        for cgroup in placed {
            if cgroup.0 != ROOT_CGROUP && !alive.contains(&cgroup.0) {
                self.0.entry(*cgroup).or_insert(now);
            }
        }
    }

    /// Those whose grace time is over; they are not kept.
    pub(super) fn due(&mut self, now: u64, grace: u64) -> Vec<CgroupId> {
        self.0.extract_if(.., |_, when| now.saturating_sub(*when) >= grace).map(|(cgroup, _)| cgroup).collect()
    }
}

/// The ids of all cgroups of the tree.
pub(super) fn alive(tree: &Path) -> io::Result<HashSet<u64>> {
    let mut ids = HashSet::new();
    let mut below = vec![(tree.to_owned(), 0)];
    while let Some((directory, depth)) = below.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            // It was removed meanwhile.
            Err(error) if depth > 0 && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => break,
                Err(error) => return Err(error),
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ids.insert(entry.ino());
                if depth >= DEEPEST {
                    return Err(io::Error::other("the cgroup tree is too deep"));
                }
                below.push((entry.path(), depth + 1));
            }
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_for_the_grace_time() {
        let mut graves = Graves::default();
        graves.told([(CgroupId(5), 100)]);
        graves.told([(CgroupId(5), 150), (CgroupId(6), 150)]);
        assert!(graves.due(199, 100).is_empty());
        assert_eq!(graves.due(200, 100), [CgroupId(5)]);
        assert_eq!(graves.due(260, 100), [CgroupId(6)]);
        assert!(graves.due(u64::MAX, 100).is_empty());
    }

    #[test]
    fn what_is_in_the_tree_or_is_its_root_stays() {
        let mut graves = Graves::default();
        let placed = [CgroupId(ROOT_CGROUP), CgroupId(5), CgroupId(6)];
        graves.found(&placed, &HashSet::from([5]), 10);
        assert_eq!(graves.due(110, 100), [CgroupId(6)]);
    }

    #[test]
    fn directories_are_found_by_their_inodes() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("a/b")).unwrap();
        fs::write(tree.path().join("a/cgroup.procs"), "").unwrap();
        let ids = alive(tree.path()).unwrap();
        assert_eq!(ids.len(), 2);
        assert!(alive(&tree.path().join("none")).is_err());
    }
}
