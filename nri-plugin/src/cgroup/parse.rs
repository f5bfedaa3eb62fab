//! Text of `/proc` → cgroup paths and mounts. No IO.
//!
//! Paths in both files are relative to the root of the *reader's* cgroup namespace: what lies above or beside it begins
//! with `/..`, cgroup_namespaces(7).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// What the kernel puts behind the path of a cgroup that was removed under its (zombie) process, cgroups(7).
const DELETED: &[u8] = b" (deleted)";

/// A place in a cgroup hierarchy as the kernel tells it: some levels up from the root of the reader's cgroup namespace,
/// then down by names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct CgroupPath {
    ups: usize,
    names: PathBuf,
}

impl CgroupPath {
    /// Reads `/a/b` or `/../../a`. None if it is not absolute, or goes up after it went down.
    pub fn parse(path: &Path) -> Option<Self> {
        let mut components = path.components();
        if components.next() != Some(Component::RootDir) {
            return None;
        }
        let mut parsed = Self::default();
        for component in components {
            match component {
                Component::ParentDir if parsed.is_above() => parsed.ups += 1,
                Component::Normal(name) => parsed.names.push(name),
                _ => return None,
            }
        }
        Some(parsed)
    }

    fn is_above(&self) -> bool {
        self.names.as_os_str().is_empty()
    }

    /// How many levels above the root of the reader's cgroup namespace it begins.
    pub fn ups(&self) -> usize {
        self.ups
    }

    /// The way down from there; empty at the place itself.
    pub fn names(&self) -> &Path {
        &self.names
    }

    /// Whether it is the root of the reader's cgroup namespace: on a host, that of the hierarchy.
    pub fn is_root(&self) -> bool {
        self.ups == 0 && self.is_above()
    }
}

/// The cgroups of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ProcessCgroups {
    /// In the cgroup2 hierarchy: the line `0::/…`. None on hosts that have version 1 alone.
    pub unified: Option<CgroupPath>,
    /// In each version 1 hierarchy.
    pub legacy: Vec<LegacyCgroup>,
    /// Whether the cgroup2 directory is gone already.
    pub deleted: bool,
}

/// The cgroup of a process in a version 1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyCgroup {
    /// The hierarchy's controllers, separated by commas; or `name=systemd` and the like.
    pub controllers: String,
    /// Where the process is.
    pub path: CgroupPath,
}

impl ProcessCgroups {
    /// Reads `/proc/PID/cgroup`: lines `hierarchy-ID:controller-list:cgroup-path`, cgroups(7). Lines that are not like
    /// that are skipped.
    pub fn parse(text: &[u8]) -> Self {
        let mut cgroups = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            // A path may have colons: those of runtimes that were given a systemd path, and don't use systemd.
            let mut fields = line.splitn(3, |byte| *byte == b':');
            let (Some(hierarchy), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let (path, deleted) = match path.strip_suffix(DELETED) {
                Some(path) => (path, true),
                None => (path, false),
            };
            let Some(path) = CgroupPath::parse(Path::new(OsStr::from_bytes(path))) else {
                continue;
            };
            if hierarchy == b"0" && controllers.is_empty() {
                cgroups.unified = Some(path);
                cgroups.deleted = deleted;
            } else {
                let controllers = String::from_utf8_lossy(controllers).into_owned();
                cgroups.legacy.push(LegacyCgroup { controllers, path });
            }
        }
        cgroups
    }
}

/// A mount of the cgroup2 hierarchy, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cgroup2Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// The place of the hierarchy that is seen there.
    pub root: CgroupPath,
}

/// The cgroup mounts of a mount namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CgroupMounts {
    /// Mounts of cgroup2, in the order of the file.
    pub unified: Vec<Cgroup2Mount>,
    /// Whether version 1 hierarchies are mounted too: the host is hybrid.
    pub legacy: bool,
}

impl CgroupMounts {
    /// Reads `/proc/PID/mountinfo`, proc_pid_mountinfo(5):
    /// `ID parent major:minor root mount-point options [tags…] - type source super-options`. Lines that are not like that
    /// are skipped; a mount that another one covers is not seen.
    pub fn parse(text: &[u8]) -> Self {
        let mut mounts = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b' ');
            let (Some(root), Some(point)) = (fields.nth(3), fields.next()) else {
                continue;
            };
            let Some(kind) = fields.find(|field| *field == b"-").and_then(|_| fields.next()) else {
                continue;
            };
            let point = unescape(point);
            mounts.unified.retain(|below| below.point != point);
            match kind {
                b"cgroup" => mounts.legacy = true,
                b"cgroup2" => {
                    let root = CgroupPath::parse(&unescape(root));
                    mounts.unified.extend(root.map(|root| Cgroup2Mount { point, root }));
                }
                _ => {}
            }
        }
        mounts
    }

    /// The mount that shows most of the hierarchy: one that begins above the reader's cgroup namespace (the host's, in a
    /// container that has it mounted) before one that begins at it, before one of a part; the first of equals.
    pub fn widest(&self) -> Option<&Cgroup2Mount> {
        self.unified.iter().min_by_key(|mount| (mount.root.names().components().count(), usize::MAX - mount.root.ups()))
    }
}

