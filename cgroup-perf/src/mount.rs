//! Where the cgroup2 hierarchy is, and what a host without one has.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The most that is read of a mountinfo: hosts of many containers have some 1 MB.
const MAX_MOUNTINFO: u64 = 16 << 20;

/// Why there is no cgroup2 hierarchy to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The host has version 1 hierarchies alone.
    #[error(
        "this host has version 1 cgroups alone ({controllers}): the kernel's programs see every process in the root, \
         and nothing can be told apart; boot with systemd.unified_cgroup_hierarchy=1"
    )]
    VersionOneOnly {
        /// The controllers of the hierarchies that are mounted.
        controllers: String,
    },
    /// No cgroup hierarchy at all is seen from here.
    #[error("{mountinfo} has no cgroup2 mount: in a container, mount the host's /sys/fs/cgroup")]
    None {
        /// Where mounts were looked for.
        mountinfo: PathBuf,
    },
    /// The list of mounts can't be read.
    #[error("{mountinfo} can't be read")]
    Io {
        /// The list.
        mountinfo: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How a host has its hierarchies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// cgroup2 alone.
    Unified,
    /// Version 1 hierarchies beside cgroup2. Runtimes make a container's directory in cgroup2 too, so ids work where
    /// they do; [`Tree::has_only_root`] tells where they do not.
    ///
    /// [`Tree::has_only_root`]: crate::tree::Tree::has_only_root
    Hybrid,
}

/// The mounts of cgroup hierarchies in a mountinfo.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CgroupMounts {
    /// Where cgroup2 is mounted, and which of its directories is seen there: `/` is all of it.
    pub unified: Vec<(PathBuf, PathBuf)>,
    /// The version 1 controllers, each hierarchy's joined by commas.
    pub legacy: Vec<String>,
}

impl CgroupMounts {
    /// Reads a `/proc/PID/mountinfo` (proc_pid_mountinfo(5)). Lines that are none are passed over.
    pub fn parse(mountinfo: &[u8]) -> Self {
        let mut mounts = Self::default();
        for line in mountinfo.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b' ');
            let (Some(root), Some(point)) = (fields.nth(3), fields.next()) else { continue };
            // Optional fields come before the hyphen, as many as there are.
            let mut after = fields.skip_while(|field| *field != b"-").skip(1);
            let (Some(kind), _, Some(options)) = (after.next(), after.next(), after.next()) else { continue };
            match kind {
                b"cgroup2" => mounts.unified.push((unescape(point), unescape(root))),
                b"cgroup" => mounts.legacy.push(controllers(options)),
                _ => {}
            }
        }
        mounts
    }

    /// The mount that shows most of the hierarchy: the one whose root is all of it, or is nearest to it.
    pub fn widest(&self) -> Option<&Path> {
        // `/..` of a namespace that is below the host's root comes first: it shows more than the namespace's own `/`.
        let narrow = |root: &Path| {
            let ups = root.components().filter(|part| matches!(part, std::path::Component::ParentDir)).count();
            (std::cmp::Reverse(ups), root.components().count())
        };
        self.unified.iter().min_by_key(|(_, root)| narrow(root)).map(|(point, _)| point.as_path())
    }

    /// Whether the `perf_event` controller is in a version 1 hierarchy: then the kernel's cgroup switches, and per-cgroup
    /// perf events, are of that hierarchy's cgroups and not of cgroup2's.
    pub fn perf_event_is_legacy(&self) -> bool {
        self.legacy.iter().any(|controllers| controllers.split(',').any(|controller| controller == "perf_event"))
    }
}

/// The cgroup2 hierarchy of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// What else there is.
    pub layout: Layout,
    /// See [`CgroupMounts::perf_event_is_legacy`].
    pub perf_event_is_legacy: bool,
}

impl Hierarchy {
    /// Finds it in `/proc/self/mountinfo`.
    pub fn discover() -> Result<Self, MountError> {
        Self::discover_in(Path::new("/"))
    }

