//! What is asked of the node → events, in their order and with what is there at each.

use std::path::PathBuf;
use std::time::Duration;

use cluster_sim::nri::api::{Container, ContainerState, Event, LinuxResources, PodSandbox, StartContainerRequest};
use cluster_sim::nri::{CgroupDriver, Code, Failure, Runtime, RuntimeBuilder, Trouble, Version};
use parking_lot::Mutex;
use prost::Message;
use std::sync::Arc;
use tokio::io::duplex;
use tokio::time::Instant;

use crate::plug::{Reply, live};

/// A plugin that wants everything, and answers one method so.
async fn join(runtime: &Runtime, index: &str, method: &'static str, reply: fn() -> Reply) {
    let (near, far) = duplex(1 << 16);
    live(near, (index, "p"), 0, move |called, _| if called == method { reply() } else { Reply::Usual });
    runtime.accept(far).await.unwrap();
}

fn pod(id: &str) -> PodSandbox {
    PodSandbox { id: id.to_owned(), ..PodSandbox::default() }
}

fn container(id: &str) -> Container {
    Container { id: id.to_owned(), ..Container::default() }
}

/// The whole life of a pod `P` with a container `C`.
async fn live_and_die(runtime: &Runtime) {
    runtime.run_pod(pod("P")).await.unwrap();
    runtime.update_pod("P", LinuxResources::default(), LinuxResources::default()).await.unwrap();
    runtime.create("P", container("C")).await.unwrap();
    runtime.start("C").await.unwrap();
    runtime.update("C", LinuxResources::default()).await.unwrap();
    runtime.stop("C").await.unwrap();
    runtime.remove("C").await.unwrap();
    runtime.stop_pod("P").await.unwrap();
    runtime.remove_pod("P").await.unwrap();
}

const LIFE: [&str; 13] = [
    "RunPodSandbox P",
    "UpdatePodSandbox P",
    "PostUpdatePodSandbox P",
    "CreateContainer P C",
    "PostCreateContainer P C",
    "StartContainer P C",
    "PostStartContainer P C",
    "UpdateContainer P C",
    "PostUpdateContainer P C",
    "StopContainer P C",
    "RemoveContainer P C",
    "StopPodSandbox P",
    "RemovePodSandbox P",
];

#[tokio::test(start_paused = true)]
async fn a_life_is_told_in_order_to_plugins_in_order() {
    for version in Version::ALL {
        let runtime = Runtime::builder(version).start();
        for index in ["50", "10", "99"] {
            join(&runtime, index, "", || Reply::Usual).await;
        }
        live_and_die(&runtime).await;
        let known = |event: &&str| {
            let of = Event::ALL.into_iter().find(|known| event.split(' ').next() == Some(known.name())).unwrap();
            of.bit() & version.known() != 0
        };
        let told = |event: &str| ["10", "50", "99"].map(|index| format!("{index}-p {event}"));
        // Validators are asked apart from the others, and at once.
        let events: Vec<_> = runtime.log().events().into_iter().filter(|event| !event.contains("Validate")).collect();
        assert_eq!(events, LIFE.into_iter().filter(known).flat_map(told).collect::<Vec<_>>(), "{version:?}");
        let state_changes = runtime.log().calls().iter().filter(|call| call.method == "StateChange").count();
        assert_eq!(state_changes == 0, version.has_own_calls());
        assert!(runtime.pods().is_empty() && runtime.containers().is_empty());
    }
}

/// What there is at a moment: the state and process of the container, and whether its cgroup is there; the process and
/// cgroup path of the pod, and whether that is there.
type Moment = (String, i32, bool, bool, bool, bool, bool);

