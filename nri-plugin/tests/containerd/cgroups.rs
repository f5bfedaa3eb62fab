//! A container's cgroup, and cgroups inside it → the container.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use nri_plugin::cgroup::{CgroupDir, CgroupFs};
use nri_plugin::index::{ContainerIndex, Kind};

use super::node::{each, until};
use super::plugin::{index, join};

const GRACE: Duration = Duration::from_mins(1);

/// A process of the test's, ended with it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `/proc/PID/cgroup` as the kernel has it, read without the crate.
fn unified(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_containers_cgroup_id_is_its_directorys_inode() {
    each(async |node| {
        let index = index(GRACE);
        let early = node.run_pod("early").await;
        let mut all = vec![(early.clone(), node.run(&early, "main").await)];
        let session = join(node, Arc::new(index.clone())).await;
        let late = node.run_pod("late").await;
        for name in ["main", "sidecar"] {
            all.push((late.clone(), node.run(&late, name).await));
        }
        let cgroups = CgroupFs::discover().unwrap();
        let scanned = ContainerIndex::builder(cgroups.clone()).build();
        scanned.scan();
        let mut ids = Vec::new();
        for (pod, id) in &all {
            let pid = node.pid(id).await;
            // What the kernel says, what the rule says, and what the index says.
            let directory = cgroups.mount_point().join(unified(pid).trim_start_matches('/'));
            assert_eq!(directory, node.cgroup_of(cgroups.mount_point(), pod, id));
            let cgroup = index.by_container_id(id).unwrap().cgroup.clone().unwrap();
            assert_eq!((&*cgroup.path, cgroup.id), (&*directory, inode(&directory)));
            assert!(cgroups.is_current(&cgroup));
            // The same by the names of directories alone, where no runtime tells.
            let found = scanned.by_cgroup_id(cgroup.id).unwrap();
            assert_eq!((found.kind, &*found.id, found.pod_uid()), (Kind::Found, id.as_str(), Some(pod.uid.as_str())));
            ids.push(cgroup);
        }
        // Sandboxes have cgroups beside their containers'.
        for pod in [&early, &late] {
            let sandbox = index.by_container_id(&pod.id).unwrap();
            let cgroup = sandbox.cgroup.clone().unwrap();
            assert_eq!(cgroup.id, inode(&node.cgroup_of(cgroups.mount_point(), pod, &pod.id)));
            ids.push(cgroup);
        }
        let mut distinct: Vec<_> = ids.iter().map(|cgroup| cgroup.id).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");

        node.remove_pod(&early).await;
        node.remove_pod(&late).await;
        assert!(!ids.iter().any(|cgroup: &CgroupDir| cgroups.is_current(cgroup)));
        // Late samples are still told whose they are.
        assert_eq!(index.by_cgroup_id(ids[1].id).unwrap().pod_name(), Some("late"));
        session.shutdown().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_in_a_nested_cgroup_is_its_containers() {
    each(async |node| {
        let index = index(GRACE);
        let session = join(node, Arc::new(index.clone())).await;
        let pod = node.run_pod("pod").await;
        let (id, other) = (node.run(&pod, "main").await, node.run(&pod, "other").await);
        let cgroups = CgroupFs::discover().unwrap();
        let own = node.cgroup_of(cgroups.mount_point(), &pod, &id);
        let container = index.by_container_id(&id).unwrap();

        // The container's own process goes to a cgroup that was not there at the start.
        let pid = node.pid(&id).await;
        let nested = own.join("nested");
        fs::create_dir(&nested).unwrap();
        fs::write(nested.join("cgroup.procs"), pid.to_string()).unwrap();
        assert!(unified(pid).ends_with("/nested"));
        assert_eq!(index.by_pid(pid).as_ref(), Some(&container));
        assert_eq!(index.by_cgroup_id(inode(&nested)), None, "nothing has looked for it");
        assert_eq!(index.find_cgroup_id(inode(&nested)).as_ref(), Some(&container));
        assert_eq!(index.by_cgroup_id(inode(&nested)).as_ref(), Some(&container));

        // A process of the host goes deeper.
        let deeper = nested.join("deeper");
        fs::create_dir(&deeper).unwrap();
        let process = Process(Command::new("sleep").arg("1000").spawn().unwrap());
        assert_eq!(index.by_pid(process.0.id()), None);
        fs::write(deeper.join("cgroup.procs"), process.0.id().to_string()).unwrap();
        assert_eq!(index.by_pid(process.0.id()).as_ref(), Some(&container));
        assert_eq!(index.by_path(&deeper).as_ref(), Some(&container));
        // Walks are apart by a quarter of a second, so this is found in the second one.
        until("a cgroup in a nested one", || index.find_cgroup_id(inode(&deeper)).as_ref() == Some(&container)).await;
        assert_eq!(index.by_pid(node.pid(&other).await).unwrap().name(), Some("other"));

        // A plugin that joins now finds them at once.
        let fresh = super::plugin::index(GRACE);
        let second = join(node, Arc::new(fresh.clone())).await;
        for directory in [&own, &nested, &deeper] {
            assert_eq!(fresh.by_cgroup_id(inode(directory)).unwrap().id, container.id);
        }
        assert_eq!(fresh.by_pid(pid).unwrap().name(), Some("main"));
        second.shutdown().await.unwrap();

        drop(process);
        node.remove_pod(&pod).await;
        assert!(!own.exists());
        session.shutdown().await.unwrap();
    })
    .await;
}
