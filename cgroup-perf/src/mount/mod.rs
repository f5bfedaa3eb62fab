//! How a host has its cgroups, and where the cgroup2 hierarchy is.

mod mountinfo;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub use self::mountinfo::CgroupMounts;
use crate::abi::ROOT_CGROUP;

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

/// How a host has its hierarchies. Only cgroups of cgroup2 can be told apart: the ids that the kernel's programs see are
/// of that hierarchy, whatever else is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// All controllers are in cgroup2.
    Unified,
    /// Version 1 hierarchies have controllers, and there are processes in cgroups of cgroup2 too: runtimes make a
    /// container's directory there as well, though it has no controllers.
    Hybrid,
    /// Version 1 hierarchies have controllers, and every process is in the root of cgroup2: all ids are the root's.
    Unused,
    /// Version 1 hierarchies alone are mounted: all ids are the root's.
    Legacy,
    /// No cgroup hierarchy is mounted where this process sees it: ids are counted, and have no names.
    NotMounted,
}

impl Layout {
    /// Whether cgroups can be told apart.
    pub const fn tells_apart(self) -> bool {
        matches!(self, Self::Unified | Self::Hybrid | Self::NotMounted)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unified => "all cgroups are in the cgroup2 tree",
            Self::Hybrid => "cgroups of the cgroup2 tree are counted, and those of v1 hierarchies are not",
            Self::Unused => {
                "all ids are the root's, as this host uses v1 hierarchies and every process is in the root of the cgroup2 \
                 tree: nothing can be told apart; boot with systemd.unified_cgroup_hierarchy=1"
            }
            Self::Legacy => {
                "all ids are the root's, as this host has v1 hierarchies alone: nothing can be told apart; boot with \
                 systemd.unified_cgroup_hierarchy=1"
            }
            Self::NotMounted => "no cgroup2 tree is mounted: ids have no names",
        })
    }
}

/// What a process sees of its host's cgroups. Its text is a statement for people.
///
/// ```no_run
/// println!("{}", cgroup_perf::mount::Survey::of_this_host());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// How the host has its hierarchies.
    pub layout: Layout,
    /// Where cgroup2 is mounted; of several mounts, the one that shows most.
    pub mount: Option<PathBuf>,
    /// Whether that shows a part only: this process has a cgroup namespace of its own, or a part was mounted.
    pub is_part: bool,
    /// Whether the `perf_event` controller is in a version 1 hierarchy. The kernel's cgroup switches, and perf events of
    /// cgroups, follow that one then: the hook `cgroup-switches` cannot be used.
    pub perf_event_is_legacy: bool,
}

impl Survey {
    /// Looks at this host.
    pub fn of_this_host() -> Self {
        Self::of_root(Path::new("/")).unwrap_or_else(|error| {
            tracing::debug!(%error, "mounts cannot be read");
            Self { layout: Layout::NotMounted, mount: None, is_part: false, perf_event_is_legacy: false }
        })
    }

    fn of_root(root: &Path) -> io::Result<Self> {
        let mounts = read_mounts(&root.join("proc/self/mountinfo"))?;
        Ok(Self::of(root, &mounts, number))
    }

