//! How sessions end, and what is left of them.

use std::sync::Arc;
use std::time::Duration;

use cluster_sim::nri::api::{Empty, Event};
use cluster_sim::nri::envelope::{Request, Response};
use cluster_sim::nri::{Code, Malformed, Peer, Status, Trouble, Version};
use futures::FutureExt;
use nri_plugin::api::{EventMask, PLUGIN_SERVICE, RUNTIME_SERVICE};
use nri_plugin::{End, SessionError};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{Instant, sleep};

use super::plugins::{All, Failing, builder, spawn};
use super::sim::{answer, container, message, pod};

#[tokio::test(start_paused = true)]
async fn a_runtime_that_ends_is_no_error() {
    let (session, trunk) = spawn(builder(Arc::new(All::default())));
    let plugin = Peer::accept(Version::V0_8, trunk, vec![]).await.unwrap();
    plugin.close().await;
    assert_eq!(session.ended().await.unwrap(), End::RuntimeClosed);
    assert_eq!(session.shutdown().await.unwrap(), End::RuntimeClosed);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_ends_within_a_frame_has_ended() {
    let (session, trunk) = spawn(builder(Arc::new(All::default())));
    Peer::accept(Version::V0_8, trunk, vec![]).await.unwrap().send(Malformed::TruncatedFrame).await;
    assert_eq!(session.ended().await.unwrap(), End::RuntimeClosed);

    let (session, trunk) = spawn(builder(Arc::new(All::default())));
    Peer::configure(Version::V0_8, trunk, "").await.unwrap().send(Malformed::TruncatedFrame).await;
    assert!(matches!(session.ended().await, Err(SessionError::ClosedBeforeJoin { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_runtime_may_ask_for_the_end_and_gets_an_answer() {
    let all = Arc::new(All::default());
    let (session, trunk) = spawn(builder(all.clone()));
    let plugin = Peer::accept(Version::V0_8, trunk, vec![]).await.unwrap();
    let _: Empty = plugin.ask("Shutdown", &Empty {}).await.unwrap();
    assert_eq!(session.ended().await.unwrap(), End::Shutdown);
    assert_eq!(all.take().last().unwrap(), "shutdown");
    assert_eq!(Arc::strong_count(&all), 1, "a task is left");
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_what_runs_and_leaves_nothing() {
    let failing = Arc::new(Failing);
    let (session, trunk) = spawn(builder(failing.clone()));
    let plugin = Peer::accept(Version::V0_8, trunk, vec![]).await.unwrap();
    let stop = async {
        sleep(Duration::from_millis(1)).await;
        session.shutdown().await
    };
    let (answer, end) = tokio::join!(plugin.event(Event::StartContainer, pod("a"), container("overrun")), stop);
    answer.unwrap();
    assert_eq!(end.unwrap(), End::Stopped);
    assert_eq!(session.shutdown().await.unwrap(), End::Stopped);
    assert_eq!(Arc::strong_count(&failing), 1, "a task is left");
    assert_eq!(plugin.event(Event::StartContainer, pod("a"), container("ok")).await, Err(Trouble::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_in_time_though_the_peer_is_not_there() {
    let (session, _trunk) = spawn(builder(Arc::new(All::default())));
    let began = Instant::now();
    assert_eq!(session.shutdown().await.unwrap(), End::Stopped);
    assert!(began.elapsed() <= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_when_the_runtime_has_read_the_last_answer() {
    for answers in [true, false] {
        let (session, mut trunk) = spawn(builder(Arc::new(All::default())));
        message(&mut trunk).await;
        let began = Instant::now();
        assert!(session.shutdown().now_or_never().is_none());
        // A call that no runtime has: what was sent before it has been read when it is answered.
        let (stream, last) = message(&mut trunk).await;
        let request = Request::decode(&last[..]).unwrap();
        assert_eq!((request.service.as_str(), request.method.as_str()), (RUNTIME_SERVICE, "Flush"));
        sleep(Duration::from_millis(100)).await;
        assert!(session.ended().now_or_never().is_none());
        if answers {
            let status = Some(Status::new(Code::Unimplemented, "there is no Flush"));
            answer(&mut trunk, stream, &Response { status, ..Response::default() }).await;
        }
        assert_eq!(session.ended().await.unwrap(), End::Stopped);
        assert_eq!(began.elapsed().as_millis(), if answers { 100 } else { 500 });
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_session_stops_it() {
    let all = Arc::new(All::default());
    let (session, trunk) = spawn(builder(all.clone()));
    let plugin = Peer::accept(Version::V0_8, trunk, vec![]).await.unwrap();
    drop(session);
    assert_eq!(plugin.event(Event::StartContainer, pod("a"), container("b")).await, Err(Trouble::Closed));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(Arc::strong_count(&all), 1, "a task is left");
}

#[tokio::test(start_paused = true)]
async fn a_trunk_that_breaks_is_an_error() {
    let (session, trunk) = spawn(builder(Arc::new(All::default())));
    let plugin = Peer::accept(Version::V0_8, trunk, vec![]).await.unwrap();
    plugin.trunk().frame(1, &vec![0; 20 << 20]).await;
    assert!(matches!(session.ended().await, Err(SessionError::Connection(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_written_as_a_whole_before_the_connection_is_closed() {
    let (near, far) = duplex(16);
    let session = builder(Arc::new(All::default())).events(EventMask::NONE).spawn(near).unwrap();
    assert!(matches!(Peer::configure(Version::V0_8, far, "").await, Err(Trouble::Status(_))));
    assert!(matches!(session.ended().await, Err(SessionError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_goes_when_it_is_refused_does_not_hide_why() {
    let (session, mut trunk) = spawn(builder(Arc::new(All::default())).events(EventMask::NONE));
    assert_ne!(trunk.read(&mut [0; 4096]).await.unwrap(), 0, "it registers");
    let request = Request { service: PLUGIN_SERVICE.to_owned(), method: "Configure".to_owned(), ..Request::default() }
        .encode_to_vec();
    let length = u32::try_from(request.len()).unwrap();
    let header = [1, length + 10, length, 1].map(u32::to_be_bytes).concat();
    trunk.write_all(&[&header[..], &[1, 0], &request].concat()).await.unwrap();
    trunk.shutdown().await.unwrap();
    assert!(matches!(session.ended().await, Err(SessionError::Refused(_))));
}
