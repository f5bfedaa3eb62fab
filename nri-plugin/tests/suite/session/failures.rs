//! Handlers that fail → what the runtime learns.

use std::sync::Arc;
use std::time::Duration;

use cluster_sim::nri::api::{CreateContainerRequest, CreateContainerResponse, Event, SynchronizeResponse};
use cluster_sim::nri::{Code, Peer, Profile, Trouble, Version};
use futures::FutureExt;
use nri_plugin::Role;
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::time::Instant;

use super::plugins::{All, Failing, builder, spawn};
use super::sim::{container, pod};

#[tokio::test(start_paused = true)]
async fn an_observer_never_fails_a_pod() {
    for version in Version::ALL {
        let (_session, trunk) = spawn(builder(Arc::new(Failing)));
        let plugin = Peer::accept(version, trunk, vec![(vec![pod("error")], vec![])]).await.unwrap();
        for how in ["error", "panic", "overrun", "ok"] {
            let began = Instant::now();
            plugin.event(Event::StartContainer, pod("a"), container(how)).await.unwrap();
            let request = CreateContainerRequest { pod: Some(pod("a")), container: Some(container(how)) };
            let answer: CreateContainerResponse = plugin.ask("CreateContainer", &request).await.unwrap();
            assert_eq!(answer.adjust.is_some(), how == "ok", "{how}");
            let slow = if how == "overrun" { 2 * Duration::from_millis(1800) } else { Duration::ZERO };
            assert_eq!(began.elapsed().as_millis(), slow.as_millis(), "{how}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_joins_though_it_takes_too_long_to_synchronize() {
    for how in ["overrun", "panic"] {
        let (session, trunk) = spawn(builder(Arc::new(Failing)));
        Peer::accept(Version::V0_12, trunk, vec![(vec![], vec![container("b")]), (vec![pod(how)], vec![])])
            .await
            .unwrap();
        session.joined().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_enforcer_fails_it() {
    let (_session, trunk) = spawn(builder(Arc::new(Failing)).role(Role::Enforcer));
    let plugin = Peer::accept(Version::V0_12, trunk, vec![]).await.unwrap();
    for (how, code) in [("error", Code::Unknown), ("panic", Code::Internal), ("overrun", Code::DeadlineExceeded)] {
        let request = CreateContainerRequest { pod: Some(pod("a")), container: Some(container(how)) };
        let answer = plugin.ask::<CreateContainerResponse>("CreateContainer", &request).await;
        assert!(matches!(&answer, Err(Trouble::Status(status)) if status.is(code)), "{how}: {answer:?}");
    }
    plugin.event(Event::StartContainer, pod("a"), container("ok")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_fails_only_by_an_enforcer() {
    // A field 1 that is no message.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Wrong {
        #[prost(bytes = "bytes", tag = "1")]
        pod: Bytes,
    }
    let wrong = Wrong { pod: Bytes::from_static(b"\xff\xff\xff") };
    for (role, succeeds) in [(Role::Observer, true), (Role::Enforcer, false)] {
        let (_session, trunk) = spawn(builder(Arc::new(Failing)).role(role));
        let plugin = Peer::accept(Version::V0_12, trunk, vec![]).await.unwrap();
        for method in ["CreateContainer", "StartContainer", "StateChange", "StopPodSandbox"] {
            let wrong = if method == "StateChange" {
                // The event's number is no message either.
                Wrong { pod: Bytes::from_static(b"text") }
            } else {
                wrong.clone()
            };
            let answer = plugin.ask::<CreateContainerResponse>(method, &wrong).await;
            assert_eq!(answer.is_ok(), succeeds, "{method}: {answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_can_not_be_read_costs_an_observer_no_other() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct State {
        #[prost(bytes = "bytes", repeated, tag = "1")]
        pods: Vec<Bytes>,
    }
    let good = Bytes::from(pod("a").encode_to_vec());
    let state = State { pods: vec![good.clone(), Bytes::from_static(b"\xff"), good] };
    for (role, came) in [(Role::Observer, Some("synchronize 2 0")), (Role::Enforcer, None)] {
        let all = Arc::new(All::default());
        let (session, trunk) = spawn(builder(all.clone()).role(role));
        let plugin = Peer::configure(Version::V0_8, trunk, "").await.unwrap();
        let answer = plugin.ask::<SynchronizeResponse>("Synchronize", &state).await;
        assert_eq!(answer.is_ok(), came.is_some(), "{answer:?}");
        assert_eq!(all.take().get(1).map(String::as_str), came);
        assert_eq!(session.joined().now_or_never().is_some(), came.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_has_the_one_that_the_runtime_told_at_first() {
    for (seconds, told) in [(1, 900), (5, 4_800)] {
        let (_session, trunk) = spawn(builder(Arc::new(Failing)));
        let profile = Profile::new(Version::V0_8).request_timeout(Duration::from_secs(seconds)).silent(true);
        let plugin = Peer::accept(profile, trunk, vec![]).await.unwrap();
        let began = Instant::now();
        plugin.event(Event::StartContainer, pod("a"), container("overrun")).await.unwrap();
        assert_eq!(began.elapsed().as_millis(), told);
    }
}
