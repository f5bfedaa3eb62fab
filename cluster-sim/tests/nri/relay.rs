//! Events of a caller's own making → what plugins get, and what their answers come to.

use std::sync::Arc;
use std::time::Duration;

use cluster_sim::nri::api::{
    Container, ContainerUpdate, CreateContainerRequest, Event, Image, LinuxContainerUpdate, LinuxCpu, LinuxPodSandbox,
    LinuxResources, OptionalUInt64, PodSandbox, StartContainerRequest, StateChangeEvent, StopContainerRequest,
    StopContainerResponse, SynchronizeRequest, SynchronizeResponse, UpdateContainerRequest, UpdateContainerResponse,
    UpdateContainersRequest, UpdateContainersResponse,
};
use cluster_sim::nri::{Code, Record, Runtime, Version};
use parking_lot::Mutex;
use prost::Message;
use tokio::io::duplex;
use tokio::time::{Instant, sleep};

use crate::plug::{Plug, Reply, live, runtime_call};

/// What an event is about.
type About = (PodSandbox, Option<Container>);

/// With what versions and states hide.
fn pod() -> PodSandbox {
    PodSandbox {
        id: "P".to_owned(),
        pid: 7,
        ips: vec!["10.0.0.1".to_owned()],
        linux: Some(LinuxPodSandbox { cgroups_path: "/pods/P".to_owned(), ..LinuxPodSandbox::default() }),
        ..PodSandbox::default()
    }
}

fn container(id: &str) -> Container {
    Container {
        id: id.to_owned(),
        pid: 8,
        created_at: 9,
        image: Some(Image { name: "app:1".to_owned(), ..Image::default() }),
        ..Container::default()
    }
}

fn shares(shares: u64) -> LinuxResources {
    let cpu = LinuxCpu { shares: Some(OptionalUInt64 { value: shares }), ..LinuxCpu::default() };
    LinuxResources { cpu: Some(cpu), ..LinuxResources::default() }
}

fn update(id: &str, wanted: u64) -> ContainerUpdate {
    ContainerUpdate {
        container_id: id.to_owned(),
        linux: Some(LinuxContainerUpdate { resources: Some(shares(wanted)) }),
        ignore_failure: false,
    }
}

