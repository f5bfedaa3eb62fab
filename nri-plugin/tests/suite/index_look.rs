//! Containers and cgroup trees → what is found by id, process and path.

use std::path::Path;
use std::time::Duration;

use nri_plugin::cgroup::CgroupFs;
use nri_plugin::index::{ContainerIndex, ContainerInfo, Event, Kind, PodInfo};

use crate::common::{Host, container, id, pod, pod_cgroup, uid};

fn index(host: &Host) -> ContainerIndex {
    ContainerIndex::builder(host.cgroups()).build()
}

fn name_of(index: &ContainerIndex, cgroup: u64) -> Option<String> {
    Some(index.by_cgroup_id(cgroup)?.name()?.to_owned())
}

#[track_caller]
fn start(index: &ContainerIndex, pod: &PodInfo, container: &ContainerInfo) {
    index.apply(Event::PodStarted(pod.clone()));
    index.apply(Event::ContainerStarted(container.clone()));
}

#[test]
fn a_container_is_found_by_everything_that_is_known_of_it() {
    for host in [Host::unified(), Host::hybrid()] {
        let index = index(&host);
        let told = ContainerInfo { pid: Some(7), image: Some("web:1".to_owned()), ..container(1, 2) };
        let cgroup = host.make(&told.cgroups_path);
        host.process(7, &told.cgroups_path);
        start(&index, &pod(2), &told);
        let found = index.by_cgroup_id(cgroup).unwrap();
        assert_eq!(found.cgroup.as_ref().unwrap().id, cgroup);
        assert_eq!((found.name(), found.image()), (Some("app-1"), Some("web:1")));
        assert_eq!((found.pod_name(), found.namespace()), (Some("web-2"), Some("shop")));
        assert_eq!(found.pod_uid(), Some(uid(2).as_str()));
        assert_eq!(found.pod.as_ref().unwrap().labels["app"], "web");
        for other in [
            index.by_container_id(&id(1)),
            index.by_pid(7),
            index.by_path(&host.path(&told.cgroups_path)),
            index.by_path(Path::new(&told.cgroups_path)),
        ] {
            assert_eq!(other, Some(found.clone()));
        }
        assert_eq!(index.by_pid(8), None);
        assert_eq!(index.by_path(&host.path(&pod_cgroup(2))), None);
        assert_eq!(index.by_cgroup_id(cgroup + 1_000_000), None);
    }
}

#[test]
fn the_systemd_driver_is_found_by_process_and_by_path() {
    let slice = format!("kubepods-burstable-pod{}.slice", uid(2).replace('-', "_"));
    let whole = format!("/kubepods.slice/kubepods-burstable.slice/{slice}");
    // containerd names the pod's slice by its whole path, CRI-O by its name alone.
    for (parent, prefix) in [(whole.as_str(), "cri-containerd"), (slice.as_str(), "crio")] {
        for pid in [Some(7), None] {
            let host = Host::unified();
            let index = index(&host);
            let scope = format!("{whole}/{prefix}-{}.scope", id(1));
            let cgroup = host.make(&scope);
            host.process(7, &scope);
            let told = ContainerInfo { cgroups_path: format!("{slice}:{prefix}:{}", id(1)), pid, ..container(1, 2) };
            start(&index, &PodInfo { cgroup_parent: parent.to_owned(), ..pod(2) }, &told);
            assert_eq!(name_of(&index, cgroup).as_deref(), Some("app-1"), "{prefix}, {pid:?}");
        }
    }
}

#[test]
fn cruns_cgroup_inside_the_scope_is_the_containers() {
    let host = Host::unified();
    let index = index(&host);
    let scope = format!("/kubepods.slice/kubepods-podx.slice/crio-{}.scope", id(1));
    let process = host.make(&format!("{scope}/container"));
    let own = host.make(&scope);
    host.process(7, &format!("{scope}/container"));
    // By the path that the runtime told, and without one by the scope's name.
    for path in [format!("kubepods-podx.slice:crio:{}", id(1)), String::new()] {
        start(&index, &pod(2), &ContainerInfo { cgroups_path: path, pid: Some(7), ..container(1, 2) });
        assert_eq!(index.by_container_id(&id(1)).unwrap().cgroup.as_ref().unwrap().id, own);
        for cgroup in [own, process] {
            assert_eq!(name_of(&index, cgroup).as_deref(), Some("app-1"));
        }
        assert_eq!(index.by_pid(7).unwrap().name(), Some("app-1"));
        index.apply(Event::ContainerRemoved(id(1)));
    }
}