    /// The same in another root directory, whose `proc` and mount points are taken: a container's view of its host
    /// (`/host`), or a test's.
    pub fn discover_in(root: &Path) -> Result<Self, MountError> {
        let mountinfo = root.join("proc/self/mountinfo");
        let mut text = Vec::new();
        let reading = File::open(&mountinfo).and_then(|file| file.take(MAX_MOUNTINFO).read_to_end(&mut text));
        if let Err(source) = reading {
            return Err(MountError::Io { mountinfo, source });
        }
        let mounts = CgroupMounts::parse(&text);
        let Some(point) = mounts.widest() else {
            return Err(match mounts.legacy.as_slice() {
                [] => MountError::None { mountinfo },
                legacy => MountError::VersionOneOnly { controllers: legacy.join(" ") },
            });
        };
        let mount = root.join(point.strip_prefix("/").unwrap_or(point));
        let layout = if mounts.legacy.is_empty() { Layout::Unified } else { Layout::Hybrid };
        Ok(Self { mount, layout, perf_event_is_legacy: mounts.perf_event_is_legacy() })
    }
}

/// The names in a version 1 mount's options that are no options.
fn controllers(options: &[u8]) -> String {
    let options = String::from_utf8_lossy(options);
    let names =
        options.split(',').filter(|option| !matches!(*option, "rw" | "ro" | "xattr" | "noprefix" | "clone_children"));
    names.collect::<Vec<_>>().join(",")
}

/// A path, in which the kernel writes blanks and backslashes as octal numbers.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) = (first, after) {
            path.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            path.push(*first);
            rest = after;
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const UNIFIED: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const LEGACY: &str = "32 31 0:29 / /sys/fs/cgroup/perf rw,relatime - cgroup cgroup rw,perf_event\n";

    fn discover(mountinfo: &str) -> Result<Hierarchy, MountError> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::write(root.path().join("proc/self/mountinfo"), mountinfo).unwrap();
        let mut found = Hierarchy::discover_in(root.path())?;
        found.mount = Path::new("/").join(found.mount.strip_prefix(root.path()).unwrap());
        Ok(found)
    }

    #[test]
    fn cgroup2_is_found_on_unified_and_hybrid_hosts() {
        let unified = discover(UNIFIED).unwrap();
        assert_eq!(unified.mount, Path::new("/sys/fs/cgroup"));
        assert_eq!((unified.layout, unified.perf_event_is_legacy), (Layout::Unified, false));
        let hybrid = discover(HYBRID).unwrap();
        assert_eq!(hybrid.mount, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!((hybrid.layout, hybrid.perf_event_is_legacy), (Layout::Hybrid, false));
        assert!(discover(&format!("{HYBRID}{LEGACY}")).unwrap().perf_event_is_legacy);
    }

    #[test]
    fn a_host_of_version_1_is_said_to_be_one() {
        let error = discover(&HYBRID.replace("cgroup2 cgroup2", "tmpfs tmpfs")).unwrap_err();
        assert!(error.to_string().contains("version 1 cgroups alone (cpu,cpuacct name=systemd)"), "{error}");
        assert!(matches!(discover(""), Err(MountError::None { .. })));
        assert!(matches!(Hierarchy::discover_in(Path::new("/nowhere")), Err(MountError::Io { .. })));
    }

    #[test]
    fn of_several_mounts_the_widest_is_taken() {
        let own = "1 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let host = "2 1 0:28 /../../.. /host/sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let part = "3 1 0:28 /system.slice /mnt rw - cgroup2 cgroup rw\n";
        assert_eq!(CgroupMounts::parse([part, own].concat().as_bytes()).widest(), Some(Path::new("/sys/fs/cgroup")));
        let all = CgroupMounts::parse([own, part, host].concat().as_bytes());
        assert_eq!(all.widest(), Some(Path::new("/host/sys/fs/cgroup")));
    }

    #[test]
    fn a_mount_point_may_have_blanks_and_anything_else() {
        let mounts = CgroupMounts::parse(b"1 1 0:1 / /my\\040cgroups\\134\\9 rw - cgroup2 cgroup rw");
        assert_eq!(mounts.widest(), Some(Path::new("/my cgroups\\\\9")));
        for broken in ["\n\n", "1 2 3", "1 2 3 / /x rw - cgroup2", "1 2 3 / /x rw cgroup2 cgroup rw", "\\", "- - - - -"]
        {
            assert_eq!(CgroupMounts::parse(broken.as_bytes()), CgroupMounts::default(), "{broken:?}");
        }
    }
}