fn changes(updates: &[ContainerUpdate]) -> Vec<(&str, u64)> {
    let shares =
        |update: &ContainerUpdate| Some(update.linux.as_ref()?.resources.as_ref()?.cpu.as_ref()?.shares?.value);
    updates.iter().map(|update| (update.container_id.as_str(), shares(update).unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn messages_go_out_as_they_are() {
    for version in Version::ALL {
        let runtime = Runtime::builder(version).start();
        // Neither by id nor once each.
        let told = (vec![pod(), pod()], vec![container("b"), container("a"), container("b")]);
        runtime.relay().exist(told.0.clone(), told.1.clone()).await;
        let seen: Arc<Mutex<Vec<About>>> = Arc::default();
        let (synchronized, came) = (Arc::new(Mutex::new(None)), seen.clone());
        let taken = synchronized.clone();
        let (near, far) = duplex(1 << 16);
        live(near, ("10", "p"), 0x7ff, move |method, payload| {
            match method {
                "Configure" => {}
                "Synchronize" => *taken.lock() = Some(SynchronizeRequest::decode(payload).unwrap()),
                "StateChange" => {
                    let StateChangeEvent { pod, container, .. } = StateChangeEvent::decode(payload).unwrap();
                    came.lock().push((pod.unwrap(), container));
                }
                _ => {
                    let StartContainerRequest { pod, container } = StartContainerRequest::decode(payload).unwrap();
                    came.lock().push((pod.unwrap(), container));
                }
            }
            Reply::Usual
        });
        runtime.accept(far).await.unwrap();
        let SynchronizeRequest { pods, containers, .. } = synchronized.lock().take().unwrap();
        assert_eq!((pods, containers), told, "{version:?}");

        let relay = runtime.relay();
        relay.event(Event::StartContainer, pod(), container("a")).await.unwrap();
        relay.event(Event::RemovePodSandbox, pod(), None).await.unwrap();
        let request = StopContainerRequest { pod: Some(pod()), container: Some(container("a")) };
        relay.stop(request).await.unwrap();
        let about = |container| (pod(), container);
        assert_eq!(*seen.lock(), [Some(container("a")), None, Some(container("a"))].map(about), "{version:?}");
        assert!(runtime.pods().is_empty() && runtime.containers().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_is_answered_with_the_containers_own_last() {
    let runtime = Runtime::builder(Version::V0_12_5).start();
    for (index, own) in [("20", 5), ("10", 0)] {
        let (near, far) = duplex(1 << 16);
        live(near, (index, "p"), 0, move |method, payload| match method {
            "UpdateContainer" if own == 0 => Reply::of(&UpdateContainerResponse {
                update: vec![update("other", 3)],
                ..UpdateContainerResponse::default()
            }),
            "UpdateContainer" => {
                let asked = UpdateContainerRequest::decode(payload).unwrap();
                assert_eq!(asked.linux_resources, Some(shares(1)));
                let update = vec![update("a", own), update("third", 4)];
                Reply::of(&UpdateContainerResponse { update, ..UpdateContainerResponse::default() })
            }
            "StopContainer" => Reply::of(&StopContainerResponse { update: vec![update(&format!("of-{own}"), own)] }),
            _ => Reply::Usual,
        });
        runtime.accept(far).await.unwrap();
    }
    let request =
        UpdateContainerRequest { pod: Some(pod()), container: Some(container("a")), linux_resources: Some(shares(1)) };
    let answer = runtime.relay().update(request.clone()).await.unwrap();
    assert_eq!(changes(&answer.update), [("other", 3), ("third", 4), ("a", 5)]);
    let request = StopContainerRequest { pod: request.pod, container: request.container };
    let answer = runtime.relay().stop(request).await.unwrap();
    assert_eq!(changes(&answer.update), [("of-0", 0), ("of-5", 5)]);
}

#[tokio::test(start_paused = true)]
async fn an_error_ends_an_event_with_the_plugin_that_answered_it() {
    let runtime = Runtime::builder(Version::V0_12_5).start();
    for index in ["20", "10", "30"] {
        let (near, far) = duplex(1 << 16);
        live(near, (index, "p"), Event::CreateContainer.bit(), move |method, _| match method {
            "CreateContainer" if index == "20" => Reply::Status(Code::Internal),
            _ => Reply::Usual,
        });
        runtime.accept(far).await.unwrap();
    }
    let request = CreateContainerRequest { pod: Some(pod()), container: Some(container("a")) };
    let failure = runtime.relay().create(request).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "plugin \"20-p\" failed CreateContainer: the plugin answered code 13: as was wanted"
    );
    assert_eq!(runtime.log().events(), ["10-p CreateContainer P a", "20-p CreateContainer P a"]);
}

#[tokio::test(start_paused = true)]
async fn updates_at_the_join_are_told_and_fail_for_what_is_not_there_if_that_is_wanted() {
    let runtime = Runtime::builder(Version::V0_8).start();
    runtime.fail_updates_of("gone");
    let (near, far) = duplex(1 << 16);
    let asked = vec![update("there", 1), update("gone", 2), update("nowhere", 3)];
    let wanted = asked.clone();
    live(near, ("10", "p"), 0, move |method, _| match method {
        "Synchronize" => Reply::of(&SynchronizeResponse { update: wanted.clone(), more: false }),
        _ => Reply::Usual,
    });
    let began = Instant::now();
    let next = async {
        loop {
            if let Record::Update { plugin, request, failed } = runtime.log().next().await {
                return (plugin, request.update, failed, began.elapsed());
            }
        }
    };
    let join = async {
        sleep(Duration::from_secs(1)).await;
        runtime.accept(far).await.unwrap();
    };
    let ((plugin, updates, failed, after), ()) = tokio::join!(next, join);
    assert_eq!((&*plugin, updates, failed), ("10-p", asked, vec![update("gone", 2)]));
    assert_eq!(after, Duration::from_secs(1));
    // What was taken is forgotten.
    assert!(matches!(runtime.log().take()[..], [Record::Joined { .. }]));
}

#[tokio::test(start_paused = true)]
async fn an_update_within_an_event_is_done_at_once_since_0_12_1() {
    let runtime = Runtime::builder(Version::V0_12_5).start();
    let (near, far) = duplex(1 << 16);
    let mut plug = Plug::new(near);
    let join = async {
        plug.configured(1).await;
        let (stream, _) = plug.called().await.unwrap();
        plug.answer(stream, &SynchronizeRequest::default()).await;
    };
    tokio::join!(runtime.accept(far), join).0.unwrap();
    runtime.fail_updates_of("gone");
    let hasty = async {
        let (stream, _) = plug.called().await.unwrap();
        let request = UpdateContainersRequest { update: vec![update("gone", 1)], ..UpdateContainersRequest::default() };
        plug.message(2, 3, 1, &runtime_call("UpdateContainers", &request)).await;
        let (_, response) = plug.answered().await;
        plug.answer(stream, &SynchronizeRequest::default()).await;
        UpdateContainersResponse::decode(response.payload).unwrap().failed
    };
    let began = Instant::now();
    let (outcome, failed) = tokio::join!(runtime.relay().event(Event::RunPodSandbox, pod(), None), hasty);
    outcome.unwrap();
    assert_eq!((failed, began.elapsed()), (vec![update("gone", 1)], Duration::ZERO));
    assert_eq!(runtime.plugins().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_container_shows_its_image_since_0_12_2() {
    for version in Version::ALL {
        let runtime = Runtime::builder(version).start();
        let (near, far) = duplex(1 << 16);
        live(near, ("10", "p"), Event::CreateContainer.bit(), |_, _| Reply::Usual);
        runtime.accept(far).await.unwrap();
        let pod = runtime.run_pod(PodSandbox::default()).await.unwrap();
        runtime.create(&pod.id, container("a")).await.unwrap();
        let call = runtime.log().calls().pop().unwrap();
        let shown = call.request::<CreateContainerRequest>().unwrap().container.unwrap().image;
        assert_eq!(shown.is_some(), version == Version::V0_12_5, "{version:?}");
    }
}
