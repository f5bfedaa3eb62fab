//! Registration, configuration, synchronization.

use std::sync::Arc;
use std::time::Duration;

use cluster_sim::nri::{Code, Peer, Trouble, Version};
use futures::FutureExt;
use nri_plugin::api::{
    Container, EventMask, PodSandbox, ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};
use nri_plugin::{Answer, Configuration, Plugin, Refusal, SessionError};
use tokio::time::Instant;

use super::plugins::{All, builder, spawn};
use super::sim::{container, pod, update};

/// One event of each kind.
struct Few;

impl Plugin for Few {
    async fn remove_pod_sandbox(&self, _: PodSandbox) -> Answer<()> {
        Ok(())
    }

    async fn start_container(&self, _: PodSandbox, _: Container) -> Answer<()> {
        Ok(())
    }

    async fn validate_container_adjustment(
        &self,
        _: ValidateContainerAdjustmentRequest,
    ) -> Answer<ValidateContainerAdjustmentResponse> {
        Ok(ValidateContainerAdjustmentResponse::default())
    }
}

struct Nothing;

impl Plugin for Nothing {
    async fn synchronize(
        &self,
        _: Vec<PodSandbox>,
        _: Vec<Container>,
    ) -> Answer<Vec<nri_plugin::api::ContainerUpdate>> {
        Ok(Vec::new())
    }
}

struct Validates;

impl Plugin for Validates {
    async fn validate_container_adjustment(
        &self,
        _: ValidateContainerAdjustmentRequest,
    ) -> Answer<ValidateContainerAdjustmentResponse> {
        Ok(ValidateContainerAdjustmentResponse::default())
    }
}

