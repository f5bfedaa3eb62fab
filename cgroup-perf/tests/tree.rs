//! Directories and counts → the sums of pods and slices.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use cgroup_perf::mount::Hierarchy;
use cgroup_perf::quality::Counter;
use cgroup_perf::sample::{CgroupId, Delta, MAX_COUNTERS, Sample, Total};
use cgroup_perf::totals::Totals;
use cgroup_perf::tree::{Entered, Progress, Tree};

const SECOND: u64 = 1_000_000_000;

struct Host {
    directory: tempfile::TempDir,
    tree: Tree,
    totals: Totals,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path()).unwrap().with_grace(Duration::from_secs(30));
        Self { directory, tree, totals: Totals::new(&[Counter::CYCLES]) }
    }

    fn make(&self, path: &str) -> CgroupId {
        let path = self.directory.path().join(path);
        fs::create_dir_all(&path).unwrap();
        CgroupId(fs::metadata(path).unwrap().ino())
    }

    fn remove(&self, path: &str) {
        fs::remove_dir_all(self.directory.path().join(path)).unwrap();
    }

    fn scan(&mut self, now: u64) -> Progress {
        loop {
            match self.tree.scan(3, now).unwrap() {
                Progress::Going => {}
                end => return end,
            }
        }
    }

    fn run(&mut self, cgroup: CgroupId, ran: u64, now: u64) {
        let mut counters = [Delta::default(); MAX_COUNTERS];
        counters[0] = Delta { value: 3 * ran, enabled: ran, running: ran };
        let start = now.saturating_sub(1_000_000);
        self.totals.add_sample(&Sample { start, end: now, cpu: 0, cgroup, task: None, ran, switches: 1, counters });
    }

    fn settle(&mut self, now: u64) {
        self.tree.settle(&mut self.totals, now);
    }

    fn ran(&self, cgroup: CgroupId) -> Option<u64> {
        self.tree.subtrees(&self.totals).get(cgroup).map(|total| total.ran)
    }

    fn whole(&self) -> Option<u64> {
        self.ran(self.tree.root())
    }

    fn path(&self, cgroup: CgroupId) -> Option<&str> {
        self.tree.get(cgroup)?.path.to_str()
    }
}

#[test]
fn a_pod_and_a_slice_have_done_what_is_below_them() {
    let mut host = Host::new();
    let [one, two] = ["kubepods/pod-a/one", "kubepods/pod-a/two"].map(|path| host.make(path));
    let nested = host.make("kubepods/pod-b/three/init");
    let [kubepods, pod] = ["kubepods", "kubepods/pod-a"].map(|path| host.make(path));
    assert!(host.tree.has_only_root());
    assert_eq!(host.scan(0), Progress::Complete);
    assert!(!host.tree.has_only_root());
    for (cgroup, ran) in [(one, 100), (two, 10), (nested, 1_000), (pod, 1)] {
        host.run(cgroup, ran, 1);
    }
    assert_eq!(host.ran(one), Some(100));
    assert_eq!(host.ran(pod), Some(111));
    assert_eq!(host.ran(kubepods), Some(1_111));
    assert_eq!(host.whole(), Some(1_111));
    let above: Vec<_> = host.tree.ancestors(nested).map(|(_, node)| node.path.to_str().unwrap().to_owned()).collect();
    assert_eq!(above, ["kubepods/pod-b/three", "kubepods/pod-b", "kubepods", ""]);
    let sum = host.tree.subtrees(&host.totals);
    assert_eq!(sum.get(kubepods).unwrap().verdict(host.totals.counters(), 0).unwrap().figure, Some(3_333));
}

#[test]
fn a_removed_cgroup_keeps_its_totals_for_a_time_and_those_above_for_ever() {
    let mut host = Host::new();
    let container = host.make("pod/one");
    let pod = host.make("pod");
    host.scan(0);
    host.run(container, 100, SECOND);
    host.remove("pod/one");
    host.scan(2 * SECOND);
    host.settle(2 * SECOND);
    assert_eq!((host.ran(container), host.path(container)), (Some(100), Some("pod/one")));
    assert_eq!(host.tree.at(Path::new("pod/one")), None);
    // A record that comes late is still its own.
    host.run(container, 5, 3 * SECOND);
    host.settle(31 * SECOND);
    assert_eq!(host.ran(container), Some(105));
    host.settle(32 * SECOND);
    assert_eq!((host.ran(container), host.path(container)), (None, None));
    assert_eq!((host.ran(pod), host.whole()), (Some(105), Some(105)));
    // And so on upwards.
    host.remove("pod");
    host.scan(33 * SECOND);
    host.settle(63 * SECOND);
    assert_eq!((host.ran(pod), host.whole(), host.tree.len()), (None, Some(105), 1));
    assert!(host.totals.get(container).is_none());
}

#[test]
fn a_pod_that_goes_before_what_is_below_it_waits_for_it() {
    let mut host = Host::new();
    let [slice, pod, container] = ["slice", "slice/pod", "slice/pod/one"].map(|path| host.make(path));
    host.scan(0);
    host.run(container, 7, 1);
    host.tree.leave(slice, SECOND);
    host.tree.leave(pod, SECOND);
    host.tree.leave(container, 20 * SECOND);
    host.settle(31 * SECOND);
    assert_eq!((host.tree.len(), host.ran(slice)), (4, Some(7)));
    host.settle(50 * SECOND);
    assert_eq!((host.tree.len(), host.whole()), (1, Some(7)));
}

