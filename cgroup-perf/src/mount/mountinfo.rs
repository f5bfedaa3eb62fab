//! The cgroup mounts that a mountinfo lists.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

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

    /// The mount whose root is all of the hierarchy, or of this process' part of it: in a cgroup namespace of its own, the
    /// namespace's root looks like the hierarchy's. The inode tells.
    pub(crate) fn whole(&self) -> Option<&Path> {
        self.unified.iter().find(|(_, root)| root == Path::new("/")).map(|(point, _)| point.as_path())
    }

    /// Whether a version 1 hierarchy has controllers. One that has a name alone is systemd's, to follow its units.
    pub fn has_legacy_controllers(&self) -> bool {
        self.legacy.iter().any(|controllers| controllers.split(',').any(|name| !name.starts_with("name=")))
    }

    /// Whether the `perf_event` controller is in a version 1 hierarchy: then the kernel's cgroup switches, and per-cgroup
    /// perf events, are of that hierarchy's cgroups and not of cgroup2's.
    pub fn perf_event_is_legacy(&self) -> bool {
        self.legacy.iter().any(|controllers| controllers.split(',').any(|controller| controller == "perf_event"))
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
    use super::*;

    #[test]
    fn of_several_mounts_the_widest_is_taken() {
        let own = "1 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let host = "2 1 0:28 /../../.. /host/sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let part = "3 1 0:28 /system.slice /mnt rw - cgroup2 cgroup rw\n";
        assert_eq!(CgroupMounts::parse([part, own].concat().as_bytes()).widest(), Some(Path::new("/sys/fs/cgroup")));
        let all = CgroupMounts::parse([own, part, host].concat().as_bytes());
        assert_eq!(all.widest(), Some(Path::new("/host/sys/fs/cgroup")));
        assert_eq!(all.whole(), Some(Path::new("/sys/fs/cgroup")));
        assert_eq!(CgroupMounts::parse(part.as_bytes()).whole(), None);
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

    #[test]
    fn a_hierarchy_with_a_name_alone_has_no_controllers() {
        let systemd = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
        assert!(!CgroupMounts::parse(systemd.as_bytes()).has_legacy_controllers());
        let cpu = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        assert!(CgroupMounts::parse([systemd, cpu].concat().as_bytes()).has_legacy_controllers());
    }
}