#[test]
fn a_path_that_no_rule_knows_is_the_containers_too() {
    let host = Host::unified();
    let index = index(&host);
    let inside = host.make("/custom/c/inside");
    let own = host.make("/custom/c");
    host.process(7, "/custom/c/inside");
    let told = ContainerInfo { cgroups_path: "/custom/c".to_owned(), pid: Some(7), ..container(1, 2) };
    index.apply(Event::ContainerStarted(told.clone()));
    assert_eq!(index.by_container_id(&id(1)).unwrap().cgroup.as_ref().unwrap().id, own);
    // What comes later is known by the cgroup inside as well.
    index.apply(Event::PodStarted(pod(2)));
    assert_eq!(index.by_cgroup_id(inside).unwrap().pod_name(), Some("web-2"));
    // It moves into what was inside of it.
    index.apply(Event::ContainerStarted(ContainerInfo { cgroups_path: "/custom/c/inside".to_owned(), ..told }));
    assert_eq!((name_of(&index, inside).as_deref(), name_of(&index, own)), (Some("app-1"), None));
}

#[test]
fn the_process_is_believed_where_path_and_process_differ() {
    let host = Host::unified();
    let index = index(&host);
    let told = ContainerInfo { pid: Some(7), ..container(1, 2) };
    let ruled = host.make(&told.cgroups_path);
    let actual = host.make("/elsewhere/c");
    host.process(7, "/elsewhere/c");
    start(&index, &pod(2), &told);
    assert_eq!((name_of(&index, actual).as_deref(), name_of(&index, ruled)), (Some("app-1"), None));
}

#[test]
fn a_container_has_no_cgroup_before_its_start_and_never_the_root() {
    let host = Host::unified();
    let index = index(&host);
    start(&index, &pod(2), &container(1, 2));
    assert_eq!(index.by_container_id(&id(1)).unwrap().cgroup, None);
    host.process_with(7, "4:memory:/kubepods/x\n0::/\n");
    index.apply(Event::ContainerStarted(ContainerInfo { pid: Some(7), ..container(1, 2) }));
    assert_eq!(index.by_container_id(&id(1)).unwrap().cgroup, None);
    // It has a directory, and its process is in the hierarchies of version 1 alone.
    let cgroup = host.make(&container(1, 2).cgroups_path);
    index.apply(Event::ContainerStarted(ContainerInfo { pid: Some(7), ..container(1, 2) }));
    assert_eq!(name_of(&index, cgroup).as_deref(), Some("app-1"));
}

#[test]
fn a_process_in_version_1_hierarchies_alone_is_found_by_their_names() {
    let host = Host::hybrid();
    let index = index(&host);
    start(&index, &pod(2), &container(1, 2));
    host.process_with(7, &format!("4:memory:{}/inner\n0::/\n", container(1, 2).cgroups_path));
    assert_eq!(index.by_pid(7).unwrap().name(), Some("app-1"));
    // One that docker made in it, and that nobody told of.
    host.process_with(7, &format!("4:memory:{}/docker/{}\n0::/\n", container(1, 2).cgroups_path, id(3)));
    assert_eq!(index.by_pid(7).unwrap().name(), Some("app-1"));
}

#[test]
fn a_pause_container_is_its_pods() {
    let host = Host::unified();
    let index = index(&host);
    let cgroup = host.make("/kubepods/podx/pause");
    host.process(9, "/kubepods/podx/pause");
    index.apply(Event::PodStarted(PodInfo { pid: Some(9), ..pod(2) }));
    let sandbox = index.by_cgroup_id(cgroup).unwrap();
    assert_eq!((sandbox.kind, sandbox.pod_name(), sandbox.name()), (Kind::Sandbox, Some("web-2"), None));
}