    fn of(root: &Path, mounts: &CgroupMounts, number: impl Fn(&Path) -> Option<u64>) -> Self {
        let mount = mounts.widest().map(|point| root.join(point.strip_prefix("/").unwrap_or(point)));
        let legacy = mounts.has_legacy_controllers();
        // In a namespace of its own, a part's root looks like the whole's, but for its number.
        let is_part = mount.as_deref().and_then(number).is_some_and(|number| number != ROOT_CGROUP);
        let layout = match &mount {
            None if legacy => Layout::Legacy,
            None => Layout::NotMounted,
            Some(_) if !legacy => Layout::Unified,
            // This process is in a part itself.
            Some(_) if is_part && mounts.whole().is_some() => Layout::Hybrid,
            Some(mount) if has_processes_below(mount) => Layout::Hybrid,
            Some(_) => Layout::Unused,
        };
        let controllers = fs::read_to_string(root.join("proc/cgroups")).unwrap_or_default();
        let perf_event_is_legacy = mounts.perf_event_is_legacy() || perf_event_is_legacy(&controllers);
        Self { layout, mount, is_part, perf_event_is_legacy }
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.layout)?;
        if self.is_part {
            f.write_str(", of which a part is seen from here: mount the host's /sys/fs/cgroup to name the others")?;
        }
        if self.perf_event_is_legacy {
            f.write_str(
                "; the perf_event controller is in a v1 hierarchy: the hook cgroup-switches and perf events of cgroups \
                 follow that one",
            )?;
        }
        Ok(())
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
    /// See [`Survey::is_part`].
    pub is_part: bool,
    /// See [`Survey::perf_event_is_legacy`].
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
        let mounts = match read_mounts(&mountinfo) {
            Ok(mounts) => mounts,
            Err(source) => return Err(MountError::Io { mountinfo, source }),
        };
        let Survey { layout, mount, is_part, perf_event_is_legacy } = Survey::of(root, &mounts, number);
        match (mount, mounts.legacy.as_slice()) {
            (Some(mount), _) => Ok(Self { mount, layout, is_part, perf_event_is_legacy }),
            (None, []) => Err(MountError::None { mountinfo }),
            (None, legacy) => Err(MountError::VersionOneOnly { controllers: legacy.join(" ") }),
        }
    }
}

/// The whole cgroup2 tree's mount. `None` where this process sees a part of it only, which says nothing about the rest.
pub(crate) fn whole_tree() -> Option<PathBuf> {
    let Survey { mount, is_part, .. } = Survey::of_this_host();
    mount.filter(|_| !is_part)
}

fn read_mounts(mountinfo: &Path) -> io::Result<CgroupMounts> {
    let mut text = Vec::new();
    File::open(mountinfo)?.take(MAX_MOUNTINFO).read_to_end(&mut text)?;
    Ok(CgroupMounts::parse(&text))
}

/// A directory's number, which is its cgroup's.
fn number(directory: &Path) -> Option<u64> {
    fs::metadata(directory).ok().map(|metadata| metadata.ino())
}

/// Whether `/proc/cgroups` has the controller in a version 1 hierarchy. It does so too where none is mounted.
fn perf_event_is_legacy(cgroups: &str) -> bool {
    cgroups.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.next() == Some("perf_event") && fields.next().is_some_and(|hierarchy| hierarchy != "0")
    })
}

