//! How a plugin comes to a runtime, version by version.

use std::time::Duration;

use cluster_sim::nri::api::{
    ConfigureRequest, Container, ContainerUpdate, Empty, Event, PodSandbox, SynchronizeRequest, SynchronizeResponse,
};
use cluster_sim::nri::{Code, Peer, Profile, Runtime, Trouble, Version};
use prost::Message;
use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;

use crate::plug::{Plug, Reply, live, registration};

/// Registers with these; what the runtime makes of it, and what it answers.
async fn registers(version: Version, index: &str, name: &str) -> (Result<String, Trouble>, Option<String>) {
    let (near, far) = duplex(1 << 16);
    let mut plug = Plug::new(near);
    let register = async {
        plug.message(2, 1, 1, &registration(index, name)).await;
        let came = plug.next().await.unwrap();
        if came.connection == 1 {
            plug.answer(came.stream, &Empty {}).await;
            return None;
        }
        let response = cluster_sim::nri::envelope::Response::decode(&came.data[..]).unwrap();
        response.status.map(|status| {
            assert!(status.is(Code::Unknown));
            status.message
        })
    };
    let (peer, answer) = tokio::join!(Peer::configure(version, far, ""), register);
    (peer.map(|peer| peer.name().to_owned()), answer)
}

#[tokio::test(start_paused = true)]
async fn names_and_indices_are_checked() {
    let old = [Version::V0_2, Version::V0_6, Version::V0_8, Version::V0_10];
    for version in Version::ALL {
        assert_eq!(registers(version, "10", "a.B_c+d-9").await, (Ok("10-a.B_c+d-9".to_owned()), None));
        for name in ["", "a/b", "ä"] {
            let (peer, answer) = registers(version, "10", name).await;
            let taken = !name.is_empty() && old.contains(&version);
            assert_eq!(peer.is_ok(), taken, "{version:?} {name}");
            assert_eq!(answer.is_none(), taken, "{version:?} {name}");
        }
        for index in ["", "1", "123", "1a", "٣"] {
            let (peer, answer) = registers(version, index, "plug").await;
            assert_eq!(peer, Err(Trouble::InvalidIndex(index.to_owned())));
            assert!(answer.unwrap().starts_with("invalid plugin index: "), "{index}");
        }
    }
    let (_, answer) = registers(Version::V0_6, "1", "plug").await;
    assert_eq!(answer.unwrap(), "invalid plugin index: invalid plugin index \"1\", must be 2 digits");
}