/// Undoes the kernel's escapes: a backslash and three octal digits for space, tab, newline, backslash.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'\\').then(|| tail.split_at_checked(3)).flatten().and_then(|(digits, after)| {
            let octal = digits.iter().try_fold(0_u16, |value, digit| match digit {
                b'0'..=b'7' => Some(value * 8 + u16::from(digit - b'0')),
                _ => None,
            });
            Some((u8::try_from(octal?).ok()?, after))
        });
        let (byte, after) = escaped.unwrap_or((first, tail));
        bytes.push(byte);
        rest = after;
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(ups: usize, names: &str) -> CgroupPath {
        CgroupPath { ups, names: names.into() }
    }

    #[test]
    fn a_process_of_a_unified_host_has_one_line() {
        let cgroups = ProcessCgroups::parse(b"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-a.scope\n");
        let unified = path(0, "kubepods.slice/kubepods-pod1.slice/cri-containerd-a.scope");
        assert_eq!(cgroups, ProcessCgroups { unified: Some(unified), ..ProcessCgroups::default() });
    }

    #[test]
    fn a_process_of_a_hybrid_host_has_one_line_per_hierarchy() {
        let cgroups = ProcessCgroups::parse(b"9:name=systemd:/a\n4:cpu,cpuacct:/b\nnonsense\n0::/\n");
        let legacy: Vec<_> = cgroups.legacy.iter().map(|of| (of.controllers.as_str(), of.path.names())).collect();
        assert_eq!(legacy, [("name=systemd", Path::new("a")), ("cpu,cpuacct", Path::new("b"))]);
        assert!(cgroups.unified.unwrap().is_root());
    }

    #[test]
    fn a_path_may_have_colons_and_be_deleted() {
        let cgroups = ProcessCgroups::parse(b"0::/system.slice/a.slice:cri-containerd:b (deleted)");
        assert_eq!(cgroups.unified, Some(path(0, "system.slice/a.slice:cri-containerd:b")));
        assert!(cgroups.deleted);
    }

    #[test]
    fn what_lies_beside_the_readers_namespace_goes_up_first() {
        let cgroups = ProcessCgroups::parse(b"0::/../../podb/c\n");
        assert_eq!(cgroups.unified, Some(path(2, "podb/c")));
        for bad in ["a", "", "/a/../b", "/../a/.."] {
            assert_eq!(CgroupPath::parse(Path::new(bad)), None, "{bad}");
        }
    }

    #[test]
    fn the_cgroup2_mount_is_found_on_unified_and_hybrid_hosts() {
        let unified = b"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n";
        let mounts = CgroupMounts::parse(unified);
        assert_eq!(mounts.widest().unwrap().point, Path::new("/sys/fs/cgroup"));
        assert!(!mounts.legacy);

        let hybrid = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let mounts = CgroupMounts::parse(hybrid);
        assert_eq!(mounts.widest().unwrap().point, Path::new("/sys/fs/cgroup/unified"));
        assert!(mounts.legacy);
    }

    #[test]
    fn a_mount_point_is_unescaped_and_its_root_kept() {
        let text = br"30 23 0:26 /../.. /mnt/a\040b\134c\09 rw - cgroup2 cgroup2 rw";
        let mounts = CgroupMounts::parse(text);
        assert_eq!(mounts.unified, [Cgroup2Mount { point: r"/mnt/a b\c\09".into(), root: path(2, "") }]);
    }

    #[test]
    fn the_widest_mount_is_taken_and_a_covered_one_is_not_seen() {
        let line = |root: &str, point: &str, kind: &str| format!("1 2 0:3 {root} {point} rw - {kind} none rw\n");
        let mount = |lines: &[String]| {
            CgroupMounts::parse(lines.concat().as_bytes()).widest().map(|mount| mount.point.display().to_string())
        };
        let own = line("/", "/sys/fs/cgroup", "cgroup2");
        let hosts = line("/../..", "/host/cgroup", "cgroup2");
        let part = line("/a", "/part", "cgroup2");
        assert_eq!(mount(&[own.clone(), hosts.clone()]).as_deref(), Some("/host/cgroup"));
        assert_eq!(mount(&[part, own.clone()]).as_deref(), Some("/sys/fs/cgroup"));
        let cover = line("/", "/host/cgroup", "tmpfs");
        assert_eq!(mount(&[own, hosts, cover]).as_deref(), Some("/sys/fs/cgroup"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n]{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for input in [text.as_bytes(), &bytes] {
                ProcessCgroups::parse(input);
                CgroupMounts::parse(input);
                unescape(input);
            }
        }

        #[test]
        fn what_the_kernel_escapes_comes_back(name in "/[a-z \t\n\\\\]{0,20}") {
            let escaped: String = name
                .chars()
                .map(|c| if " \t\n\\".contains(c) { format!("\\{:03o}", c as u32) } else { c.to_string() })
                .collect();
            prop_assert_eq!(unescape(escaped.as_bytes()), Path::new(&name));
        }
    }
}
