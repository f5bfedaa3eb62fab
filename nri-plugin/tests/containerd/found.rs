//! Pods before, after and beyond the plugin's time → what the index knows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use nri_plugin::cgroup::CgroupFs;
use nri_plugin::index::{Change, ContainerIndex, Kind, Reason};
use tokio::time::{Instant, timeout};

use super::node::{Node, Pod, each, until_told};
use super::plugin::{index, join, run};

const GRACE: Duration = Duration::from_millis(300);

/// All that is to be known of a container that runs.
#[track_caller]
fn is_known(index: &ContainerIndex, node: &Node, pod: &Pod, id: &str, name: &str, pid: u32) {
    let cgroups = CgroupFs::discover().unwrap();
    let container = index.by_container_id(id).unwrap_or_else(|| panic!("{name} of {} is not known", pod.name));
    assert_eq!((container.kind, container.is_ended()), (Kind::Container, false));
    assert_eq!(
        (container.name(), container.pod_name(), container.namespace(), container.pod_uid()),
        (Some(name), Some(pod.name.as_str()), Some("tests"), Some(pod.uid.as_str()))
    );
    let (told, sandbox) = (container.info.as_ref().unwrap(), container.pod.as_ref().unwrap());
    assert_eq!((told.labels.get("container"), sandbox.labels.get("app")), (Some(&name.to_owned()), Some(&pod.name)));
    assert_eq!(told.annotations.get("tests/container").map(String::as_str), Some(name));
    assert_eq!(sandbox.annotations.get("tests/pod"), Some(&pod.name));
    assert_eq!((told.pid, &sandbox.id), (Some(pid), &pod.id));

    let directory = node.cgroup_of(cgroups.mount_point(), pod, id);
    let inode = fs::metadata(&directory).unwrap().ino();
    let cgroup = container.cgroup.as_ref().unwrap();
    assert_eq!((cgroup.id, &*cgroup.path), (inode, &*directory));
    for found in [index.by_cgroup_id(inode), index.find_cgroup_id(inode), index.by_pid(pid), index.by_path(&directory)]
    {
        assert_eq!(found.as_ref(), Some(&container));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_from_before_the_plugin_and_after_it_are_found() {
    each(async |node| {
        let mut all = Vec::new();
        for name in ["a", "b", "c"] {
            let pod = node.run_pod(name).await;
            for container in ["main", "sidecar"] {
                all.push((pod.clone(), node.run(&pod, container).await, container));
            }
        }
        let over = node.create(&all[0].0, "over", &["/bin/true"], None).await.unwrap();
        node.cri.start_container(&over).await.unwrap();
        until_told("a container that exits", async || node.cri.has_exited(&over).await.unwrap()).await;
        let unborn = node.create(&all[0].0, "unborn", &["/bin/true"], None).await.unwrap();
        let index = index(GRACE);
        let session = join(node, Arc::new(index.clone())).await;
        for (pod, id, name) in &all {
            is_known(&index, node, pod, id, name, node.pid(id).await);
        }
        for pod in [&all[0].0, &all[2].0] {
            let sandbox = index.by_container_id(&pod.id).unwrap();
            assert_eq!((sandbox.kind, sandbox.pod_name()), (Kind::Sandbox, Some(pod.name.as_str())));
            assert!(sandbox.cgroup.is_some());
        }
        // containerd does not tell of what has exited before.
        assert!(index.by_container_id(&over).is_none_or(|container| container.is_ended()));
        assert!(index.by_container_id(&unborn).unwrap().cgroup.is_none());

        let pod = node.run_pod("late").await;
        let id = node.run(&pod, "main").await;
        is_known(&index, node, &pod, &id, "main", node.pid(&id).await);
        let id = node.run(&all[1].0, "late").await;
        is_known(&index, node, &all[1].0, &id, "late", node.pid(&id).await);
        node.cri.start_container(&unborn).await.unwrap();
        assert!(index.by_container_id(&unborn).unwrap().cgroup.is_some());
        session.shutdown().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_kept_for_the_grace_time_and_then_gone() {
    each(async |node| {
        let before = node.run_pod("before").await;
        let ids = [node.run(&before, "main").await, node.run(&before, "other").await];
        let index = index(GRACE);
        let session = join(node, Arc::new(index.clone())).await;
        let _running = run(&index);
        let after = node.run_pod("after").await;
        let new = node.run(&after, "main").await;
        let brief = node.create(&after, "brief", &["/bin/true"], None).await.unwrap();
        node.cri.start_container(&brief).await.unwrap();

        // By its own end, one by one, and with its pod; told before the plugin was there, and after.
        let mut changes = index.changes();
        let cgroups: Vec<_> = [&ids[0], &ids[1], &new]
            .map(|id| index.by_container_id(id).unwrap().cgroup.as_ref().unwrap().id)
            .into_iter()
            .collect();
        node.remove_container(&ids[0]).await;
        node.remove_container(&brief).await;
        node.remove_pod(&after).await;
        let gone = [&ids[0], &brief, &after.id, &new];
        are_forgotten(&mut changes, &gone).await;
        for id in gone {
            assert_eq!(index.by_container_id(id), None);
        }
        assert_eq!((index.by_cgroup_id(cgroups[0]), index.by_cgroup_id(cgroups[2])), (None, None));

        assert_eq!(index.by_cgroup_id(cgroups[1]).unwrap().name(), Some("other"), "one that runs stays");
        assert_eq!(index.len(), 2);
        node.remove_pod(&before).await;
        are_forgotten(&mut changes, &[&ids[1], &before.id]).await;
        assert!(index.is_empty(), "{:?}", index.containers());
        session.shutdown().await.unwrap();
    })
    .await;
}

/// Each is told as ended, and as forgotten no sooner than the grace time later.
async fn are_forgotten(changes: &mut (impl futures::Stream<Item = Change> + Unpin), ids: &[&String]) {
    let mut left: Vec<_> = ids.iter().map(|id| id.as_str()).collect();
    while !left.is_empty() {
        let change = timeout(Duration::from_secs(30), changes.next()).await;
        match change.unwrap_or_else(|_| panic!("never forgotten: {left:?}")).unwrap() {
            Change::Changed(_) => {}
            Change::Forgotten { container, reason } => {
                assert_eq!(reason, Reason::Expired);
                let nri_plugin::index::Phase::Ended { at } = container.phase else { panic!("alive: {container:?}") };
                assert!(at + GRACE <= Instant::now(), "forgotten too soon: {container:?}");
                left.retain(|id| *id != &*container.id);
            }
            other => panic!("{other:?}"),
        }
    }
}
