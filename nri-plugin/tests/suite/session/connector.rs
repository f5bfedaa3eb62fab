//! A plugin that outlives its runtime.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cluster_sim::nri::api::Event;
use cluster_sim::nri::{Code, Peer, Profile, Status, Trouble, Version};
use nri_plugin::api::{Container, ContainerUpdate, EventMask, PodSandbox};
use nri_plugin::connector::State;
use nri_plugin::launch::Dial;
use nri_plugin::{
    Answer, AttemptError, Configuration, Connector, ConnectorBuilder, ConnectorError, End, Plugin, Refusal,
    SessionError, Vanished,
};
use parking_lot::Mutex;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::plugins::{All, builder};
use super::sim::{container, pod};

const FIRST: Duration = Duration::from_millis(100);

/// Notes what it is told, in order.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note(&self, text: String) {
        self.0.lock().push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Plugin for Notes {
    async fn lost(&self, why: AttemptError) -> Answer<()> {
        self.note(format!("lost: {why}"));
        Ok(())
    }

    async fn resynchronize(&self, vanished: Vanished) -> Answer<()> {
        self.note(format!("vanished {:?} {:?}", vanished.pods, vanished.containers));
        Ok(())
    }

    async fn synchronize(&self, pods: Vec<PodSandbox>, containers: Vec<Container>) -> Answer<Vec<ContainerUpdate>> {
        self.note(format!("synchronize {} {}", pods.len(), containers.len()));
        Ok(Vec::new())
    }

    async fn start_container(&self, _: PodSandbox, container: Container) -> Answer<()> {
        self.note(format!("start {}", container.id));
        Ok(())
    }
}

/// The runtime's ends of the connections that are dialled.
struct Door(mpsc::UnboundedReceiver<DuplexStream>);

impl Door {
    async fn next(&mut self) -> DuplexStream {
        self.0.recv().await.unwrap()
    }
}

fn door() -> (Door, impl Dial) {
    let (send, receive) = mpsc::unbounded_channel();
    let dial = move || {
        let (near, far) = duplex(1 << 16);
        let sent = send.send(far).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused));
        async move { sent.map(|()| near) }
    };
    (Door(receive), dial)
}

fn connector<P: Plugin>(plugin: Arc<P>) -> ConnectorBuilder<P> {
    Connector::builder(builder(plugin))
}

/// A connection that is there once.
struct Once(Mutex<Option<DuplexStream>>);

impl Dial for Once {
    type Trunk = DuplexStream;