async fn moments(version: Version, root: &std::path::Path) -> Vec<Moment> {
    let runtime = Runtime::builder(version).cgroup_root(root).start();
    let seen: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let (near, far) = duplex(1 << 16);
    let (root, moments) = (root.to_owned(), seen.clone());
    let ended = live(near, ("10", "p"), 0x7ff, move |method, payload| {
        let request = StartContainerRequest::decode(payload);
        if let (Some(event), Ok(StartContainerRequest { pod, container })) =
            (Event::ALL.into_iter().find(|event| event.name() == method), request)
        {
            let there = |path: &str| !path.is_empty() && root.join(&path[1..]).is_dir();
            let (pod, container) = (pod.unwrap(), container.unwrap_or_default());
            let path = pod.linux.unwrap().cgroups_path;
            moments.lock().push((
                event.name().to_owned(),
                container.state,
                container.pid != 0,
                there(&container.linux.unwrap_or_default().cgroups_path),
                pod.pid != 0,
                !path.is_empty(),
                there(&path),
            ));
        }
        Reply::Usual
    });
    runtime.accept(far).await.unwrap();
    live_and_die(&runtime).await;
    drop(runtime);
    ended.await.unwrap();
    Arc::into_inner(seen).expect("the plugin has ended").into_inner()
}

/// What a plugin is to see, with directories below this one; nothing is left there.
async fn see_moments(root: PathBuf) {
    let expected = [
        ("RunPodSandbox", 0, false, false, true, true, true),
        ("CreateContainer", 0, false, false, true, true, true),
        ("PostCreateContainer", 1, false, false, true, true, true),
        ("StartContainer", 1, true, true, true, true, true),
        ("PostStartContainer", 3, true, true, true, true, true),
        ("UpdateContainer", 3, true, true, true, true, true),
        ("PostUpdateContainer", 3, true, true, true, true, true),
        ("StopContainer", 3, true, true, true, true, true),
        ("RemoveContainer", 4, false, false, true, true, true),
        ("StopPodSandbox", 0, false, false, false, true, false),
        ("RemovePodSandbox", 0, false, false, false, false, false),
    ];
    let expected = expected.map(|(name, state, pid, dir, pod_pid, path, pod_dir)| {
        (name.to_owned(), state, pid, dir, pod_pid, path, pod_dir)
    });
    assert_eq!(moments(Version::V0_12, &root).await, expected);
    let left = std::fs::read_dir(&root).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(left, 0, "what was made is gone");
    std::fs::remove_dir(root).unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_event_shows_what_is_there_at_its_moment() {
    see_moments(temporary("moments")).await;
}

/// A cgroup in that of this process; none, and why, where it can't be had.
fn cgroup() -> Result<PathBuf, String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    let of_cgroup2 = |line: &&str| line.contains(" - cgroup2 ");
    let mount =
        mounts.lines().find(of_cgroup2).and_then(|line| line.split(' ').nth(4)).ok_or("no cgroup2 is mounted")?;
    let own = std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).ok_or("this process is in no cgroup")?;
    let path = PathBuf::from(mount).join(own).join(format!("cluster-sim-nri-{}", std::process::id()));
    std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

#[tokio::test(start_paused = true)]
async fn cgroups_of_the_kernel_come_and_go_too() {
    match cgroup() {
        Ok(root) => see_moments(root).await,
        Err(why) => eprintln!("skipped, as there is no cgroup for it: {why}"),
    }
}

