//! Bytes of a plugin → what Go makes of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster_sim::nri::api::{
    ContainerUpdate, CreateContainerResponse, Empty, UpdateContainersRequest, UpdateContainersResponse,
};
use cluster_sim::nri::envelope::{Request, Response};
use cluster_sim::nri::{Breach, Code, Malformed, Peer, Profile, Trouble, Version};
use prost::Message;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::io::duplex;
use tokio::time::{Instant, sleep};

use crate::plug::{Came, Plug, frame, message, registration, runtime_call};

/// A plugin that has joined, and the runtime's end of it.
async fn joined(version: Version) -> (Plug, Peer) {
    let (near, far) = duplex(1 << 16);
    let mut plug = Plug::new(near);
    let (peer, ()) = tokio::join!(Peer::configure(version, far, ""), plug.configured(0));
    (plug, peer.unwrap())
}

/// Asks the plugin, which answers with the frames that these pieces of its message make.
async fn answered_in(pieces: impl Fn(Vec<u8>) -> Vec<Vec<u8>>, length: usize) -> (Result<Empty, Trouble>, Peer) {
    let (mut plug, peer) = joined(Version::V0_12).await;
    let answer = async {
        let (stream, _) = plug.called().await.unwrap();
        let update = ContainerUpdate { container_id: "x".repeat(length), ..ContainerUpdate::default() };
        let payload = CreateContainerResponse { update: vec![update], ..CreateContainerResponse::default() };
        let response = Response { status: None, payload: payload.encode_to_vec().into() };
        let message = message(stream, 2, &response.encode_to_vec());
        for piece in pieces(message) {
            plug.bytes(&frame(1, &piece)).await;
        }
    };
    let (outcome, ()) = tokio::join!(peer.ask("CreateContainer", &Empty {}), answer);
    (outcome, peer)
}

