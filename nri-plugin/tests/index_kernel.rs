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

const ID: &str = "0f3a4f1a8a5f4bb0bd4d0f3a4f1a8a5f4bb0bd4d0f3a4f1a8a5f4bb0bd4d0123";

/// A process in a cgroup of the test's, both ended with it.
struct Tree {
    top: PathBuf,
    inside: PathBuf,
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
fn plant(cgroups: &CgroupFs) -> Result<Tree, String> {
    let own = cgroups.process(std::process::id()).map_err(|error| error.to_string())?.unified;
    let own = own.and_then(|path| cgroups.directory(&path)).ok_or("this process is in no cgroup that is seen here")?;
    let top = own.join(format!("nri-plugin-test-{}", std::process::id()));
    let inside = top.join(ID).join("container");
    fs::create_dir_all(&inside).map_err(|error| format!("no cgroup can be made in {}: {error}", own.display()))?;
    let child = Command::new("sleep").arg("600").spawn().map_err(|error| error.to_string())?;
    let tree = Tree { top, inside, child };
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
    let tree = match plant(&cgroups) {
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
        id: ID.to_owned(),
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
    assert_eq!(&*scanned.by_cgroup_id(inode(&tree.inside)).unwrap().id, ID);

    let directory = cgroups.stat(tree.inside.clone()).unwrap();
    drop(tree);
    assert!(!cgroups.is_current(&directory));
    assert!(cgroups.process(pid).unwrap_err().is_gone());
    assert!(cgroups.directory(&CgroupPath::default()).is_some());
}
