//! A host's files → directories and ids.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nri_plugin::cgroup::{CgroupError, CgroupFs, CgroupPath, Layout};

use crate::common::{Host, UNIFIED, inode};

fn place(path: &str) -> CgroupPath {
    CgroupPath::parse(Path::new(path)).unwrap()
}

#[test]
fn a_process_leads_to_its_directory_and_id() {
    for (host, layout) in [(Host::unified(), Layout::Unified), (Host::hybrid(), Layout::Hybrid)] {
        let id = host.make("/kubepods/podx/c");
        host.process_with(7, "4:memory:/elsewhere\n0::/kubepods/podx/c\n");
        let cgroups = host.cgroups();
        assert_eq!(cgroups.layout(), layout);
        let directory = cgroups.directory(&cgroups.process(7).unwrap().unified.unwrap()).unwrap();
        assert_eq!(directory, host.path("/kubepods/podx/c"));
        assert_eq!(cgroups.stat(directory).unwrap().id, id);
    }
}

#[test]
fn an_ended_process_and_a_removed_cgroup_are_gone() {
    let host = Host::unified();
    let cgroups = host.cgroups();
    assert!(cgroups.process(7).unwrap_err().is_gone());
    host.make("/a");
    let directory = cgroups.stat(host.path("/a")).unwrap();
    assert!(cgroups.is_current(&directory));
    host.remove("/a");
    assert!(!cgroups.is_current(&directory));
    assert!(cgroups.stat(host.path("/a")).unwrap_err().is_gone());
}

#[test]
fn the_root_is_no_containers_cgroup() {
    let host = Host::unified();
    assert!(host.cgroups().stat(host.path("/")).is_err());
}

#[test]
fn without_cgroup2_the_error_says_where_it_was_looked_for() {
    let host = Host::new("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "sys/fs/cgroup/cpu");
    let error = CgroupFs::discover_in(host.root()).unwrap_err();
    assert!(matches!(error, CgroupError::NoCgroup2 { .. }));
    assert!(error.to_string().contains("proc/self/mountinfo"), "{error}");
}

/// A pod without the host's cgroup namespace that has the host's hierarchy mounted: the kernel tells all paths from the
/// pod's own cgroup on.
#[test]
fn a_reader_in_a_namespace_of_its_own_finds_its_neighbours() {
    let mountinfo = format!("{UNIFIED}57 47 0:26 /../../.. /host/cgroup ro - cgroup2 cgroup2 rw\n");
    let host = Host::new(&mountinfo, "host/cgroup");
    let own = "/kubepods/podown/reader";
    for cgroup in [own, "/kubepods/podown/sibling", "/kubepods/podother/c", "/system/d"] {
        host.make(cgroup);
    }
    fs::create_dir_all(host.root().join("sys/fs")).unwrap();
    symlink(host.path(own), host.root().join("sys/fs/cgroup")).unwrap();
    let cgroups = host.cgroups();
    for (told, cgroup) in [
        ("/", own),
        ("/../sibling", "/kubepods/podown/sibling"),
        ("/../../podother/c", "/kubepods/podother/c"),
        ("/../../../system/d", "/system/d"),
    ] {
        assert_eq!(cgroups.directory(&place(told)), Some(host.path(cgroup)), "{told}");
    }
    assert_eq!(cgroups.directory(&place("/../../../../a")), None, "above the mount");
}

#[test]
fn a_mount_of_a_part_shows_that_part() {
    let host = Host::new(&UNIFIED.replace(" / ", " /kubepods "), "sys/fs/cgroup");
    let cgroups = host.cgroups();
    assert_eq!(cgroups.directory(&place("/kubepods/podx")), Some(host.path("/podx")));
    assert_eq!(cgroups.directory(&place("/system.slice")), None);
    assert_eq!(cgroups.host_directory(Path::new("/kubepods/podx")), Some(host.path("/podx")));
    assert_eq!(cgroups.host_directory(Path::new("/system.slice")), None);
    assert_eq!(cgroups.host_directory(Path::new("/kubepods/../x")), None);
    assert_eq!(cgroups.host_directory(Path::new("/kubepods")), None, "the mount itself");
}

#[test]
fn a_walk_sees_all_below_and_stops_at_its_limit() {
    let host = Host::unified();
    for cgroup in ["/a/b/c", "/a/d", "/e"] {
        host.make(cgroup);
    }
    fs::write(host.path("/a/cgroup.procs"), "").unwrap();
    let cgroups = host.cgroups();
    let walk = |most, down: &str| {
        let mut seen = BTreeSet::new();
        let complete = cgroups.walk(cgroups.mount_point(), most, |directory| {
            assert_eq!(directory.id, inode(&directory.path));
            let name = directory.path.strip_prefix(host.path("/")).unwrap().display().to_string();
            let into = name != down;
            seen.insert(name);
            into
        });
        (seen.into_iter().collect::<Vec<_>>(), complete)
    };
    assert_eq!(walk(5, "").0, ["a", "a/b", "a/b/c", "a/d", "e"]);
    assert!(walk(5, "").1);
    assert_eq!(walk(5, "a/b").0, ["a", "a/b", "a/d", "e"]);
    let (seen, complete) = walk(4, "");
    assert_eq!((seen.len(), complete), (4, false));
}
