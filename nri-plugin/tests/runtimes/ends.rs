//! How sessions end, and what the runtime makes of it.

use std::sync::Arc;

use nri_plugin::api::{Container, ContainerAdjustment, CreateContainerResponse, Event, KeyValue, PodSandbox};
use nri_plugin::{Answer, End, Plugin, UpdateError};
use tokio::sync::Notify;

use crate::driver::{Driver, within};
use crate::plugins::{All, builder, container, env, join, pod, shares, update};

pub(crate) async fn a_runtime_that_stops_ends_the_session_and_the_next_one_is_joined_anew(mut runtime: impl Driver) {
    let all = Arc::new(All::default());
    runtime.set_state(vec![pod("a")], vec![]).await;
    let session = join(&runtime, builder("10", &all)).await;
    assert_eq!(all.names(), ["Synchronize", "pod"]);
    runtime.stop().await;
    assert_eq!(within(session.ended()).await.unwrap(), End::RuntimeClosed);
    let late = within(session.runtime().update_containers(vec![update("b", shares(1))])).await;
    assert!(matches!(late, Err(UpdateError::Call(_))), "{late:?}");

    runtime.restart(runtime.kind()).await;
    let _session = join(&runtime, builder("10", &all)).await;
    runtime.event(Event::RunPodSandbox, pod("b"), container("", "")).await.unwrap();
    assert_eq!(all.names(), ["Synchronize", "RunPodSandbox"]);
}

pub(crate) async fn a_runtime_goes_on_without_a_plugin_that_left(mut runtime: impl Driver) {
    let plugins = [(); 3].map(|()| Arc::new(All::default()));
    let [leaves, dropped, stays] = &plugins;
    let leaver = join(&runtime, builder("10", leaves)).await;
    // No validator: the loss of one fails the container that it is to judge.
    let events = runtime.kind().known().without(Event::ValidateContainerAdjustment);
    let drop_me = join(&runtime, builder("20", dropped).events(events)).await;
    let _session = join(&runtime, builder("30", stays)).await;
    assert_eq!(within(leaver.shutdown()).await.unwrap(), End::Stopped);
    drop(drop_me);
    for plugin in &plugins {
        plugin.take();
    }
    runtime.create(pod("a"), container("b", "a")).await.unwrap();
    runtime.event(Event::StartContainer, pod("a"), container("b", "a")).await.unwrap();
    let mut names = stays.names();
    names.retain(|name| name != "ValidateContainerAdjustment");
    assert_eq!(names, ["CreateContainer", "StartContainer"]);
    assert_eq!(leaves.names(), [""; 0]);

    let again = join(&runtime, builder("10", leaves)).await;
    runtime.event(Event::StopPodSandbox, pod("a"), container("", "")).await.unwrap();
    assert_eq!(leaves.names(), ["Synchronize", "StopPodSandbox"]);
    assert_eq!(within(again.shutdown()).await.unwrap(), End::Stopped);
}

/// Answers once it may.
#[derive(Debug, Default)]
struct Waits {
    entered: Notify,
    go_on: Notify,
}

impl Plugin for Waits {
    async fn create_container(&self, _: PodSandbox, _: Container) -> Answer<CreateContainerResponse> {
        self.entered.notify_one();
        self.go_on.notified().await;
        let env = vec![KeyValue { key: "KEY".to_owned(), value: "last".to_owned() }];
        Ok(CreateContainerResponse {
            adjust: Some(ContainerAdjustment { env, ..ContainerAdjustment::default() }),
            ..CreateContainerResponse::default()
        })
    }
}

pub(crate) async fn a_stop_answers_the_event_that_runs(mut runtime: impl Driver) {
    let waits = Arc::new(Waits::default());
    let session = join(&runtime, builder("10", &waits)).await;
    let stop = async {
        waits.entered.notified().await;
        // Asked to stop, and only then let go on.
        let (end, ()) = tokio::join!(session.shutdown(), async { waits.go_on.notify_one() });
        end
    };
    let (created, end) = tokio::join!(runtime.create(pod("a"), container("b", "a")), stop);
    assert_eq!(env(&created.unwrap().0), [("KEY", "last")]);
    assert_eq!(end.unwrap(), End::Stopped);
    let (adjustment, _) = runtime.create(pod("a"), container("b", "a")).await.unwrap();
    assert_eq!(env(&adjustment), []);
}