/// Whether there is a process below the root.
fn has_processes_below(tree: &Path) -> bool {
    let children = fs::read_dir(tree).into_iter().flatten().flatten();
    children
        .filter_map(|child| fs::read_to_string(child.path().join("cgroup.events")).ok())
        .any(|events| events.lines().any(|line| line == "populated 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const LEGACY: &str = "32 31 0:29 / /sys/fs/cgroup/perf rw,relatime - cgroup cgroup rw,perf_event\n";
    const CGROUPS: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nperf_event\t0\t1\t1\n";

    /// A host with these files.
    fn host(mountinfo: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::write(root.path().join("proc/self/mountinfo"), mountinfo).unwrap();
        fs::write(root.path().join("proc/cgroups"), CGROUPS).unwrap();
        root
    }

    fn survey(root: &tempfile::TempDir) -> Survey {
        survey_from(root, ROOT_CGROUP)
    }

    /// Where the mount shows the cgroup of this number.
    fn survey_from(root: &tempfile::TempDir, number: u64) -> Survey {
        let mounts = read_mounts(&root.path().join("proc/self/mountinfo")).unwrap();
        let mut survey = Survey::of(root.path(), &mounts, |_| Some(number));
        survey.mount = survey.mount.map(|mount| Path::new("/").join(mount.strip_prefix(root.path()).unwrap()));
        survey
    }

    fn child(root: &tempfile::TempDir, name: &str, populated: bool) {
        let child = root.path().join(name);
        fs::create_dir_all(&child).unwrap();
        fs::write(child.join("cgroup.events"), format!("populated {}\nfrozen 0\n", u8::from(populated))).unwrap();
    }

    #[test]
    fn cgroup2_alone_is_unified_also_beside_systemds_own() {
        let unified = survey(&host(UNIFIED));
        assert_eq!((unified.layout, unified.perf_event_is_legacy), (Layout::Unified, false));
        assert_eq!(unified.mount.as_deref(), Some(Path::new("/sys/fs/cgroup")));
        let systemd = "30 23 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
        assert_eq!(survey(&host(&format!("{UNIFIED}{systemd}"))).layout, Layout::Unified);
        assert!(!unified.to_string().contains("v1"), "{unified}");
    }

    #[test]
    fn a_hybrid_host_with_an_empty_tree_tells_nothing_apart() {
        let root = host(HYBRID);
        let hybrid = survey(&root);
        assert_eq!(hybrid.mount.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(hybrid.layout, Layout::Unused);
        assert!(hybrid.to_string().contains("all ids are the root's"), "{hybrid}");
        assert!(!hybrid.layout.tells_apart());
        child(&root, "sys/fs/cgroup/unified/kubepods", false);
        assert_eq!(survey(&root).layout, Layout::Unused);
        child(&root, "sys/fs/cgroup/unified/system.slice", true);
        assert_eq!(survey(&root).layout, Layout::Hybrid);
        assert!(survey(&root).layout.tells_apart());
    }

    #[test]
    fn a_host_of_version_1_is_said_to_be_one() {
        let root = host(&HYBRID.replace("cgroup2 cgroup2", "tmpfs tmpfs"));
        let legacy = survey(&root);
        assert_eq!((legacy.layout, legacy.mount.as_deref()), (Layout::Legacy, None));
        assert!(legacy.to_string().contains("all ids are the root's"), "{legacy}");
        let error = Hierarchy::discover_in(root.path()).unwrap_err();
        assert!(error.to_string().contains("version 1 cgroups alone (cpu,cpuacct name=systemd)"), "{error}");
        assert!(matches!(Hierarchy::discover_in(host("").path()), Err(MountError::None { .. })));
        assert_eq!(survey(&host("")).layout, Layout::NotMounted);
        assert!(matches!(Hierarchy::discover_in(Path::new("/nowhere")), Err(MountError::Io { .. })));
    }

    #[test]
    fn perf_event_in_a_version_1_hierarchy_is_said() {
        let mounted = survey(&host(&format!("{HYBRID}{LEGACY}")));
        assert!(mounted.perf_event_is_legacy);
        assert!(mounted.to_string().contains("the hook cgroup-switches"), "{mounted}");
        // In a container, the hierarchy exists and is mounted where this process does not see it.
        let root = host(UNIFIED);
        assert!(!survey(&root).perf_event_is_legacy);
        fs::write(root.path().join("proc/cgroups"), CGROUPS.replace("perf_event\t0", "perf_event\t9")).unwrap();
        let found = Hierarchy::discover_in(root.path()).unwrap();
        assert!(found.perf_event_is_legacy && found.layout == Layout::Unified);
    }

    /// As seen by a process in a cgroup namespace of its own: `/` is its own cgroup, whose number is not the root's.
    #[test]
    fn an_own_cgroup_namespace_shows_a_part() {
        let root = host(UNIFIED);
        let part = survey_from(&root, 4_711);
        assert!(part.is_part && part.layout == Layout::Unified);
        assert!(part.to_string().contains("a part is seen"), "{part}");
        fs::create_dir_all(root.path().join("sys/fs/cgroup")).unwrap();
        assert!(Hierarchy::discover_in(root.path()).unwrap().is_part);
        // On a hybrid host, it is in a cgroup of cgroup2 itself, whether or not others are below it.
        assert_eq!(survey_from(&host(HYBRID), 4_711).layout, Layout::Hybrid);
        assert_eq!(survey(&host(HYBRID)).layout, Layout::Unused);
    }

    #[test]
    fn this_hosts_whole_tree_is_its_root() {
        let survey = Survey::of_this_host();
        if let Some(tree) = whole_tree() {
            assert_eq!(fs::metadata(&tree).unwrap().ino(), ROOT_CGROUP);
            assert_eq!(survey.mount, Some(tree));
        }
    }
}
