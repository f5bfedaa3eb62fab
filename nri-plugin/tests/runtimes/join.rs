//! Registration, configuration, synchronization.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nri_plugin::api::{Event, EventMask};
use nri_plugin::{End, SessionError};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::driver::{Driver, Kind, within};
use crate::plugins::{All, Creates, builder, connect, container, join, memory, pod, shares, update};

pub(crate) async fn a_plugin_joins_with_the_events_that_the_runtime_knows(mut runtime: impl Driver) {
    let limits = (Duration::from_secs(7), Duration::from_secs(30));
    let kind = Kind { registration: limits.0, request: limits.1, ..runtime.kind() };
    runtime.restart(kind).await;
    let all = Arc::new(All::default());
    let session = connect(&runtime, builder("10", &all)).await;
    let (info, events) = within(session.joined()).await.unwrap();
    assert_eq!(events, kind.known());
    assert_eq!((info.name.as_str(), info.version.as_str()), (kind.name, kind.version));
    assert_eq!(info.nri_version.is_some(), kind.nri >= (0, 12));
    let told = all.configuration();
    assert_eq!((told.text.as_str(), told.events), ("", kind.known()));
    assert_eq!((told.registration_timeout, told.request_timeout), (Some(limits.0), Some(limits.1)));

    if kind.nri < (0, 10) {
        // A runtime that has a newer name than it has NRI.
        runtime.restart(Kind { version: "v2.2.0", ..kind }).await;
        let session = connect(&runtime, builder("10", &all)).await;
        let refused = within(session.ended()).await;
        assert!(matches!(refused, Err(SessionError::ClosedBeforeJoin { events: EventMask::ALL, .. })), "{refused:?}");
        let session = connect(&runtime, builder("10", &all).events(EventMask::BEFORE_0_10)).await;
        assert_eq!(within(session.joined()).await.unwrap().1, EventMask::BEFORE_0_10);
    }
}

pub(crate) async fn what_exists_is_told_before_any_event(mut runtime: impl Driver) {
    let (pods, containers) = (["a", "b"].map(pod), [("c", "a"), ("d", "a"), ("e", "b")]);
    let containers = containers.map(|(id, of)| container(id, of));
    runtime.set_state(pods.to_vec(), containers.to_vec()).await;
    let all = Arc::new(All::default());
    let _session = join(&runtime, builder("10", &all)).await;
    runtime.event(Event::StartContainer, pods[0].clone(), containers[0].clone()).await.unwrap();
    let came = all.take();
    let names: Vec<_> = came.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(names, ["Synchronize", "pod", "pod", "container", "container", "container", "StartContainer"]);
    assert_eq!(came[1..3].iter().map(|(_, pod, _)| pod.clone()).collect::<Vec<_>>(), pods);
    assert_eq!(came[3..6].iter().map(|(_, _, container)| container.clone()).collect::<Vec<_>>(), containers);
}

pub(crate) async fn a_plugin_changes_what_exists_when_it_joins(mut runtime: impl Driver) {
    let mut creates = Creates::new("KEY", "");
    creates.updates = vec![update("b", shares(10)), update("gone", memory(20))];
    let asked = creates.updates.clone();
    runtime.set_state(vec![pod("a")], vec![container("b", "a")]).await;
    let _session = join(&runtime, builder("10", &Arc::new(creates))).await;
    assert_eq!(runtime.updates().await, asked);
}

pub(crate) async fn a_state_beyond_one_message_comes_whole(mut runtime: impl Driver) {
    for (pods, containers, length) in [(10, 100, 45_000), (500, 10_000, 2_000)] {
        let ids = |kind: &str, count: usize| (0..count).map(|number| format!("{kind}-{number}")).collect::<Vec<_>>();
        let (pods, containers) = (ids("pod", pods), ids("container", containers));
        let state = containers.iter().zip(pods.iter().cycle()).map(|(id, of)| {
            let mut container = container(id, of);
            container.env = vec!["x".repeat(length)];
            container
        });
        runtime.set_state(pods.iter().map(|id| pod(id)).collect(), state.collect()).await;
        let all = Arc::new(All::default());
        let session = join(&runtime, builder("10", &all)).await;
        let came = all.take();
        assert_eq!(came.iter().filter(|(name, _, _)| name == "Synchronize").count(), 1);
        let told: BTreeSet<_> =
            came[1..].iter().map(|(_, pod, container)| format!("{}{}", pod.id, container.id)).collect();
        assert_eq!(came.len() - 1, pods.len() + containers.len());
        assert_eq!(told, pods.into_iter().chain(containers).collect());
        assert!(came.iter().filter(|(name, _, _)| name == "container").all(|(_, _, it)| it.env[0].len() == length));
        assert_eq!(within(session.shutdown()).await.unwrap(), End::Stopped);
    }
}

pub(crate) async fn plugins_that_come_at_once_all_join(mut runtime: impl Driver) {
    let plugins: Vec<_> = (0..8).map(|_| Arc::new(All::default())).collect();
    let mut sessions = Vec::new();
    for plugin in &plugins {
        sessions.push(connect(&runtime, builder("10", plugin)).await);
    }
    for session in &sessions {
        within(session.joined()).await.unwrap();
    }
    runtime.event(Event::RunPodSandbox, pod("a"), container("", "")).await.unwrap();
    for plugin in plugins {
        assert_eq!(plugin.names(), ["Synchronize", "RunPodSandbox"]);
    }
}

pub(crate) async fn a_peer_that_says_nothing_holds_others_up_for_the_time_of_a_registration(mut runtime: impl Driver) {
    let registration = Duration::from_millis(500);
    runtime.restart(Kind { registration, ..runtime.kind() }).await;
    let began = Instant::now();
    let mut silent = within(UnixStream::connect(runtime.socket())).await.unwrap();
    let _session = join(&runtime, builder("10", &Arc::new(All::default()))).await;
    assert!(began.elapsed() >= registration);
    assert_eq!(within(silent.read(&mut [0])).await.unwrap(), 0);
}