#[test]
fn an_id_that_is_used_again_is_another_cgroup() {
    let mut host = Host::new();
    let [old, below, new] = [CgroupId(1 << 40), CgroupId(2 << 40), CgroupId(3 << 40)];
    host.tree.enter(new, Path::new("b"), 0);
    host.tree.enter(old, Path::new("a"), 0);
    host.tree.enter(below, Path::new("a/one"), 0);
    host.run(old, 10, 1);
    host.run(below, 1, 1);
    assert_eq!(host.tree.enter(old, Path::new("a"), SECOND), Entered::Known);
    assert_eq!(host.tree.enter(old, Path::new("b/again"), SECOND), Entered::Reused);
    host.settle(SECOND);
    host.run(old, 100, SECOND);
    assert_eq!((host.ran(old), host.ran(new), host.ran(below), host.whole()), (Some(100), Some(100), None, Some(111)));
    assert_eq!(host.path(old), Some("b/again"));
}

#[test]
fn a_path_that_is_used_again_has_another_id() {
    let mut host = Host::new();
    let [first, second] = [CgroupId(1 << 40), CgroupId(2 << 40)];
    assert_eq!(host.tree.enter(first, Path::new("web"), 0), Entered::New);
    assert_eq!(host.tree.enter(second, Path::new("web"), SECOND), Entered::New);
    assert_eq!(host.tree.get(first).unwrap().removed, Some(SECOND));
    assert_eq!(host.tree.at(Path::new("web")), Some(second));
    // The first one's removal, told late, is not the second's.
    host.tree.leave(first, 2 * SECOND);
    assert_eq!(host.tree.at(Path::new("web")), Some(second));
    // And it comes back where a walk sees it.
    assert_eq!(host.tree.enter(first, Path::new("web"), 3 * SECOND), Entered::Known);
    assert_eq!(host.tree.get(first).unwrap().removed, None);
}

#[test]
fn what_no_walk_has_seen_is_in_the_root() {
    let mut host = Host::new();
    let short = CgroupId(1 << 40);
    host.run(short, 9, SECOND);
    assert_eq!((host.whole(), host.ran(short)), (Some(9), None));
    host.settle(31 * SECOND);
    assert!(host.totals.get(short).is_some());
    host.settle(31 * SECOND + 1);
    assert!(host.totals.get(short).is_none());
    assert_eq!(host.whole(), Some(9));
}

#[test]
fn a_tree_that_is_full_says_so_and_has_room_again() {
    let mut host = Host::new();
    host.tree = Tree::new(host.directory.path()).unwrap().with_most(3).with_grace(Duration::ZERO);
    for name in ["a", "b", "c", "d"] {
        host.make(name);
    }
    assert_eq!(host.scan(0), Progress::Incomplete);
    assert_eq!((host.tree.len(), host.tree.refused()), (3, 2));
    for name in ["a", "b", "c"] {
        host.remove(name);
    }
    host.scan(1);
    host.settle(1);
    assert_eq!(host.scan(2), Progress::Complete);
    assert!(host.tree.at(Path::new("d")).is_some());
    assert_eq!(host.tree.len(), 2);
}

#[test]
fn a_reading_that_the_kernel_still_gives_is_not_counted_twice() {
    let mut host = Host::new();
    let container = host.make("one");
    host.scan(0);
    let mut counters = [Delta::default(); MAX_COUNTERS];
    counters[0] = Delta { value: 300, enabled: 100, running: 100 };
    let reading = Total { cgroup: container, ran: 100, switches: 1, counters };
    host.totals.read(&reading, SECOND);
    host.remove("one");
    host.scan(SECOND);
    for second in [31, 32, 60] {
        host.settle(second * SECOND);
        host.totals.read(&reading, second * SECOND);
        assert_eq!((host.ran(container), host.whole()), (None, Some(100)), "at {second}");
    }
}

#[test]
fn a_mount_that_is_not_there_is_an_error_that_names_it() {
    let error = Tree::new("/nowhere/cgroup").unwrap_err();
    assert_eq!(error.to_string(), "the cgroup2 mount /nowhere/cgroup can't be read");
}

#[test]
fn ten_thousand_cgroups_that_come_and_go_leave_nothing() {
    let mut host = Host::new();
    host.make("pod");
    host.scan(0);
    for round in 0..10_000_u64 {
        let now = round * SECOND / 10;
        let cgroup = CgroupId((1 << 40) + round);
        host.tree.enter(cgroup, Path::new("pod/one"), now);
        host.run(cgroup, 1, now);
        if round % 100 == 0 {
            host.settle(now);
        }
        assert!(host.tree.len() <= 500 && host.totals.len() <= 500, "{} {}", host.tree.len(), host.totals.len());
    }
    host.scan(2_000 * SECOND);
    host.settle(3_000 * SECOND);
    assert_eq!((host.tree.len(), host.totals.len(), host.whole()), (2, 1, Some(10_000)));
}

#[test]
fn the_kernels_own_hierarchy_is_walked() {
    let Ok(hierarchy) = Hierarchy::discover() else {
        println!("skipped: no cgroup2 on this machine");
        return;
    };
    let own = hierarchy.mount.join(format!("cgroup-perf-test-{}", std::process::id()));
    if let Err(error) = fs::create_dir(&own) {
        println!("skipped: no right to make a cgroup: {error}");
        return;
    }
    fs::create_dir(own.join("below")).unwrap();
    let inode = CgroupId(fs::metadata(own.join("below")).unwrap().ino());
    let mut tree = Tree::new(&hierarchy.mount).unwrap();
    while tree.scan(100, 0).unwrap() == Progress::Going {}
    let found = tree.get(inode).map(|node| hierarchy.mount.join(&node.path));
    fs::remove_dir(own.join("below")).unwrap();
    fs::remove_dir(&own).unwrap();
    assert_eq!(found, Some(own.join("below")));
    while tree.scan(100, 1).unwrap() == Progress::Going {}
    assert_eq!(tree.get(inode).unwrap().removed, Some(1));
}