fn chunks(length: usize) -> impl Fn(Vec<u8>) -> Vec<Vec<u8>> {
    move |message| message.chunks(length).map(<[u8]>::to_vec).collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_may_come_in_the_frames_that_go_can_read() {
    for length in [100, 4000, 10_000, 1_500_000] {
        // Go's own: as much as its buffer holds, then the rest.
        let (answer, _) = answered_in(
            |message| {
                let (first, rest) = message.split_at(message.len().min(4096));
                vec![first.to_vec(), rest.to_vec()]
            },
            length,
        )
        .await;
        answer.unwrap();
        // The header alone.
        let (answer, _) = answered_in(|message| vec![message[..10].to_vec(), message[10..].to_vec()], length).await;
        answer.unwrap();
    }
    // In few frames.
    answered_in(chunks(4096), 100_000).await.0.unwrap();
    answered_in(chunks(1), 100).await.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_first_frame_that_is_longer_than_the_buffer_ends_the_connection() {
    let (answer, peer) = answered_in(|message| vec![message], 4096).await;
    assert!(matches!(answer, Err(Trouble::Breach(Breach::FrameTooLong { length: 4097.., room: 4096 }))), "{answer:?}");
    assert!(peer.is_closed());
    assert_eq!(peer.end(), answer.err());
}

#[tokio::test(start_paused = true)]
async fn a_later_frame_may_not_hold_more_than_is_missing() {
    let together = |whole: Vec<u8>| {
        let (first, rest) = whole.split_at(4096);
        vec![first.to_vec(), [rest, &message(9, 2, b"")].concat()]
    };
    let (answer, _) = answered_in(together, 20_000).await;
    assert!(matches!(answer, Err(Trouble::Breach(Breach::FrameTooLong { .. }))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_in_more_frames_than_the_queue_holds_ends_the_connection() {
    let (answer, _) = answered_in(chunks(1000), 1_500_000).await;
    assert_eq!(answer, Err(Trouble::Breach(Breach::QueueOverrun)));
    let (answer, _) = answered_in(chunks(4096), 256 * 4096 - 100).await;
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_for_go_is_an_error_and_passed_over() {
    for (length, fits) in [(4 << 20, true), ((4 << 20) + 1, false)] {
        let (mut plug, peer) = joined(Version::V0_12).await;
        plug.answered().await;
        let answer = async {
            let (stream, _) = plug.called().await.unwrap();
            let whole = message(stream, 2, &vec![0; length]);
            plug.bytes(&frame(1, &whole[..4096])).await;
            // Read into the message, or thrown away through the buffer.
            for piece in whole[4096..].chunks(if fits { usize::MAX } else { 4096 }) {
                plug.bytes(&frame(1, piece)).await;
            }
            // As a request, it is answered.
            let whole = message(3, 1, &vec![0; length]);
            for piece in whole.chunks(if fits { whole.len() / 2 } else { 4096 }) {
                plug.bytes(&frame(2, &piece[..piece.len().min(4096)])).await;
                if fits {
                    plug.bytes(&frame(2, &whole[4096..])).await;
                    break;
                }
            }
            plug.answered().await.1.status.unwrap()
        };
        let (answer, refused) = tokio::join!(peer.ask::<Empty>("StartContainer", &Empty {}), answer);
        if fits {
            // Zeros are no envelope.
            assert!(matches!(answer, Err(Trouble::Unreadable(_))), "{answer:?}");
            assert!(refused.is(Code::InvalidArgument), "{refused}");
        } else {
            assert!(matches!(answer, Err(Trouble::Status(status)) if status.is(Code::ResourceExhausted)));
            assert!(refused.is(Code::ResourceExhausted), "{refused}");
        }
        assert!(!peer.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_due_is_dropped() {
    let (mut plug, peer) = joined(Version::V0_12).await;
    // Connections that are not open, frames without anything, answers to nobody, types of the future.
    plug.bytes(&frame(0, b"reserved")).await;
    plug.bytes(&frame(7, b"nobody's")).await;
    plug.bytes(&frame(1, b"")).await;
    plug.bytes(&frame(2, b"")).await;
    plug.message(1, 99, 2, b"").await;
    plug.message(2, 3, 77, b"").await;
    let answer = async {
        let (stream, _) = plug.called().await.unwrap();
        plug.answer(stream, &Empty {}).await;
        plug.answer(stream, &Empty {}).await;
    };
    let (answered, ()) = tokio::join!(peer.ask::<Empty>("StartContainer", &Empty {}), answer);
    answered.unwrap();
    let answer = async {
        let (stream, _) = plug.called().await.unwrap();
        plug.answer(stream, &Empty {}).await;
    };
    let (answered, ()) = tokio::join!(peer.ask::<Empty>("StartContainer", &Empty {}), answer);
    answered.unwrap();
    let strays: Vec<u32> = peer.take_stray_answers().into_iter().map(|(stream, _)| stream).collect();
    assert_eq!(strays, [99, 3], "the second answer of the first call came to nobody");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_type_ends_the_connection() {
    let (mut plug, peer) = joined(Version::V0_12).await;
    let answer = async {
        let (stream, _) = plug.called().await.unwrap();
        plug.message(1, stream, 3, b"").await;
    };
    let (answered, ()) = tokio::join!(peer.ask::<Empty>("StartContainer", &Empty {}), answer);
    assert_eq!(answered, Err(Trouble::Breach(Breach::NoAnswer(3))));
    while plug.next().await.is_some() {}
    assert!(peer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn streams_are_odd_and_increase() {
    let (mut plug, _peer) = joined(Version::V0_12).await;
    assert_eq!(plug.answered().await.0, 1, "the registration");
    let call = runtime_call("UpdateContainers", &UpdateContainersRequest::default());
    for (stream, refusal) in [
        (3, None),
        (3, Some("StreamID cannot be re-used and must increment")),
        (1, Some("StreamID cannot be re-used and must increment")),
        (4, Some("StreamID must be odd for client initiated streams")),
        (9, None),
        (7, Some("StreamID cannot be re-used and must increment")),
        (11, None),
    ] {
        plug.message(2, stream, 1, &call).await;
        let (answered, response) = plug.answered().await;
        assert_eq!(answered, stream);
        let status = response.status.map(|status| (status.code, status.message));
        assert_eq!(status, refusal.map(|refusal| (Code::InvalidArgument as i32, refusal.to_owned())), "{stream}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_runtime_does_not_know_is_12_and_what_it_can_not_read_is_3() {
    let (mut plug, peer) = joined(Version::V0_12).await;
    peer.updates().fail("gone");
    plug.answered().await;
    let update = |id: &str| ContainerUpdate { container_id: id.to_owned(), ..ContainerUpdate::default() };
    let request = UpdateContainersRequest { update: vec![update("there"), update("gone")], ..Default::default() };
    let service = Request { service: "nobody".to_owned(), ..Request::default() };
    for (stream, call, code) in [
        (3, runtime_call("Evict", &Empty {}), Code::Unimplemented),
        (5, service.encode_to_vec(), Code::Unimplemented),
        (7, b"\xff\xff".to_vec(), Code::InvalidArgument),
        (9, runtime_call("UpdateContainers", &request), Code::Ok),
    ] {
        plug.message(2, stream, 1, &call).await;
        let (_, response) = plug.answered().await;
        assert_eq!(response.status.map_or(0, |status| status.code), code as i32, "{stream}");
        if code == Code::Ok {
            let answer = UpdateContainersResponse::decode(response.payload).unwrap();
            assert_eq!(answer.failed, [update("gone")]);
        }
    }
    assert_eq!(peer.updates().take(), [request]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_can_not_read_on_is_deaf_until_its_queue_is_full() {
    let (mut plug, peer) = joined(Version::V0_12).await;
    plug.answered().await;
    plug.bytes(&frame(2, &vec![0; 5000])).await;
    for stream in (3..515).step_by(2) {
        plug.message(2, stream, 1, b"").await;
    }
    // All of it has been read by now.
    sleep(Duration::from_millis(1)).await;
    assert!(!peer.is_closed());
    assert!(matches!(peer.trunk().breach(), Some(Breach::FrameTooLong { length: 5000, room: 4096 })));
    plug.message(2, 515, 1, b"").await;
    assert!(plug.next().await.is_none());
    assert!(peer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_ends_the_connection() {
    let (mut plug, peer) = joined(Version::V0_12).await;
    let began = Instant::now();
    assert_eq!(peer.ask::<Empty>("StartContainer", &Empty {}).await, Err(Trouble::Timeout));
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    while plug.next().await.is_some() {}
    assert_eq!(peer.ask::<Empty>("StartContainer", &Empty {}).await, Err(Trouble::Closed));
    assert_eq!(peer.end(), Some(Trouble::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_does_not_read_is_timed_out_too() {
    let (near, far) = duplex(64);
    let mut plug = Plug::new(near);
    let (peer, ()) = tokio::join!(Peer::configure(Version::V0_8, far, ""), plug.configured(0));
    let peer = peer.unwrap();
    let long = ContainerUpdate { container_id: "x".repeat(1000), ..ContainerUpdate::default() };
    assert_eq!(peer.ask::<Empty>("StartContainer", &long).await, Err(Trouble::Timeout));
}

#[tokio::test(start_paused = true)]
async fn the_runtime_writes_as_go_does() {
    for (version, length, frames) in [
        (Version::V0_12, 100, 1),
        (Version::V0_12, 4000, 1),
        (Version::V0_12, 10_000, 2),
        (Version::V0_6, 10_000_000, 2),
    ] {
        let (near, far) = duplex(1 << 25);
        let mut plug = Plug::new(near);
        let profile = Profile::from(version).early_reply(true).runtime("cri-o", "1");
        let (peer, ()) = tokio::join!(Peer::configure(profile, far, ""), plug.configured(0));
        // The answer to the registration came before.
        let peer = peer.unwrap();
        let message = ContainerUpdate { container_id: "x".repeat(length), ..ContainerUpdate::default() };
        assert_eq!(peer.ask::<Empty>("M", &message).await, Err(Trouble::Timeout));
        assert_eq!(plug.frames().await, frames, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_long_is_not_sent() {
    let message = |length| ContainerUpdate { container_id: "x".repeat(length), ..ContainerUpdate::default() };
    let (_plug, peer) = joined(Version::V0_8).await;
    let refused = peer.ask::<Empty>("CreateContainer", &message(5 << 20)).await;
    assert!(matches!(refused, Err(Trouble::Status(status)) if status.is(Code::ResourceExhausted)));
    assert!(!peer.is_closed());
    let (_plug, peer) = joined(Version::V0_6).await;
    assert!(matches!(peer.ask::<Empty>("M", &message(17 << 20)).await, Err(Trouble::MessageTooLong(_))));
    assert!(peer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_comes_in_pieces_is_one() {
    let (near, far) = duplex(1 << 16);
    let mut plug = Plug::new(near);
    let register = async {
        for byte in message(1, 1, &registration("07", "plug")) {
            plug.bytes(&frame(2, &[byte])).await;
        }
        let (stream, _) = plug.called().await.unwrap();
        plug.answer(stream, &Empty {}).await;
    };
    let (peer, ()) = tokio::join!(Peer::configure(Version::V0_12, far, ""), register);
    assert_eq!(peer.unwrap().name(), "07-plug");
}

#[tokio::test(start_paused = true)]
async fn whatever_is_malformed_is_written() {
    for malformed in Malformed::ALL {
        let (mut plug, peer) = joined(Version::V0_12).await;
        plug.answered().await;
        assert!(peer.send(malformed).await, "{malformed:?}");
        assert_eq!(peer.is_closed(), malformed == Malformed::TruncatedFrame, "{malformed:?}");
        peer.close().await;
        assert!(!peer.send(malformed).await, "{malformed:?}");
        assert_ne!(plug.frames().await, 0, "{malformed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_come_on_connection_1_and_answers_on_2() {
    let (near, far) = duplex(1 << 16);
    let mut plug = Plug::new(near);
    let watch = async {
        plug.message(2, 1, 1, &registration("10", "plug")).await;
        let Came { connection, stream, kind, .. } = plug.next().await.unwrap();
        assert_eq!((connection, stream, kind), (1, 1, 1), "Configure comes first, as it may");
        plug.answer(1, &Empty {}).await;
        let Came { connection, stream, kind, .. } = plug.next().await.unwrap();
        assert_eq!((connection, stream, kind), (2, 1, 2), "the answer to the registration");
    };
    let (peer, ()) = tokio::join!(Peer::configure(Version::V0_8, far, ""), watch);
    peer.unwrap();
}

/// Frames whose lengths may be right, with messages that may be some; or anything.
fn any_bytes(random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(1..20) {
        let mut data: Vec<u8> = (0..random.random_range(0..60)).map(|_| random.random()).collect();
        if random.random_bool(0.5) {
            let methods = ["RegisterPlugin", "UpdateContainers", "Other"];
            let request = Request {
                service: "nri.pkg.api.v1alpha1.Runtime".to_owned(),
                method: methods[random.random_range(0..3)].to_owned(),
                payload: data.into(),
                ..Request::default()
            };
            data = request.encode_to_vec();
        }
        let mut message = message(random.random_range(0..9), random.random_range(0..5), &data);
        if random.random_bool(0.1) {
            let lies = random.random_range(0..message.len());
            message[lies] = random.random();
        }
        let mut frame = frame(random.random_range(0..4), &message);
        if random.random_bool(0.05) {
            let lies = random.random_range(0..frame.len());
            frame[lies] = random.random();
        }
        bytes.extend(frame);
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn any_bytes_come_to_an_end_that_is_told() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let said = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        said(panic);
    }));
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..300 {
        let (near, far) = duplex(1 << 16);
        let mut plug = Plug::new(near);
        plug.bytes(&any_bytes(&mut random)).await;
        drop(plug);
        // It says nothing about events, so that nobody can join.
        assert!(Peer::configure(Version::V0_12, far, "").await.is_err());

        let (mut plug, peer) = joined(Version::V0_12).await;
        plug.bytes(&any_bytes(&mut random)).await;
        let outcome = peer.ask::<Empty>("StartContainer", &Empty {}).await;
        let told = match outcome {
            // Streams of the answers there are: one of them may be that of the call.
            Ok(_) | Err(Trouble::Status(_) | Trouble::Unreadable(_)) => !peer.is_closed() || peer.end().is_some(),
            Err(trouble) => peer.end() == Some(trouble),
        };
        assert!(told, "{:?}", peer.end());
    }
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}