#[test]
fn a_container_may_come_before_its_pod_and_the_pod_may_change() {
    let host = Host::unified();
    let index = index(&host);
    index.apply(Event::ContainerStarted(container(1, 2)));
    assert_eq!(index.by_container_id(&id(1)).unwrap().pod_name(), None);
    index.apply(Event::PodStarted(pod(2)));
    assert_eq!(index.by_container_id(&id(1)).unwrap().pod_name(), Some("web-2"));
    index.apply(Event::PodStarted(PodInfo { labels: [("app".into(), "new".into())].into(), ..pod(2) }));
    let labelled = index.by_container_id(&id(1)).unwrap();
    assert_eq!(labelled.pod.as_ref().unwrap().labels["app"], "new");
}

#[tokio::test(start_paused = true)]
async fn a_cgroup_that_is_made_inside_later_is_found_and_what_is_not_there_is_not_sought_again() {
    let host = Host::unified();
    let index = index(&host);
    let told = container(1, 2);
    host.make(&told.cgroups_path);
    start(&index, &pod(2), &told);
    let deep = host.make(&format!("{}/init.scope/deep", told.cgroups_path));
    assert_eq!(index.by_cgroup_id(deep), None);
    assert_eq!(index.find_cgroup_id(deep).unwrap().name(), Some("app-1"));
    assert_eq!(name_of(&index, deep).as_deref(), Some("app-1"), "without looking again");

    tokio::time::advance(Duration::from_secs(1)).await;
    let later = host.make("/somewhere/later");
    assert_eq!(index.find_cgroup_id(later), None);
    std::fs::rename(host.path("/somewhere/later"), host.path(&format!("{}/later", told.cgroups_path))).unwrap();
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(index.find_cgroup_id(later), None, "missed just now");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(index.find_cgroup_id(later).unwrap().name(), Some("app-1"));

    let soon = host.make(&format!("{}/soon", told.cgroups_path));
    assert_eq!(index.find_cgroup_id(soon), None, "so soon after a walk");
    tokio::time::advance(Duration::from_millis(250)).await;
    assert!(index.find_cgroup_id(soon).is_some());
}

#[test]
fn a_cgroup_that_was_inside_is_no_containers_once_it_is_gone() {
    let host = Host::unified();
    let index = index(&host);
    let told = container(1, 2);
    let inside = host.make(&format!("{}/a", told.cgroups_path));
    start(&index, &pod(2), &told);
    assert!(index.by_cgroup_id(inside).is_some());
    host.remove(&format!("{}/a", told.cgroups_path));
    index.find_cgroup_id(u64::MAX);
    assert_eq!(index.by_cgroup_id(inside), None);
}

/// A container runtime inside of a container (kind, dind): the innermost container has what lies in it.
#[test]
fn containers_inside_of_containers_keep_their_own() {
    for inner_first in [true, false] {
        let host = Host::unified();
        let index = index(&host);
        let outer = container(1, 2);
        let inner =
            ContainerInfo { cgroups_path: format!("{}/docker/{}", outer.cgroups_path, id(3)), ..container(3, 4) };
        let deep = host.make(&format!("{}/deep", inner.cgroups_path));
        let (own, between) = (host.make(&inner.cgroups_path), host.make(&format!("{}/docker", outer.cgroups_path)));
        let order = if inner_first { [&inner, &outer] } else { [&outer, &inner] };
        for told in order {
            index.apply(Event::ContainerStarted(told.clone()));
        }
        let names = || [own, deep, between].map(|cgroup| name_of(&index, cgroup).unwrap());
        // News of the outer one change nothing.
        index.apply(Event::PodStarted(pod(2)));
        assert_eq!(names(), ["app-3", "app-3", "app-1"], "{inner_first}");
        index.find_cgroup_id(u64::MAX);
        assert_eq!(names(), ["app-3", "app-3", "app-1"], "{inner_first}");
    }
}