    async fn dial(&self) -> io::Result<DuplexStream> {
        self.0.lock().take().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn can_dial_again(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_plugin_joins_again_and_learns_what_vanished() {
    let notes = Arc::new(Notes::default());
    let (mut door, dial) = door();
    let connector = connector(notes.clone()).spawn(dial);
    let before = vec![(vec![pod("a"), pod("b")], vec![container("c"), container("d")])];
    let runtime = Peer::accept(Version::V0_8, door.next().await, before).await.unwrap();
    connector.joined().await.unwrap();
    // Removals are subscribed to, though the plugin has no method for them.
    assert_eq!(EventMask::from_bits(runtime.events()).to_string(), "RemovePodSandbox,StartContainer,RemoveContainer");
    runtime.event(Event::StartContainer, pod("b"), container("e")).await.unwrap();
    runtime.event(Event::RemoveContainer, pod("b"), container("d")).await.unwrap();
    assert_eq!(notes.take(), ["synchronize 2 2", "start e"]);

    runtime.close().await;
    let began = Instant::now();
    let trunk = door.next().await;
    assert_eq!(began.elapsed(), FIRST);
    assert!(connector.runtime().is_none());
    assert_eq!(notes.take(), ["lost: the runtime closed the connection"]);
    let _runtime = Peer::accept(Version::V0_8, trunk, vec![(vec![pod("a")], vec![container("c"), container("new")])])
        .await
        .unwrap();
    connector.joined().await.unwrap();
    assert_eq!(notes.take(), [r#"vanished ["b"] ["e"]"#, "synchronize 1 2"]);
    assert!(connector.runtime().is_some());
    assert_eq!(connector.shutdown().await.unwrap(), End::Stopped);
    assert_eq!(Arc::strong_count(&notes), 1, "a task is left");
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_the_longest_and_begin_anew_after_a_long_session() {
    let (mut door, dial) = door();
    let longest = Duration::from_secs(1);
    let _connector = connector(Arc::new(All::default())).pauses(FIRST, longest).spawn(dial);
    let mut pauses = Vec::new();
    drop(door.next().await);
    for _ in 0..6 {
        let began = Instant::now();
        drop(door.next().await);
        // The clock of a paused test goes by whole milliseconds.
        pauses.push(began.elapsed().as_millis() / 10 * 10);
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    for (joined, pause) in [(longest, longest), (longest + FIRST, FIRST)] {
        let runtime = Peer::accept(Version::V0_8, door.next().await, vec![]).await.unwrap();
        sleep(joined).await;
        runtime.close().await;
        drop(runtime);
        let began = Instant::now();
        // It is dropped by the next turn: the connector is not answered.
        let trunk = door.next().await;
        assert_eq!(began.elapsed().as_millis() / 10, pause.as_millis() / 10);
        drop(trunk);
    }
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_does_not_know_the_events_is_asked_for_fewer_at_once() {
    let (mut door, dial) = door();
    let connector = connector(Arc::new(All::default())).spawn(dial);
    // One that says of itself what is not so: an NRI of 0.8 under the version of one that has 0.10.
    let posing = Profile::new(Version::V0_8).runtime("containerd", "v2.2.0");
    let began = Instant::now();
    assert_eq!(
        Peer::accept(posing.clone(), door.next().await, vec![]).await.err(),
        Some(Trouble::InvalidEvents(0x3800))
    );
    let runtime = Peer::accept(posing.clone(), door.next().await, vec![]).await.unwrap();
    assert_eq!((runtime.events(), began.elapsed()), (0x7ff, Duration::ZERO));
    connector.joined().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_second_chance_is_one() {
    let (mut door, dial) = door();
    let _connector = connector(Arc::new(All::default())).spawn(dial);
    let posing = Profile::new(Version::V0_8).runtime("containerd", "v2.2.0");
    for (expected, pause) in [(0x3fff, Duration::ZERO), (0x7ff, Duration::ZERO), (0x3fff, FIRST)] {
        let began = Instant::now();
        let trunk = door.next().await;
        assert_eq!(began.elapsed(), pause);
        // It is gone before it synchronizes.
        match Peer::configure(posing.clone(), trunk, "").await {
            Ok(runtime) => {
                assert_eq!(runtime.events(), expected);
                runtime.close().await;
            }
            Err(trouble) => assert_eq!(trouble, Trouble::InvalidEvents(expected & !0x7ff)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_heal_ends_it_with_what_to_change() {
    struct Refuses;

    impl Plugin for Refuses {
        async fn configure(&self, _: Configuration) -> Answer<EventMask> {
            Err("no such level".into())
        }

        async fn run_pod_sandbox(&self, _: PodSandbox) -> Answer<()> {
            Ok(())
        }
    }

    let (mut door, dial) = door();
    let ended = connector(Arc::new(Refuses)).spawn(dial);
    assert!(matches!(Peer::configure(Version::V0_6, door.next().await, "").await, Err(Trouble::Status(_))));
    let error = ended.ended().await.unwrap_err();
    assert!(matches!(
        &error,
        ConnectorError::Hopeless(AttemptError::Session(SessionError::Refused(Refusal::Configure(_))))
    ));
    assert!(error.to_string().contains("no such level"), "{error}");

    let denied = || async { Err::<DuplexStream, _>(io::Error::from(io::ErrorKind::PermissionDenied)) };
    let ended = connector(Arc::new(All::default())).spawn(denied);
    assert!(matches!(ended.joined().await, Err(ConnectorError::Hopeless(AttemptError::Dial(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_refused_registration_ends_it() {
    let (mut door, dial) = door();
    let ended = connector(Arc::new(All::default())).spawn(dial);
    let status = Status::new(Code::Unknown, "invalid plugin index \"1\", must be 2 digits");
    Peer::refuse(Version::V0_8, door.next().await, status).await.unwrap();
    let error = ended.ended().await.unwrap_err();
    assert!(error.to_string().contains("must be 2 digits"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn patience_ends_when_the_host_says_so_and_counts_from_the_last_session() {
    let limit = Duration::from_secs(10);
    let nobody = || async { Err::<DuplexStream, _>(io::Error::from(io::ErrorKind::NotFound)) };
    let began = Instant::now();
    let ended = connector(Arc::new(All::default())).give_up_after(limit).spawn(nobody);
    assert!(matches!(ended.ended().await, Err(ConnectorError::GaveUp { last: AttemptError::Dial(_), .. })));
    assert_eq!(began.elapsed().as_secs(), limit.as_secs(), "the last attempt is at the limit");

    let (mut door, dial) = door();
    let connector = connector(Arc::new(All::default())).give_up_after(limit).spawn(dial);
    let runtime = Peer::accept(Version::V0_8, door.next().await, vec![]).await.unwrap();
    sleep(limit * 3).await;
    runtime.close().await;
    drop(runtime);
    let _runtime = Peer::accept(Version::V0_8, door.next().await, vec![]).await.unwrap();
    connector.joined().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_inherited_connection_is_the_only_one() {
    let (near, far) = duplex(1 << 16);
    let once = connector(Arc::new(All::default())).spawn(Once(Mutex::new(Some(near))));
    let runtime = Peer::accept(Version::V0_8, far, vec![]).await.unwrap();
    once.joined().await.unwrap();
    runtime.close().await;
    assert_eq!(once.ended().await.unwrap(), End::RuntimeClosed);

    let (near, far) = duplex(1 << 16);
    let once = connector(Arc::new(All::default())).spawn(Once(Mutex::new(Some(near))));
    drop(far);
    assert!(matches!(
        once.ended().await,
        Err(ConnectorError::OnlyConnection(AttemptError::Session(SessionError::ClosedBeforeConfigure)))
    ));
}

#[tokio::test(start_paused = true)]
async fn it_stops_wherever_it_is_and_leaves_nothing() {
    let limit = Duration::from_secs(3);
    // While it waits for a connection, in a pause, before the plugin has joined.
    let hanging = || async { std::future::pending::<io::Result<DuplexStream>>().await };
    let nobody = || async { Err::<DuplexStream, _>(io::Error::from(io::ErrorKind::NotFound)) };
    let all = Arc::new(All::default());
    let (mut door, dial) = door();
    let connectors = [
        connector(all.clone()).spawn(hanging),
        connector(all.clone()).spawn(nobody),
        connector(all.clone()).spawn(dial),
    ];
    let _trunk = door.next().await;
    for connector in connectors {
        let began = Instant::now();
        assert_eq!(connector.shutdown().await.unwrap(), End::Stopped);
        assert_eq!(connector.shutdown().await.unwrap(), End::Stopped);
        assert!(began.elapsed() <= limit);
        assert!(matches!(connector.joined().await, Err(ConnectorError::EndedBeforeJoin(End::Stopped))));
    }
    assert_eq!(Arc::strong_count(&all), 1, "a task is left");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connector_ends() {
    let all = Arc::new(All::default());
    let (mut door, dial) = door();
    let connector = connector(all.clone()).spawn(dial);
    let runtime = Peer::accept(Version::V0_8, door.next().await, vec![]).await.unwrap();
    connector.joined().await.unwrap();
    drop(connector);
    let gone = async {
        while runtime.event(Event::StartContainer, pod("a"), container("b")).await.is_ok() {
            sleep(FIRST).await;
        }
    };
    timeout(Duration::from_secs(5), gone).await.unwrap();
    timeout(Duration::from_secs(5), async {
        while Arc::strong_count(&all) > 1 {
            sleep(FIRST).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn its_states_are_told_as_they_change() {
    let (mut door, dial) = door();
    let connector = connector(Arc::new(All::default())).spawn(dial);
    let mut states = connector.states();
    assert!(matches!(*states.borrow_and_update(), State::Connecting { last: None }));
    drop(door.next().await);
    states.changed().await.unwrap();
    assert!(matches!(
        &*states.borrow_and_update(),
        State::Connecting { last: Some(AttemptError::Session(SessionError::ClosedBeforeConfigure)) }
    ));
    let _runtime = Peer::accept(Version::V0_8, door.next().await, vec![]).await.unwrap();
    states.wait_for(|state| matches!(state, State::Joined { .. })).await.unwrap();
    connector.shutdown().await.unwrap();
    states.wait_for(|state| matches!(state, State::Ended(Ok(End::Stopped)))).await.unwrap();
}

/// Creations and validations: the latter are known since NRI 0.10.
struct Validates;

impl Plugin for Validates {
    async fn validate_container_adjustment(
        &self,
        _: nri_plugin::api::ValidateContainerAdjustmentRequest,
    ) -> Answer<nri_plugin::api::ValidateContainerAdjustmentResponse> {
        Ok(nri_plugin::api::ValidateContainerAdjustmentResponse::default())
    }
}

#[tokio::test(start_paused = true)]
async fn no_event_is_given_up_for_a_runtime_that_knows_it_or_where_none_is_left() {
    let told = Profile::new(Version::V0_12);
    let untold = Profile::new(Version::V0_10);
    for profile in [told, untold] {
        let (mut door, dial) = door();
        let connector = connector(Arc::new(Validates)).spawn(dial);
        // It ends before it synchronizes, for whatever reason.
        Peer::configure(profile.clone(), door.next().await, "").await.unwrap().close().await;
        let began = Instant::now();
        let runtime = Peer::accept(profile, door.next().await, vec![]).await.unwrap();
        assert_eq!((runtime.events(), began.elapsed() >= FIRST), (0x2000, true));
        connector.joined().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_takes_too_long_is_tried_again() {
    struct Slow(std::sync::atomic::AtomicBool);

    impl Plugin for Slow {
        async fn configure(&self, configuration: Configuration) -> Answer<EventMask> {
            if !self.0.swap(true, std::sync::atomic::Ordering::Relaxed) {
                sleep(Duration::from_mins(1)).await;
            }
            Ok(configuration.events)
        }

        async fn run_pod_sandbox(&self, _: PodSandbox) -> Answer<()> {
            Ok(())
        }
    }

    let (mut door, dial) = door();
    let connector = connector(Arc::new(Slow(false.into()))).spawn(dial);
    assert!(matches!(Peer::configure(Version::V0_8, door.next().await, "").await, Err(Trouble::Status(_))));
    let _runtime = Peer::accept(Version::V0_8, door.next().await, vec![]).await.unwrap();
    connector.joined().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_never_lets_the_plugin_join_is_not_waited_for_without_end() {
    let (mut door, dial) = door();
    let limit = Duration::from_secs(90);
    let connector = connector(Arc::new(All::default())).give_up_after(limit).spawn(dial);
    let began = Instant::now();
    let _first = Peer::configure(Version::V0_8, door.next().await, "").await.unwrap();
    let _second = Peer::configure(Version::V0_8, door.next().await, "").await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 60, "the session ends by itself");
    assert!(matches!(connector.ended().await, Err(ConnectorError::GaveUp { last: AttemptError::NotJoined(_), .. })));
    assert_eq!(began.elapsed().as_secs(), limit.as_secs());
}

#[tokio::test(start_paused = true)]
async fn what_vanished_is_told_until_it_was_taken_in() {
    #[derive(Default)]
    struct Fails(Mutex<Vec<Vec<String>>>);

    impl Plugin for Fails {
        async fn resynchronize(&self, vanished: Vanished) -> Answer<()> {
            let mut told = self.0.lock();
            told.push(vanished.containers);
            if told.len() < 2 { Err("as was wanted".into()) } else { Ok(()) }
        }

        async fn run_pod_sandbox(&self, _: PodSandbox) -> Answer<()> {
            Ok(())
        }
    }

    let fails = Arc::new(Fails::default());
    let (mut door, dial) = door();
    let connector = connector(fails.clone()).spawn(dial);
    for state in [vec![container("a")], vec![], vec![], vec![]] {
        let runtime = Peer::accept(Version::V0_8, door.next().await, vec![(vec![], state)]).await.unwrap();
        connector.joined().await.unwrap();
        runtime.close().await;
    }
    assert_eq!(*fails.0.lock(), [vec!["a".to_owned()], vec!["a".to_owned()], vec![]]);
}
