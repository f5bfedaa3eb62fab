//! Events in time → what is known, for how long, and what is told of it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use nri_plugin::index::{Change, Container, ContainerIndex, ContainerInfo, Event, PodInfo, Reason};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::time::{advance, sleep};

use crate::common::{Host, container, id, inode, pod};

fn index(host: &Host) -> ContainerIndex {
    ContainerIndex::builder(host.cgroups()).build()
}

fn ids(containers: &[Arc<Container>]) -> Vec<String> {
    let mut ids: Vec<_> = containers.iter().map(|container| container.id.to_string()).collect();
    ids.sort();
    ids
}

/// Starts a container, whose cgroup is made; the cgroup's id.
fn start(host: &Host, index: &ContainerIndex, number: usize, of: usize) -> u64 {
    let told = container(number, of);
    let cgroup = host.make(&told.cgroups_path);
    index.apply(Event::ContainerStarted(told));
    cgroup
}

/// The changes that were told and not yet read.
fn told(changes: &mut (impl Stream<Item = Change> + Unpin)) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(Some(change)) = changes.next().now_or_never() {
        told.push(match change {
            Change::Changed(container) if container.is_ended() => "ended".to_owned(),
            Change::Changed(container) => format!("live in {:?}", container.pod_name().unwrap_or("no pod")),
            Change::Forgotten { reason, .. } => reason.as_str().to_owned(),
            Change::Missed(missed) => format!("{missed} missed"),
            _ => unreachable!(),
        });
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_removed_container_is_known_for_the_grace_time() {
    let host = Host::unified();
    let index = index(&host);
    let cgroup = start(&host, &index, 1, 2);
    index.apply(Event::ContainerStopped(id(1)));
    assert!(index.by_cgroup_id(cgroup).unwrap().is_ended());
    let sweeping = tokio::spawn({
        let index = index.clone();
        async move { index.run().await }
    });
    sleep(Duration::from_secs(100)).await;
    assert!(index.by_cgroup_id(cgroup).is_some(), "still known to its runtime");
    assert_eq!(ids(&index.apply(Event::ContainerRemoved(id(1)))), [id(1)]);
    sleep(Duration::from_secs(59)).await;
    let late = index.by_cgroup_id(cgroup).unwrap();
    assert_eq!((late.name(), late.is_ended()), (Some("app-1"), true));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(index.by_cgroup_id(cgroup), None);
    assert_eq!(index.by_container_id(&id(1)), None);
    assert_eq!(index.by_path(&host.path(&container(1, 2).cgroups_path)), None);
    sweeping.abort();
}

#[tokio::test(start_paused = true)]
async fn one_whose_cgroup_is_gone_has_ended_though_nobody_told() {
    let host = Host::unified();
    let index = ContainerIndex::builder(host.cgroups()).check_interval(Duration::from_secs(10)).build();
    let (stays, gone) = (start(&host, &index, 1, 2), start(&host, &index, 3, 2));
    let sandbox = PodInfo { cgroups_path: format!("/{}", pod(2).id), ..pod(2) };
    let of_sandbox = host.make(&sandbox.cgroups_path);
    index.apply(Event::PodStarted(sandbox.clone()));
    // Not started: there need not be a cgroup.
    index.apply(Event::ContainerStarted(container(4, 2)));
    assert_eq!(ids(&index.check()), [""; 0]);

    host.remove(&container(3, 2).cgroups_path);
    host.remove(&sandbox.cgroups_path);
    let sweeping = tokio::spawn({
        let index = index.clone();
        async move { index.run().await }
    });
    sleep(Duration::from_secs(11)).await;
    let phases = [stays, gone, of_sandbox].map(|cgroup| index.by_cgroup_id(cgroup).unwrap().is_ended());
    assert_eq!(phases, [false, true, true]);
    assert!(!index.by_container_id(&id(4)).unwrap().is_ended());
    // An end that is told after all is no news.
    assert_eq!(ids(&index.apply(Event::ContainerRemoved(id(3)))), [""; 0]);
    sleep(Duration::from_mins(1)).await;
    assert_eq!((index.by_cgroup_id(gone), index.by_cgroup_id(of_sandbox)), (None, None));
    assert_eq!(index.by_cgroup_id(stays).unwrap().pod_name(), Some("web-2"));
    sweeping.abort();
}

#[tokio::test(start_paused = true)]
async fn without_its_task_an_index_forgets_at_the_next_event() {
    let host = Host::unified();
    let index = ContainerIndex::builder(host.cgroups()).grace(Duration::from_secs(5)).build();
    start(&host, &index, 1, 2);
    index.apply(Event::ContainerRemoved(id(1)));
    advance(Duration::from_secs(6)).await;
    assert_eq!(index.len(), 1);
    index.apply(Event::ContainerStopped(id(9)));
    assert!(index.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_lives_again_stays() {
    let host = Host::unified();
    let index = index(&host);
    start(&host, &index, 1, 2);
    index.apply(Event::ContainerRemoved(id(1)));
    start(&host, &index, 1, 2);
    advance(Duration::from_secs(61)).await;
    index.apply(Event::ContainerStopped(id(9)));
    assert!(!index.by_container_id(&id(1)).unwrap().is_ended());
}

#[tokio::test(start_paused = true)]
async fn a_full_set_ends_what_it_does_not_have() {
    let host = Host::unified();
    let index = index(&host);
    for number in 1..=3 {
        start(&host, &index, number, 10);
    }
    index.apply(Event::PodStarted(pod(10)));
    let stopped = ContainerInfo { stopped: true, ..container(3, 10) };
    let full =
        Event::Synchronized { pods: vec![pod(11)], containers: vec![container(2, 10), stopped, container(4, 11)] };
    assert_eq!(ids(&index.apply(full.clone())), [id(1), pod(10).id]);
    let state: Vec<_> = (1..=4).map(|number| index.by_container_id(&id(number)).unwrap().is_ended()).collect();
    assert_eq!(state, [true, false, true, false]);
    assert_eq!(index.by_container_id(&id(4)).unwrap().pod_name(), Some("web-11"));
    // What has ended is not looked for: its directory may be another's.
    host.make(&container(5, 10).cgroups_path);
    let ended = ContainerInfo { stopped: true, ..container(5, 10) };
    index.apply(Event::ContainerStarted(ended));
    assert_eq!(index.by_container_id(&id(5)).unwrap().cgroup, None);
    index.apply(Event::ContainerRemoved(id(5)));
    let mut changes = index.changes();
    advance(Duration::from_secs(5)).await;
    assert_eq!(index.apply(full), []);
    assert_eq!(told(&mut changes), [""; 0], "the same again is no news");
    advance(Duration::from_secs(61)).await;
    index.apply(Event::ContainerStopped(id(9)));
    let known: Vec<_> = (1..=4).map(|number| index.by_container_id(&id(number)).is_some()).collect();
    assert_eq!(known, [false, true, true, true]);
}

#[tokio::test(start_paused = true)]
async fn with_a_pod_go_its_containers() {
    let host = Host::unified();
    let index = index(&host);
    index.apply(Event::PodStarted(pod(2)));
    start(&host, &index, 1, 2);
    start(&host, &index, 3, 4);
    index.apply(Event::PodStopped(pod(2).id));
    assert!(index.by_container_id(&pod(2).id).unwrap().is_ended());
    assert_eq!(ids(&index.apply(Event::PodRemoved(pod(2).id))), [id(1), pod(2).id]);
    assert!(!index.by_container_id(&id(3)).unwrap().is_ended());
    assert_eq!(index.apply(Event::PodRemoved(pod(2).id)), []);
}

/// Two directories under one name in turn, with the same inode: what a kernel of 32 bits may give twice.
#[tokio::test(start_paused = true)]
async fn a_cgroup_id_that_is_used_again_is_the_newcomers() {
    let host = Host::unified();
    let index = index(&host);
    let cgroup = start(&host, &index, 1, 2);
    index.apply(Event::ContainerRemoved(id(1)));
    let (old, new) = (host.path(&container(1, 2).cgroups_path), host.path(&container(3, 4).cgroups_path));
    fs::create_dir_all(new.parent().unwrap()).unwrap();
    fs::rename(old, &new).unwrap();
    assert_eq!(inode(&new), cgroup);
    index.apply(Event::ContainerStarted(container(3, 4)));
    assert_eq!(index.by_cgroup_id(cgroup).unwrap().name(), Some("app-3"));
    // News of the old one don't take it back, nor does its end take it away.
    index.apply(Event::PodStarted(pod(2)));
    assert_eq!(index.by_cgroup_id(cgroup).unwrap().name(), Some("app-3"));
    advance(Duration::from_secs(61)).await;
    index.apply(Event::ContainerStopped(id(9)));
    assert_eq!(index.by_container_id(&id(1)), None);
    assert_eq!(index.by_cgroup_id(cgroup).unwrap().name(), Some("app-3"));
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_used_again_is_the_newcomers() {
    let host = Host::unified();
    let index = index(&host);
    let path = container(1, 2).cgroups_path;
    start(&host, &index, 1, 2);
    index.apply(Event::ContainerRemoved(id(1)));
    index.apply(Event::ContainerStarted(ContainerInfo { cgroups_path: path.clone(), ..container(3, 4) }));
    // News of the old one don't take it back, nor does its end take it away.
    index.apply(Event::PodStarted(pod(2)));
    assert_eq!(index.by_path(&host.path(&path)).unwrap().name(), Some("app-3"));
    advance(Duration::from_secs(61)).await;
    index.apply(Event::ContainerStopped(id(9)));
    assert_eq!(index.by_container_id(&id(1)), None);
    assert_eq!(index.by_path(&host.path(&path)).unwrap().name(), Some("app-3"));
}

#[test]
fn a_container_is_of_the_pod_that_was_told_last() {
    let host = Host::unified();
    let index = index(&host);
    index.apply(Event::ContainerStarted(container(1, 2)));
    index.apply(Event::ContainerStarted(container(1, 4)));
    index.apply(Event::PodStarted(pod(2)));
    index.apply(Event::PodStarted(pod(4)));
    assert_eq!(index.by_container_id(&id(1)).unwrap().pod_name(), Some("web-4"));
    assert_eq!(ids(&index.apply(Event::PodRemoved(pod(2).id))), [pod(2).id]);
}

#[test]
fn a_directory_that_was_made_anew_has_its_new_id() {
    let host = Host::unified();
    let index = index(&host);
    let old = start(&host, &index, 1, 2);
    let path = container(1, 2).cgroups_path;
    // The new one is made while the old one is there: a file system would give the same inode again.
    host.make("/new");
    fs::rename(host.path(&path), host.path("/old")).unwrap();
    fs::rename(host.path("/new"), host.path(&path)).unwrap();
    let new = inode(&host.path(&path));
    assert_eq!(index.find_cgroup_id(new).unwrap().name(), Some("app-1"));
    assert_eq!(index.by_cgroup_id(old), None);
}

#[test]
fn a_full_index_forgets_what_has_ended_and_takes_nothing_where_nothing_has() {
    let host = Host::unified();
    let index = ContainerIndex::builder(host.cgroups()).max_containers(3).build();
    let mut changes = index.changes();
    for number in 1..=4 {
        start(&host, &index, number, 10);
    }
    assert_eq!(index.len(), 3);
    assert_eq!(index.by_container_id(&id(4)), None);
    index.apply(Event::ContainerStopped(id(1)));
    index.apply(Event::ContainerRemoved(id(2)));
    told(&mut changes);
    start(&host, &index, 4, 10);
    assert_eq!(ids(&index.containers()), [id(1), id(3), id(4)], "the removed one goes first");
    for number in 5..=6 {
        start(&host, &index, number, 10);
    }
    assert_eq!(ids(&index.containers()), [id(3), id(4), id(5)], "then the ended one");
    assert_eq!(told(&mut changes).iter().filter(|told| *told == Reason::Full.as_str()).count(), 2);
}

#[test]
fn cgroups_inside_of_containers_are_bounded() {
    let host = Host::unified();
    let index = ContainerIndex::builder(host.cgroups()).max_nested(3).grace(Duration::ZERO).build();
    let inside = |number: usize, count: usize| {
        let made = |at| host.make(&format!("{}/{at}", container(number, 2).cgroups_path));
        (0..count).map(made).collect::<Vec<_>>()
    };
    let (first, second) = (inside(1, 2), inside(3, 4));
    start(&host, &index, 1, 2);
    start(&host, &index, 3, 2);
    let known = |ids: &[u64]| ids.iter().filter(|cgroup| index.by_cgroup_id(**cgroup).is_some()).count();
    assert_eq!((known(&first), known(&second)), (2, 1));
    // Who leaves makes room.
    index.apply(Event::ContainerRemoved(id(1)));
    start(&host, &index, 3, 2);
    assert_eq!((known(&first), known(&second)), (0, 3));
}

#[test]
fn changes_are_told_once_and_a_slow_listener_hears_what_it_missed() {
    let host = Host::unified();
    let index = index(&host);
    let mut changes = index.changes();
    start(&host, &index, 1, 2);
    start(&host, &index, 1, 2);
    assert_eq!(told(&mut changes), ["live in \"no pod\""]);
    index.apply(Event::PodStarted(pod(2)));
    assert_eq!(told(&mut changes), ["live in \"web-2\"", "live in \"web-2\""], "the sandbox and the container");
    index.apply(Event::ContainerStopped(id(1)));
    index.apply(Event::ContainerRemoved(id(1)));
    assert_eq!(told(&mut changes), ["ended"]);
    for number in 0..1_030 {
        index.apply(Event::ContainerStarted(container(number, 2)));
    }
    assert_eq!(told(&mut changes)[0], "6 missed");
    drop(index);
    assert_eq!(changes.next().now_or_never(), Some(None), "it ends with the index");
}

/// An event of few ids, so that they meet.
fn event() -> impl Strategy<Value = Event> {
    let info = |pid: Option<u32>| {
        move |(number, of, stopped): (usize, usize, bool)| {
            Event::ContainerStarted(ContainerInfo { pid, stopped, ..container(number, of) })
        }
    };
    let of_container = (0..4_usize, 0..3_usize, any::<bool>());
    prop_oneof![
        of_container.clone().prop_map(info(None)),
        of_container.prop_map(info(Some(u32::MAX))),
        (0..3_usize).prop_map(|of| Event::PodStarted(pod(of))),
        (0..4_usize).prop_map(|number| Event::ContainerStopped(id(number))),
        (0..4_usize).prop_map(|number| Event::ContainerRemoved(id(number))),
        (0..3_usize).prop_map(|of| Event::PodRemoved(pod(of).id)),
        // One in another's cgroup, or inside of it.
        (0..4_usize, 0..4_usize, prop_oneof!["", "/in", "/in/deep"]).prop_map(|(number, at, inside)| {
            let cgroups_path = container(at, 1).cgroups_path + &inside;
            Event::ContainerStarted(ContainerInfo { cgroups_path, ..container(number, 1) })
        }),
        // A sandbox with a container's id, and the other way round.
        (0..4_usize).prop_map(|number| Event::PodStarted(PodInfo { id: id(number), ..pod(1) })),
        (0..3_usize).prop_map(|of| Event::ContainerStarted(ContainerInfo {
            id: pod(of).id,
            cgroups_path: String::new(),
            ..container(1, of)
        })),
        prop::collection::vec((0..4_usize, 0..3_usize), 0..4).prop_map(|all| Event::Synchronized {
            pods: all.iter().map(|(_, of)| pod(*of)).collect(),
            containers: all.iter().map(|(number, of)| container(*number, *of)).collect(),
        }),
    ]
}

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })
}

/// After whatever happened, a full set and a grace time leave exactly that set.
#[test]
fn a_full_set_puts_everything_right() {
    let host = Host::unified();
    let mut cgroups: Vec<u64> = Vec::new();
    for (number, of) in (0..4).flat_map(|number| [(number, 0), (number, 1), (number, 2)]) {
        let path = container(number, of).cgroups_path;
        cgroups.extend(["/in/deep", "/in", ""].map(|inside| host.make(&format!("{path}{inside}"))));
    }
    let case = async |events: Vec<Event>| {
        let index = ContainerIndex::builder(host.cgroups()).max_containers(5).max_nested(7).build();
        for event in events {
            index.apply(event);
            advance(Duration::from_secs(7)).await;
            assert!(index.len() <= 5);
        }
        index.apply(Event::Synchronized { pods: vec![pod(1)], containers: vec![container(2, 1)] });
        advance(Duration::from_secs(61)).await;
        index.apply(Event::ContainerStopped(String::new()));
        assert_eq!(ids(&index.containers()), [id(2), pod(1).id]);
        // What somebody else held inside of it is found again by looking.
        index.find_cgroup_id(u64::MAX);
        let known: Vec<_> = cgroups.iter().filter_map(|cgroup| index.by_cgroup_id(*cgroup)).collect();
        assert_eq!(ids(&known), [id(2), id(2), id(2)], "its own, and two inside");
        assert_eq!(known[0].pod_name(), Some("web-1"));
    };
    let ran = runner().run(&prop::collection::vec(event(), 0..40), |events| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(case(events));
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn no_text_of_a_runtime_panics() {
    let host = Host::unified();
    let texts = (any::<String>(), "[/:.a-z-]{0,40}", any::<String>());
    let ran = runner().run(&texts, |(id, cgroups_path, pod_id)| {
        let index = ContainerIndex::builder(host.cgroups()).build();
        let (cgroup_parent, sandbox) = (pod_id.clone(), pod_id.clone());
        index.apply(Event::PodStarted(PodInfo { id: sandbox, cgroup_parent, ..PodInfo::default() }));
        index.apply(Event::ContainerStarted(ContainerInfo { id, cgroups_path, pod_id, ..ContainerInfo::default() }));
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn a_reader_never_misses_a_container_that_changes() {
    let host = Host::unified();
    let index = index(&host);
    let own = start(&host, &index, 1, 2);
    let inside = host.make(&format!("{}/container", container(1, 2).cgroups_path));
    start(&host, &index, 1, 2);
    let writer = std::thread::spawn({
        let index = index.clone();
        move || {
            for version in 0..2_000 {
                let texts = || [("version".to_owned(), version.to_string())].into();
                let pod = PodInfo { labels: texts(), annotations: texts(), ..pod(2) };
                index.apply(Event::PodStarted(pod));
                index.apply(Event::ContainerStarted(ContainerInfo { labels: texts(), ..container(1, 2) }));
            }
        }
    });
    while !writer.is_finished() {
        for cgroup in [own, inside] {
            let container = index.by_cgroup_id(cgroup).unwrap();
            if let Some(pod) = &container.pod {
                assert_eq!(pod.labels, pod.annotations);
            }
        }
    }
    writer.join().unwrap();
}

#[test]
fn what_has_ended_does_not_live_again_by_being_told_of() {
    let host = Host::unified();
    let index = ContainerIndex::builder(host.cgroups()).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let phase = |id: &str| index.by_container_id(id).unwrap().is_ended();
        // The sandbox of a job that is done: the runtime has it, without a process.
        index.apply(Event::Synchronized { pods: vec![pod(1)], containers: Vec::new() });
        assert!(phase(&pod(1).id));
        index.apply(Event::Synchronized { pods: vec![pod(1)], containers: Vec::new() });
        assert!(phase(&pod(1).id));
        advance(Duration::from_mins(2)).await;
        index.apply(Event::ContainerStopped(String::new()));
        assert!(phase(&pod(1).id), "it is there as long as the runtime has it");

        // A start that is told after the end of what was short.
        host.make(&container(2, 1).cgroups_path);
        index.apply(Event::ContainerStarted(container(2, 1)));
        index.apply(Event::ContainerStopped(id(2)));
        host.remove(&container(2, 1).cgroups_path);
        index.apply(Event::ContainerStarted(container(2, 1)));
        assert!(phase(&id(2)));
        // One of the same id that is there lives.
        host.make(&container(2, 1).cgroups_path);
        index.apply(Event::ContainerStarted(container(2, 1)));
        assert!(!phase(&id(2)));
    });
}

#[test]
fn a_process_of_another_container_is_not_believed() {
    let host = Host::unified();
    let index = ContainerIndex::builder(host.cgroups()).build();
    let own = host.make(&container(1, 1).cgroups_path);
    let others = container(2, 1).cgroups_path;
    host.make(&others);
    host.process(77, &others);
    index.apply(Event::ContainerStarted(ContainerInfo { pid: Some(77), ..container(1, 1) }));
    assert_eq!(index.by_container_id(&id(1)).unwrap().cgroup.as_ref().unwrap().id, own);
}