/// A directory of this test's own.
fn temporary(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("cluster-sim-nri-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir(&path).unwrap();
    path
}

#[tokio::test(start_paused = true)]
async fn before_0_8_a_stopped_pod_has_no_path() {
    for version in [Version::V0_6, Version::V0_8] {
        let runtime = Runtime::builder(version).start();
        join(&runtime, "10", "", || Reply::Usual).await;
        live_and_die(&runtime).await;
        let calls = runtime.log().calls();
        let stop = calls.iter().find(|call| call.event() == Some(Event::StopPodSandbox)).unwrap();
        let pod = stop.request::<cluster_sim::nri::api::StateChangeEvent>().unwrap().pod.unwrap();
        assert_eq!(pod.linux.unwrap().cgroups_path.is_empty(), version == Version::V0_6);
    }
}

async fn paths(builder: RuntimeBuilder) -> (String, String, String, PathBuf) {
    let root = temporary("paths");
    let runtime = builder.cgroup_root(&root).nested_cgroup("container").start();
    let sandbox = PodSandbox { uid: "1-2".to_owned(), ..pod("P") };
    let linux = runtime.run_pod(sandbox).await.unwrap().linux.unwrap();
    let created = runtime.create("P", container("C")).await.unwrap();
    assert!(!runtime.cgroup_of("C").unwrap().exists());
    runtime.start("C").await.unwrap();
    let directory = runtime.cgroup_of("C").unwrap();
    assert!(directory.join("container").is_dir());
    assert!(runtime.cgroup_of("P").unwrap().is_dir());
    let below = directory.strip_prefix(&root).unwrap().to_owned();
    drop(runtime);
    std::fs::remove_dir(root).unwrap();
    (linux.cgroup_parent, linux.cgroups_path, created.container.linux.unwrap().cgroups_path, below)
}

#[tokio::test(start_paused = true)]
async fn cgroups_have_the_names_of_their_drivers() {
    let expected = |parent: &str, pod: &str, container: &str, directory: &str| {
        (parent.to_owned(), pod.to_owned(), container.to_owned(), PathBuf::from(directory))
    };
    let path = "kubepods/burstable/pod1-2";
    assert_eq!(
        paths(Runtime::builder(Version::V0_12)).await,
        expected(&format!("/{path}"), &format!("/{path}/P"), &format!("/{path}/C"), &format!("{path}/C"))
    );
    let slice = "kubepods-burstable-pod1_2.slice";
    let parent = format!("kubepods.slice/kubepods-burstable.slice/{slice}");
    assert_eq!(
        paths(Runtime::builder(Version::V0_12).cgroup_driver(CgroupDriver::Systemd)).await,
        expected(
            &format!("/{parent}"),
            &format!("{slice}:cri-containerd:P"),
            &format!("{slice}:cri-containerd:C"),
            &format!("{parent}/cri-containerd-C.scope")
        )
    );
    assert_eq!(
        paths(Runtime::builder(Version::V0_12).runtime("cri-o", "1.36.0").cgroup_driver(CgroupDriver::Systemd)).await,
        expected(slice, &format!("{slice}:crio:P"), &format!("{slice}:crio:C"), &format!("{parent}/crio-C.scope"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_cgroup_outside_the_root_is_not_made() {
    let root = temporary("outside");
    let runtime = Runtime::builder(Version::V0_12).cgroup_root(&root).start();
    runtime.run_pod(pod("P")).await.unwrap();
    let mut outside = container("C");
    outside.linux.get_or_insert_default().cgroups_path = "/../../outside".to_owned();
    runtime.create("P", outside).await.unwrap();
    assert!(matches!(runtime.start("C").await, Err(Failure::Cgroup { .. })));
    drop(runtime);
    std::fs::remove_dir(root).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_fails_the_pod_and_later_plugins_are_not_asked() {
    let runtime = Runtime::builder(Version::V0_12).start();
    join(&runtime, "10", "RunPodSandbox", || Reply::Status(Code::NotFound)).await;
    join(&runtime, "20", "", || Reply::Usual).await;
    match runtime.run_pod(pod("P")).await {
        Err(Failure::Plugin { plugin, event: Event::RunPodSandbox, trouble: Trouble::Status(status) }) => {
            assert!(plugin == "10-p" && status.is(Code::NotFound));
        }
        other => panic!("{other:?}"),
    }
    let undone = ["StopPodSandbox P", "RemovePodSandbox P"];
    let undone = undone.iter().flat_map(|event| ["10-p", "20-p"].map(|plugin| format!("{plugin} {event}")));
    let expected: Vec<_> = ["10-p RunPodSandbox P".to_owned()].into_iter().chain(undone).collect();
    assert_eq!(runtime.log().events(), expected);
    assert!(runtime.pods().is_empty());
    assert_eq!(runtime.plugins().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_fails_what_can_fail_and_nobody_hears_of_the_others() {
    for version in Version::ALL {
        for event in Event::ALL {
            let runtime = Runtime::builder(version).start();
            let method = version.method(event);
            let (near, far) = duplex(1 << 16);
            let mask = event.bit() & version.known();
            if mask == 0 {
                continue;
            }
            live(
                near,
                ("10", "p"),
                mask,
                move |called, _| {
                    if called == method { Reply::Status(Code::Internal) } else { Reply::Usual }
                },
            );
            runtime.accept(far).await.unwrap();
            let outcome = async {
                runtime.run_pod(pod("P")).await?;
                runtime.update_pod("P", LinuxResources::default(), LinuxResources::default()).await?;
                runtime.create("P", container("C")).await?;
                runtime.start("C").await?;
                runtime.update("C", LinuxResources::default()).await?;
                runtime.stop("C").await?;
                runtime.remove("C").await?;
                runtime.stop_pod("P").await?;
                runtime.remove_pod("P").await
            };
            let fails = matches!(
                event,
                Event::RunPodSandbox
                    | Event::UpdatePodSandbox
                    | Event::CreateContainer
                    | Event::StartContainer
                    | Event::UpdateContainer
                    | Event::ValidateContainerAdjustment
            );
            assert_eq!(outcome.await.is_err(), fails, "{version:?} {event:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_fails_to_start_is_stopped() {
    let runtime = Runtime::builder(Version::V0_12).start();
    join(&runtime, "10", "StartContainer", || Reply::Status(Code::Internal)).await;
    runtime.run_pod(pod("P")).await.unwrap();
    runtime.create("P", container("C")).await.unwrap();
    assert!(runtime.start("C").await.is_err());
    assert_eq!(runtime.containers()[0].state(), ContainerState::ContainerStopped);
    let last = runtime.log().events().pop().unwrap();
    assert_eq!(last, "10-p StopContainer P C");
    let state = ContainerState::ContainerStopped;
    assert_eq!(runtime.start("C").await, Err(Failure::State { id: "C".to_owned(), state }));
    assert_eq!(runtime.start("D").await, Err(Failure::Unknown("D".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_is_too_slow_is_closed_and_the_pod_goes_on() {
    let runtime = Runtime::builder(Version::V0_12).start();
    join(&runtime, "10", "StartContainer", || Reply::Silence).await;
    join(&runtime, "20", "", || Reply::Usual).await;
    let began = Instant::now();
    live_and_die(&runtime).await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    let names: Vec<_> = runtime.plugins().iter().map(|plugin| plugin.name().to_owned()).collect();
    assert_eq!(names, ["20-p"]);
    let events = runtime.log().events();
    assert!(events.contains(&"20-p StartContainer P C".to_owned()));
    assert!(!events.contains(&"10-p PostStartContainer P C".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_pod_takes_its_containers_along() {
    let runtime = Runtime::builder(Version::V0_12).start();
    join(&runtime, "10", "", || Reply::Usual).await;
    runtime.run_pod(pod("P")).await.unwrap();
    for id in ["A", "B", "C"] {
        runtime.create("P", container(id)).await.unwrap();
    }
    runtime.start("A").await.unwrap();
    runtime.start("B").await.unwrap();
    runtime.exit("B", 3).await.unwrap();
    assert_eq!(runtime.containers()[1].exit_code, 3);
    let begun = runtime.log().events().len();
    runtime.remove_pod("P").await.unwrap();
    // B had ended; C never began, and is stopped when it is removed.
    let expected = [
        "StopContainer P A",
        "StopPodSandbox P",
        "RemoveContainer P A",
        "RemoveContainer P B",
        "StopContainer P C",
        "RemoveContainer P C",
        "RemovePodSandbox P",
    ];
    assert_eq!(runtime.log().events()[begun..], expected.map(|event| format!("10-p {event}")));
}
