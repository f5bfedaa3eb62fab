//! Real cgroups and a real process → what the index says. Skipped, and said so, where cgroups can't be made.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use nri_plugin::cgroup::{CgroupFs, CgroupPath};
use nri_plugin::index::{ContainerIndex, ContainerInfo, Event};

/// A process in a cgroup of the test's, both ended with it.
struct Tree {
    top: PathBuf,
    inside: PathBuf,
    /// The container's id: another one in each test, since a scan sees all of them.
    id: String,
    child: Child,
}

impl Drop for Tree {
    fn drop(&mut self) {
        // What is not there any more needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for directory in self.inside.ancestors().take_while(|directory| directory.starts_with(&self.top)) {
            for _ in 0..100 {
                // The kernel may take a moment to see that a process has left.
                match fs::remove_dir(directory) {
                    Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => sleep(Duration::from_millis(10)),
                    _ => break,
                }
            }
        }
    }
}

/// The directory of this process, where children are its own business; none, and why, where that can't be.
fn plant(cgroups: &CgroupFs, number: u32) -> Result<Tree, String> {
    let id = format!("{:064x}", u64::from(std::process::id()) << 8 | u64::from(number));
    let own = cgroups.process(std::process::id()).map_err(|error| error.to_string())?.unified;
    let own = own.and_then(|path| cgroups.directory(&path)).ok_or("this process is in no cgroup that is seen here")?;
    let top = own.join(format!("nri-plugin-test-{id}"));
    let inside = top.join(&id).join("container");
    fs::create_dir_all(&inside).map_err(|error| format!("no cgroup can be made in {}: {error}", own.display()))?;
    let child = Command::new("sleep").arg("600").spawn().map_err(|error| error.to_string())?;
    let tree = Tree { top, inside, id, child };
    let procs = tree.inside.join("cgroup.procs");
    fs::write(procs, tree.child.id().to_string()).map_err(|error| format!("no process can be moved: {error}"))?;
    Ok(tree)
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn a_process_in_a_nested_cgroup_is_its_containers() {
    let cgroups = match CgroupFs::discover() {
        Ok(cgroups) => cgroups,
        Err(error) => return println!("skipped: {error}"),
    };
    let tree = match plant(&cgroups, 1) {
        Ok(tree) => tree,
        Err(why) => return println!("skipped: {why}"),
    };
    let pid = tree.child.id();
    let own = tree.inside.parent().unwrap();

    let told = cgroups.process(pid).unwrap().unified.unwrap();
    assert_eq!(cgroups.directory(&told).unwrap(), tree.inside);
    assert_eq!(cgroups.stat(own.to_owned()).unwrap().id, inode(own));

    let index = ContainerIndex::builder(cgroups.clone()).build();
    index.apply(Event::ContainerStarted(ContainerInfo {
        id: tree.id.clone(),
        name: "sleeper".to_owned(),
        pid: Some(pid),
        ..ContainerInfo::default()
    }));
    let container = index.by_pid(pid).unwrap();
    assert_eq!(container.name(), Some("sleeper"));
    assert_eq!(container.cgroup.as_ref().unwrap().id, inode(own));
    for directory in [own, &tree.inside] {
        assert_eq!(index.by_cgroup_id(inode(directory)), Some(container.clone()));
        assert_eq!(index.by_path(directory), Some(container.clone()));
    }
    let later = tree.inside.join("later");
    fs::create_dir(&later).unwrap();
    let found = index.find_cgroup_id(inode(&later));
    fs::remove_dir(&later).unwrap();
    assert_eq!(found, Some(container));

    let scanned = ContainerIndex::builder(cgroups.clone()).build();
    assert!(scanned.scan().found >= 1);
    assert_eq!(scanned.by_cgroup_id(inode(&tree.inside)).unwrap().id.to_string(), tree.id);

    let directory = cgroups.stat(tree.inside.clone()).unwrap();
    drop(tree);
    assert!(!cgroups.is_current(&directory));
    assert!(cgroups.process(pid).unwrap_err().is_gone());
    assert!(cgroups.directory(&CgroupPath::default()).is_some());
}

/// The test above again, in a cgroup namespace of its own: the kernel tells the host's mount as `/../..`, and paths from
/// the namespace's root on. Mounts are made in a mount namespace of the child's.
#[test]
fn the_same_in_a_cgroup_namespace() {
    let cgroups = match CgroupFs::discover() {
        Ok(cgroups) => cgroups,
        Err(error) => return println!("skipped: {error}"),
    };
    let tree = match plant(&cgroups, 2) {
        Ok(tree) => tree,
        Err(why) => return println!("skipped: {why}"),
    };
    let own = tempfile::tempdir().unwrap();
    let script = "echo $$ > \"$PROCS\" && exec unshare --cgroup --mount sh -c \
        'mount -t cgroup2 none \"$OWN\" && exec \"$TEST\" --exact a_process_in_a_nested_cgroup_is_its_containers --nocapture'";
    let inside = Command::new("sh")
        .args(["-c", script])
        .env("PROCS", tree.inside.join("cgroup.procs"))
        .env("OWN", own.path())
        .env("TEST", std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stdout);
    if !said.contains("running 1 test") {
        return println!("skipped: no namespaces: {}", String::from_utf8_lossy(&inside.stderr));
    }
    assert!(inside.status.success() && !said.contains("skipped"), "{said}{}", String::from_utf8_lossy(&inside.stderr));
}