/// Asks for these events; for none if there are none.
struct Asks(Result<EventMask, &'static str>);

impl Plugin for Asks {
    async fn configure(&self, _: Configuration) -> Answer<EventMask> {
        Ok(self.0?)
    }

    async fn run_pod_sandbox(&self, _: PodSandbox) -> Answer<()> {
        Ok(())
    }

    async fn stop_pod_sandbox(&self, _: PodSandbox) -> Answer<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_joins_every_runtime_with_the_events_that_it_knows() {
    for version in Version::ALL {
        let all = Arc::new(All::default());
        let (session, trunk) = spawn(builder(all.clone()));
        let plugin =
            Peer::accept(version, trunk, vec![(vec![pod("a")], vec![container("b"), container("c")])]).await.unwrap();
        assert_eq!(plugin.events(), version.known(), "{version:?}");
        let registered = plugin.registered();
        assert_eq!((registered.plugin_idx.as_str(), registered.plugin_name.as_str()), ("10", "test"));
        let (runtime, events) = session.joined().await.unwrap();
        assert_eq!((events.bits(), runtime.nri_version.is_some()), (version.known(), version >= Version::V0_12));
        assert_eq!(all.take(), ["configure \"\"", "synchronize 1 2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_subscription_is_what_the_plugin_handles_and_the_runtime_knows() {
    for (version, events) in [
        (Version::V0_2, 0x24),
        (Version::V0_6, 0x24),
        (Version::V0_8, 0x24),
        (Version::V0_10, 0x2024),
        (Version::V0_12, 0x2024),
    ] {
        let (_session, trunk) = spawn(builder(Arc::new(Few)));
        assert_eq!(Peer::accept(version, trunk, vec![]).await.unwrap().events(), events, "{version:?}");
    }
    let (_session, trunk) = spawn(builder(Arc::new(All::default())).events(EventMask::POD));
    assert_eq!(Peer::accept(Version::V0_8, trunk, vec![]).await.unwrap().events(), 0x7);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_without_an_event_is_no_subscription_to_all() {
    for (session, trunk) in [
        spawn(builder(Arc::new(Nothing))),
        spawn(builder(Arc::new(Validates))),
        spawn(builder(Arc::new(Few)).events(EventMask::NONE)),
    ] {
        let Err(Trouble::Status(status)) = Peer::configure(Version::V0_8, trunk, "").await else {
            panic!("it was configured")
        };
        assert!(status.is(Code::FailedPrecondition), "{status}");
        assert!(matches!(session.ended().await, Err(SessionError::Refused(Refusal::NoEvents { .. }))));
    }
}

#[tokio::test(start_paused = true)]
async fn configure_may_narrow_the_subscription_and_not_widen_it() {
    let run = EventMask::of(nri_plugin::api::Event::RunPodSandbox);
    let (_session, trunk) = spawn(builder(Arc::new(Asks(Ok(run)))));
    assert_eq!(Peer::accept(Version::V0_8, trunk, vec![]).await.unwrap().events(), 1);

    for (asked, refusal) in [
        (Ok(EventMask::ALL), Refusal::NotOffered(EventMask::from_bits(0x3ffc))),
        (Ok(EventMask::NONE), Refusal::NoEvents { handled: EventMask::from_bits(3), known: EventMask::BEFORE_0_10 }),
        (Err("no such level"), Refusal::Configure("no such level".to_owned())),
    ] {
        let (session, trunk) = spawn(builder(Arc::new(Asks(asked))));
        assert!(matches!(Peer::configure(Version::V0_8, trunk, "").await, Err(Trouble::Status(_))));
        match session.ended().await {
            Err(SessionError::Refused(error)) => assert_eq!(error, refusal),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_gets_the_text_and_the_limits_of_the_runtime() {
    struct Told(tokio::sync::mpsc::UnboundedSender<Configuration>);

    impl Plugin for Told {
        async fn configure(&self, configuration: Configuration) -> Answer<EventMask> {
            let events = configuration.events;
            self.0.send(configuration)?;
            Ok(events)
        }

        async fn stop_pod_sandbox(&self, _: PodSandbox) -> Answer<()> {
            Ok(())
        }
    }

    for (version, limit) in [(Version::V0_2, None), (Version::V0_8, Some(Duration::from_secs(2)))] {
        let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
        let (_session, trunk) = spawn(builder(Arc::new(Told(told))));
        Peer::configure(version, trunk, "level: 3").await.unwrap();
        let told = tells.recv().await.unwrap();
        assert_eq!((told.text.as_str(), told.request_timeout), ("level: 3", limit));
        assert_eq!(told.events.to_string(), "StopPodSandbox");
    }
}

#[tokio::test(start_paused = true)]
async fn parts_are_one_whole_and_the_plugin_joins_with_the_last() {
    let all = Arc::new(All::default());
    let (session, trunk) = spawn(builder(all.clone()));
    let plugin = Peer::configure(Version::V0_8, trunk, "").await.unwrap();
    all.take();
    let part = |pods, containers| (vec![pod("a"); pods], vec![container("b"); containers]);
    let mut parts = vec![part(2, 8), part(0, 8), part(2, 0)];
    // A runtime that scales down to nothing sends such parts by the thousand.
    parts.extend(vec![part(0, 0); 12_000]);
    parts.push(part(0, 2));
    let synchronized = plugin.synchronize(parts);
    tokio::pin!(synchronized);
    assert!(futures::poll!(&mut synchronized).is_pending());
    assert!(session.joined().now_or_never().is_none());
    let answer = synchronized.await.unwrap();
    assert_eq!(answer.update, [update("synchronized")]);
    assert_eq!(all.take(), ["synchronize 4 18"]);
    session.joined().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_busy_node_comes_in_one_message_from_an_old_runtime() {
    let mut big = container("b");
    big.env = vec!["x".repeat(6_000)];
    for version in [Version::V0_2, Version::V0_6] {
        let all = Arc::new(All::default());
        let (_session, trunk) = spawn(builder(all.clone()));
        Peer::accept(version, trunk, vec![(vec![pod("a"); 150], vec![big.clone(); 1000])]).await.unwrap();
        assert_eq!(all.take().last().unwrap(), "synchronize 150 1000");
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_beyond_the_limits_is_refused() {
    let limits = nri_plugin::SyncLimits { items: 10, ..nri_plugin::SyncLimits::default() };
    let (_session, trunk) = spawn(builder(Arc::new(All::default())).sync_limits(limits));
    let refused =
        Peer::accept(Version::V0_8, trunk, vec![(vec![pod("a"); 5], vec![]), (vec![], vec![container("b"); 6])]).await;
    assert!(matches!(refused, Err(Trouble::Status(status)) if status.is(Code::ResourceExhausted)));
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_says_nothing_is_waited_for_as_long_as_was_said() {
    let began = Instant::now();
    let (session, _trunk) = spawn(builder(Arc::new(Few)).registration_timeout(Duration::from_secs(7)));
    assert!(matches!(session.ended().await, Err(SessionError::RegistrationTimeout(_))));
    assert_eq!(began.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn an_end_before_the_plugin_joins_is_an_error_that_says_when() {
    let (session, trunk) = spawn(builder(Arc::new(Few)));
    drop(trunk);
    assert!(matches!(session.joined().await, Err(SessionError::ClosedBeforeConfigure)));

    let (session, trunk) = spawn(builder(Arc::new(Few)));
    let plugin = Peer::configure(Version::V0_8, trunk, "").await.unwrap();
    plugin.close().await;
    drop(plugin);
    assert!(
        matches!(session.joined().await, Err(SessionError::ClosedBeforeJoin { events, .. }) if events.bits() == 0x24)
    );

    let (session, _trunk) = spawn(builder(Arc::new(Few)));
    session.shutdown().await.unwrap();
    assert!(matches!(session.joined().await, Err(SessionError::EndedBeforeJoin(nri_plugin::End::Stopped))));
}
