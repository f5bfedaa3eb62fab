//! Whether the cgroups that can be counted are those that the host uses.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// How this host has its cgroups. Only those of the cgroup2 tree can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hierarchy {
    /// All controllers are in the cgroup2 tree.
    Unified,
    /// There are v1 hierarchies too, and processes in cgroups of the cgroup2 tree.
    Hybrid,
    /// There are v1 hierarchies, and every process is in the root of the cgroup2 tree: nothing can be told apart.
    Unused,
    /// No cgroup2 tree is mounted where this process sees it: ids are counted, and have no names.
    NotMounted,
}

impl Hierarchy {
    /// Looks at this host.
    pub(super) fn of_this_host() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::of(&mounts)
    }

    fn of(mountinfo: &str) -> Self {
        let (mut tree, mut v1) = (None, false);
        for line in mountinfo.lines() {
            let Some((mount, kind)) = line.split_once(" - ") else { continue };
            if kind.starts_with("cgroup2 ") {
                tree = tree.or_else(|| mount.split(' ').nth(4).map(PathBuf::from));
            }
            // A named hierarchy without controllers is systemd's, and says nothing.
            v1 |= kind.starts_with("cgroup ") && !kind.contains("name=");
        }
        match tree {
            None => Self::NotMounted,
            Some(_) if !v1 => Self::Unified,
            Some(tree) if used(&tree) => Self::Hybrid,
            Some(_) => Self::Unused,
        }
    }
}

/// Whether there is a process below the root.
fn used(tree: &Path) -> bool {
    let children = fs::read_dir(tree).into_iter().flatten().flatten();
    children
        .filter_map(|child| fs::read_to_string(child.path().join("cgroup.events")).ok())
        .any(|events| events.lines().any(|line| line == "populated 1"))
}

impl fmt::Display for Hierarchy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unified => "all cgroups are in the cgroup2 tree",
            Self::Hybrid => "cgroups of the cgroup2 tree are counted, and those of v1 hierarchies are not",
            Self::Unused => {
                "every process is in the root of the cgroup2 tree, as this host uses v1 hierarchies: nothing can be \
                 told apart"
            }
            Self::NotMounted => "no cgroup2 tree is mounted: ids have no names",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart_by_their_mounts() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().display();
        let v2 = format!("31 23 0:27 / {tree} rw,relatime - cgroup2 cgroup2 rw\n");
        let v1 = "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let systemd = "30 23 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
        assert_eq!(Hierarchy::of(&v2), Hierarchy::Unified);
        assert_eq!(Hierarchy::of(&format!("{v2}{systemd}")), Hierarchy::Unified);
        assert_eq!(Hierarchy::of(v1), Hierarchy::NotMounted);
        let both = format!("{v1}{v2}");
        assert_eq!(Hierarchy::of(&both), Hierarchy::Unused);
        let child = root.path().join("kubepods");
        fs::create_dir(&child).unwrap();
        fs::write(child.join("cgroup.events"), "populated 0\nfrozen 0\n").unwrap();
        assert_eq!(Hierarchy::of(&both), Hierarchy::Unused);
        fs::write(child.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        assert_eq!(Hierarchy::of(&both), Hierarchy::Hybrid);
    }
}
