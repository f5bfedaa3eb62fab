//! Each event → its method, whichever call brings it.

use std::sync::Arc;

use cluster_sim::nri::api::{
    CreateContainerRequest, CreateContainerResponse, Empty, Event, LinuxPids, LinuxResources, StateChangeEvent,
    StopContainerRequest, StopContainerResponse, UpdateContainerRequest, UpdateContainerResponse,
    UpdatePodSandboxRequest, UpdatePodSandboxResponse, ValidateContainerAdjustmentRequest,
    ValidateContainerAdjustmentResponse,
};
use cluster_sim::nri::{Code, Peer, Trouble, Version};

use super::plugins::{All, builder, spawn};
use super::sim::{container, pod, update};

const PODS: [Event; 4] =
    [Event::RunPodSandbox, Event::PostUpdatePodSandbox, Event::StopPodSandbox, Event::RemovePodSandbox];
const CONTAINERS: [Event; 5] = [
    Event::PostCreateContainer,
    Event::StartContainer,
    Event::PostStartContainer,
    Event::PostUpdateContainer,
    Event::RemoveContainer,
];

async fn joined(version: Version) -> (nri_plugin::Session, Arc<All>, Peer) {
    let all = Arc::new(All::default());
    let (session, trunk) = spawn(builder(all.clone()));
    let plugin = Peer::accept(version, trunk, vec![]).await.unwrap();
    all.take();
    (session, all, plugin)
}

fn resources() -> LinuxResources {
    LinuxResources { pids: Some(LinuxPids { limit: 7 }), ..LinuxResources::default() }
}

#[tokio::test(start_paused = true)]
async fn events_that_want_no_answer_come_to_their_methods_from_every_runtime() {
    for version in Version::ALL {
        let (_session, all, plugin) = joined(version).await;
        for event in PODS.into_iter().chain(CONTAINERS) {
            plugin.event(event, pod("a"), container("b")).await.unwrap();
        }
        assert!(!plugin.has_fallen_back(), "{version:?}: a call of its own was answered with 12");
        let pods = PODS.iter().filter(|event| version >= Version::V0_10 || **event != Event::PostUpdatePodSandbox);
        let mut expected: Vec<_> = pods.map(|event| format!("{} a", event.name())).collect();
        expected.extend(CONTAINERS.map(|event| format!("{} a b", event.name())));
        assert_eq!(all.take(), expected, "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_has_calls_of_their_own_may_fall_back() {
    let (_session, all, plugin) = joined(Version::V0_12).await;
    plugin.fall_back();
    plugin.event(Event::StartContainer, pod("a"), container("b")).await.unwrap();
    assert_eq!(all.take(), ["StartContainer a b"]);
}

#[tokio::test(start_paused = true)]
async fn events_that_want_an_answer_get_it() {
    let (_session, all, plugin) = joined(Version::V0_10).await;
    let (pod, container) = (Some(pod("a")), Some(container("b")));

    let request = CreateContainerRequest { pod: pod.clone(), container: container.clone() };
    let answer: CreateContainerResponse = plugin.ask("CreateContainer", &request).await.unwrap();
    assert_eq!(answer.adjust.unwrap().env[0].value, "x");

    let request =
        UpdateContainerRequest { pod: pod.clone(), container: container.clone(), linux_resources: Some(resources()) };
    let answer: UpdateContainerResponse = plugin.ask("UpdateContainer", &request).await.unwrap();
    assert_eq!(answer.update, [update("updated")]);

    let request = StopContainerRequest { pod: pod.clone(), container: container.clone() };
    let answer: StopContainerResponse = plugin.ask("StopContainer", &request).await.unwrap();
    assert_eq!(answer.update, [update("stopped")]);

    let request = UpdatePodSandboxRequest {
        pod: pod.clone(),
        linux_resources: Some(resources()),
        overhead_linux_resources: None,
    };
    let _: UpdatePodSandboxResponse = plugin.ask("UpdatePodSandbox", &request).await.unwrap();

    let request =
        ValidateContainerAdjustmentRequest { pod, container, ..ValidateContainerAdjustmentRequest::default() };
    let answer: ValidateContainerAdjustmentResponse =
        plugin.ask("ValidateContainerAdjustment", &request).await.unwrap();
    assert!(answer.reject);
    assert_eq!(
        all.take(),
        [
            "CreateContainer a b",
            "UpdateContainer a b",
            "StopContainer a b",
            "UpdatePodSandbox a",
            "ValidateContainerAdjustment a b"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn long_answers_come_through_the_buffer_and_the_queue_of_go() {
    let (_session, _all, plugin) = joined(Version::V0_8).await;
    for length in [4_000, 4_096, 10_000, 1_500_000, 4_000_000] {
        let mut container = container("b");
        container.args = vec![length.to_string()];
        let request = CreateContainerRequest { pod: Some(pod("a")), container: Some(container) };
        let answer: CreateContainerResponse = plugin.ask("CreateContainer", &request).await.unwrap();
        assert_eq!(answer.adjust.unwrap().env[0].value.len(), length);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_12_for_a_call_and_success_for_an_event() {
    let (_session, all, plugin) = joined(Version::V0_12).await;
    let unknown = plugin.ask::<Empty>("PauseContainer", &Empty {}).await;
    assert!(matches!(unknown, Err(Trouble::Status(status)) if status.is(Code::Unimplemented)));
    for event in [0, 4, 15, 99, -1] {
        let request = StateChangeEvent { event, pod: Some(pod("a")), container: None };
        let _: Empty = plugin.ask("StateChange", &request).await.unwrap();
    }
    // Frames for nobody, and an empty one.
    plugin.trunk().frame(0, b"reserved").await;
    plugin.trunk().frame(7, b"nobody's").await;
    plugin.trunk().frame(1, b"").await;
    plugin.event(Event::StartContainer, pod("a"), container("b")).await.unwrap();
    assert_eq!(all.take(), ["StartContainer a b"]);
}