#[tokio::test(start_paused = true)]
async fn a_plugin_with_a_wrong_name_stays_connected_for_nothing() {
    let (near, far) = duplex(1 << 16);
    let mut plug = Plug::new(near);
    plug.message(2, 1, 1, &registration("x", "plug")).await;
    assert!(Peer::configure(Version::V0_12, far, "").await.is_err());
    plug.answered().await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    plug.message(2, 3, 1, b"\xff").await;
    assert_eq!(plug.answered().await.0, 3);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_register_is_gone_after_five_seconds() {
    for (profile, seconds) in [
        (Profile::new(Version::V0_8), 5),
        (Profile::new(Version::V0_8).registration_timeout(Duration::from_secs(9)), 9),
    ] {
        let (near, far) = duplex(1 << 16);
        let began = Instant::now();
        assert_eq!(Peer::configure(profile, far, "").await.unwrap_err(), Trouble::NotRegistered);
        assert_eq!(began.elapsed(), Duration::from_secs(seconds));
        assert!(Plug::new(near).next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_depends_on_the_version() {
    for (version, millis, nri) in [
        (Version::V0_2, (0, 0), ""),
        (Version::V0_6, (0, 0), ""),
        (Version::V0_8, (5000, 2000), ""),
        (Version::V0_10, (5000, 2000), ""),
        (Version::V0_12, (5000, 2000), "v0.12.0"),
        (Version::V0_12_5, (5000, 2000), "v0.12.5"),
    ] {
        let (near, far) = duplex(1 << 16);
        let mut plug = Plug::new(near);
        let watch = async {
            plug.message(2, 1, 1, &registration("10", "plug")).await;
            let (stream, call) = plug.called().await.unwrap();
            plug.answer(stream, &Empty {}).await;
            ConfigureRequest::decode(call.payload).unwrap()
        };
        let (peer, told) = tokio::join!(Peer::configure(version, far, "text"), watch);
        assert_eq!(peer.unwrap().events(), version.known());
        assert_eq!((told.registration_timeout, told.request_timeout), millis, "{version:?}");
        assert_eq!((told.config.as_str(), told.nri_version.as_str()), ("text", nri), "{version:?}");
        assert!(!told.runtime_name.is_empty() && !told.runtime_version.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_bit_beyond_the_last_event_ends_it() {
    for (version, events, extra) in [
        (Version::V0_8, 0x3fff, 0x3800),
        (Version::V0_8, 0x7ff, 0),
        (Version::V0_10, 0x3fff, 0),
        (Version::V0_12, 0x4001, 0x4000),
        (Version::V0_12, -1, !0x3fff),
    ] {
        let (near, far) = duplex(1 << 16);
        let mut plug = Plug::new(near);
        let (peer, ()) = tokio::join!(Peer::configure(version, far, ""), plug.configured(events));
        match peer {
            Ok(peer) => assert_eq!((peer.events(), 0), (events, extra)),
            Err(trouble) => {
                assert_eq!(trouble, Trouble::InvalidEvents(extra));
                while plug.next().await.is_some() {}
            }
        }
    }
    assert_eq!(Trouble::InvalidEvents(0x3800).to_string(), "invalid plugin events: 0x3800");
}

fn pods(count: usize) -> Vec<PodSandbox> {
    vec![PodSandbox { id: "pod".to_owned(), ..PodSandbox::default() }; count]
}

fn containers(count: usize, length: usize) -> Vec<Container> {
    vec![Container { id: "x".repeat(length), ..Container::default() }; count]
}

/// Answers the parts as this says; what comes of it.
async fn synchronized(
    version: Version,
    parts: Vec<(Vec<PodSandbox>, Vec<Container>)>,
    answer: fn(bool) -> SynchronizeResponse,
) -> Result<Peer, Trouble> {
    let (near, far) = duplex(1 << 16);
    live(near, ("10", "plug"), 0, move |method, payload| match method {
        "Synchronize" => Reply::of(&answer(SynchronizeRequest::decode(payload).unwrap().more)),
        _ => Reply::Usual,
    });
    Peer::accept(version, far, parts).await
}

#[tokio::test(start_paused = true)]
async fn parts_are_answered_as_parts() {
    let parts = || vec![(pods(1), vec![]), (vec![], containers(1, 1))];
    let echo = |more| SynchronizeResponse { more, ..SynchronizeResponse::default() };
    let whole = |_| SynchronizeResponse::default();
    let update = |more| SynchronizeResponse { more, update: vec![ContainerUpdate::default()] };
    assert!(synchronized(Version::V0_8, parts(), echo).await.is_ok());
    assert_eq!(synchronized(Version::V0_8, parts(), whole).await.unwrap_err(), Trouble::NoSplitSync);
    assert_eq!(synchronized(Version::V0_8, parts(), update).await.unwrap_err(), Trouble::NoSplitSync);
    assert!(synchronized(Version::V0_8, vec![(pods(1), vec![])], update).await.is_ok());
}

/// A node of this, and the parts in which it comes to a plugin; what it is to the runtime.
async fn parts_of(
    version: Version,
    pod_count: usize,
    container_count: usize,
    length: usize,
) -> (Vec<(usize, usize, bool)>, Option<Trouble>) {
    let runtime = Runtime::builder(version).start();
    runtime.log().set_limit(20_000);
    let pod = runtime.run_pod(PodSandbox::default()).await.unwrap();
    for _ in 1..pod_count {
        runtime.run_pod(PodSandbox::default()).await.unwrap();
    }
    for _ in 0..container_count {
        let container = Container { args: vec!["x".repeat(length)], ..Container::default() };
        runtime.create(&pod.id, container).await.unwrap();
    }
    let (near, far) = duplex(1 << 16);
    live(near, ("10", "plug"), 0, |_, _| Reply::Usual);
    let began = Instant::now();
    let trouble = runtime.accept(far).await.err();
    if trouble == Some(Trouble::Timeout) {
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }
    let calls = runtime.log().calls().into_iter().filter(|call| call.method == "Synchronize");
    let parts = calls.map(|call| {
        let request: SynchronizeRequest = call.request().unwrap();
        (request.pods.len(), request.containers.len(), request.more)
    });
    (parts.collect(), trouble)
}

#[tokio::test(start_paused = true)]
async fn a_busy_node_comes_in_parts_since_0_7() {
    assert_eq!(parts_of(Version::V0_8, 3, 5, 100).await, (vec![(3, 5, false)], None));
    // 6 MB: scaled down to what may fit, pods and containers apart.
    let (parts, trouble) = parts_of(Version::V0_12, 12, 12, 500_000).await;
    assert_eq!((parts, trouble), (vec![(8, 8, true), (4, 4, false)], None));
    assert_eq!(parts_of(Version::V0_6, 12, 12, 500_000).await, (vec![(12, 12, false)], None));
}

#[tokio::test(start_paused = true)]
async fn one_pod_of_many_containers_is_never_sent() {
    let (parts, trouble) = parts_of(Version::V0_12, 1, 12, 500_000).await;
    assert_eq!(parts[..3], [(0, 8, true), (0, 4, true), (0, 0, true)]);
    assert!(parts[2..].iter().all(|part| *part == (0, 0, true)));
    assert_eq!((parts.len(), trouble), (12_002, Some(Trouble::Timeout)));
}

#[tokio::test(start_paused = true)]
async fn parts_without_an_end_can_be_had() {
    let runtime = Runtime::builder(Version::V0_8).endless_parts(true).start();
    let (near, far) = duplex(1 << 16);
    live(near, ("10", "plug"), 0, |_, _| Reply::Usual);
    assert_eq!(runtime.accept(far).await.unwrap_err(), Trouble::Timeout);
    assert!(runtime.plugins().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_split_is_not_sent() {
    let (parts, trouble) = parts_of(Version::V0_12, 1, 2, 3_000_000).await;
    assert_eq!(parts, []);
    assert!(matches!(trouble, Some(Trouble::MessageTooLong(6_000_000..))), "{trouble:?}");
}

async fn falls_back(version: Version, code: Code) -> (Result<(), Trouble>, Vec<String>, bool) {
    let (near, far): (DuplexStream, _) = duplex(1 << 16);
    live(near, ("10", "plug"), 0, move |method, _| match method {
        "StartContainer" | "RunPodSandbox" => Reply::Status(code),
        _ => Reply::Usual,
    });
    let peer = Peer::accept(version, far, vec![]).await.unwrap();
    let mut outcome = Ok(());
    for event in [Event::StartContainer, Event::PostStartContainer, Event::StopContainer] {
        outcome = outcome.and(peer.event(event, PodSandbox::default(), Container::default()).await);
    }
    let calls = peer.log().calls().into_iter().skip(2).map(|call| call.method).collect();
    (outcome, calls, peer.has_fallen_back())
}

#[tokio::test(start_paused = true)]
async fn only_12_and_only_since_0_12_falls_back_to_state_change_and_for_good() {
    let (outcome, calls, fallen) = falls_back(Version::V0_12, Code::Unimplemented).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(
        (calls, fallen),
        (["StartContainer", "StateChange", "StateChange", "StopContainer"].map(String::from).to_vec(), true)
    );

    let (outcome, calls, fallen) = falls_back(Version::V0_12, Code::NotFound).await;
    assert!(matches!(outcome, Err(Trouble::Status(status)) if status.is(Code::NotFound)));
    assert_eq!((calls[0].as_str(), calls[1].as_str(), fallen), ("StartContainer", "PostStartContainer", false));

    let (outcome, calls, _) = falls_back(Version::V0_10, Code::Unimplemented).await;
    assert_eq!((outcome, calls[0].as_str()), (Ok(()), "StateChange"));
}