#[test]
fn a_scan_finds_containers_that_get_their_names_later() {
    let host = Host::unified();
    let index = index(&host);
    let told = container(1, 2);
    let inside = host.make(&format!("{}/container", told.cgroups_path));
    let cgroup = host.make(&told.cgroups_path);
    host.make("/system.slice/sshd.service");
    let scan = index.scan();
    assert_eq!((scan.found, scan.complete, index.len()), (1, true, 1));
    let found = index.by_cgroup_id(inside).unwrap();
    assert_eq!((found.kind, &*found.id, found.name()), (Kind::Found, id(1).as_str(), None));
    assert_eq!(found.pod_uid(), Some(uid(2).as_str()));

    start(&index, &pod(2), &told);
    index.scan();
    let named = index.by_cgroup_id(cgroup).unwrap();
    assert_eq!((named.kind, named.name(), named.pod_name()), (Kind::Container, Some("app-1"), Some("web-2")));
    assert_eq!(index.len(), 2, "the container and its sandbox");
}

#[test]
fn a_scan_tells_the_pod_of_a_container_that_came_before_it() {
    let host = Host::unified();
    let index = index(&host);
    host.make(&container(1, 2).cgroups_path);
    index.apply(Event::ContainerStarted(container(1, 2)));
    assert_eq!(index.by_container_id(&id(1)).unwrap().pod_uid(), None);
    index.scan();
    assert_eq!(index.by_container_id(&id(1)).unwrap().pod_uid(), Some(uid(2).as_str()));
}

#[test]
fn nothing_vanishes_by_a_scan_that_did_not_see_all() {
    let host = Host::unified();
    let index = index(&host);
    host.make(&container(1, 2).cgroups_path);
    index.scan();
    host.remove("/kubepods");
    host.make(&"/deep".repeat(40));
    let scan = index.scan();
    assert_eq!((scan.complete, scan.vanished), (false, vec![]));
    host.remove("/deep");
    assert_eq!(index.scan().vanished.len(), 1);
}

#[test]
fn what_only_a_scan_found_vanishes_by_a_scan() {
    let host = Host::unified();
    let index = index(&host);
    host.make(&container(1, 2).cgroups_path);
    host.make(&container(3, 2).cgroups_path);
    index.scan();
    index.apply(Event::ContainerStarted(container(3, 2)));
    host.remove(&pod_cgroup(2));
    let ids = |containers: &[std::sync::Arc<nri_plugin::index::Container>]| {
        containers.iter().map(|container| container.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&index.scan().vanished), [id(1)], "the runtime tells of the other");
    assert!(index.by_container_id(&id(1)).unwrap().is_ended());
    assert_eq!(index.scan().vanished, []);
}

#[test]
fn a_full_set_leaves_alone_what_only_a_scan_found() {
    let host = Host::unified();
    let index = index(&host);
    host.make(&format!("/docker/{}", id(5)));
    index.scan();
    assert_eq!(index.apply(Event::Synchronized { pods: vec![], containers: vec![] }), []);
    assert!(!index.by_container_id(&id(5)).unwrap().is_ended());
}

#[test]
fn a_removed_container_is_not_brought_back_by_a_scan() {
    let host = Host::unified();
    let index = index(&host);
    host.make(&container(1, 2).cgroups_path);
    start(&index, &pod(2), &container(1, 2));
    index.apply(Event::ContainerRemoved(id(1)));
    index.scan();
    assert!(index.by_container_id(&id(1)).unwrap().is_ended());
}

/// An agent without the host's cgroup namespace, with the host's hierarchy and `/proc` mounted.
#[test]
fn a_reader_in_a_namespace_of_its_own_finds_containers() {
    let mountinfo = "57 47 0:26 /../../.. /host/cgroup ro - cgroup2 cgroup2 rw\n";
    let host = Host::new(mountinfo, "host/cgroup");
    let told = ContainerInfo { pid: Some(7), ..container(1, 2) };
    let cgroup = host.make(&told.cgroups_path);
    let hosts = host.root().join("hostproc/7");
    std::fs::create_dir_all(&hosts).unwrap();
    std::fs::write(hosts.join("cgroup"), format!("0::/../../..{}\n", told.cgroups_path)).unwrap();
    let cgroups = CgroupFs::discover_in(host.root()).unwrap().with_proc(host.root().join("hostproc"));
    let index = ContainerIndex::builder(cgroups).build();
    start(&index, &pod(2), &told);
    assert_eq!(name_of(&index, cgroup).as_deref(), Some("app-1"));
    assert_eq!(index.by_pid(7).unwrap().name(), Some("app-1"));
}
