//! What runtimes do with peers that this library would not be: messages and frames written by hand.

use std::sync::Arc;

use nri_plugin::api::{
    ConfigureResponse, Empty, Event, EventMask, PLUGIN_SERVICE, RUNTIME_SERVICE, RegisterPluginRequest,
    SynchronizeResponse, UpdateContainersRequest,
};
use nri_plugin::mux::{self, Mux, MuxError};
use nri_plugin::ttrpc::{self, Call, CallError, CallOptions, Client, Code, Request, Response, Service, Status, serve};
use parking_lot::Mutex;
use prost::Message;
use prost::bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::driver::{Driver, Kind, SHORT, within};
use crate::plugins::{All, builder, container, env, join, pod};

fn registration(index: &str, name: &str) -> RegisterPluginRequest {
    RegisterPluginRequest {
        plugin_name: name.to_owned(),
        plugin_idx: index.to_owned(),
        ..RegisterPluginRequest::default()
    }
}

async fn trunk(runtime: &impl Driver) -> UnixStream {
    within(UnixStream::connect(runtime.socket())).await.unwrap()
}

pub(crate) async fn names_and_indices_are_those_that_an_identity_has(runtime: impl Driver) {
    let since_0_12 = runtime.kind().nri >= (0, 12);
    for (index, name, taken) in [
        ("10", "test", true),
        ("00", "a_B.9+x-", true),
        ("1", "test", false),
        ("100", "test", false),
        ("1a", "test", false),
        ("", "test", false),
        ("10", "", false),
        ("10", "a/b", !since_0_12),
    ] {
        let (_mux, [_serving, calling]) = Mux::start(trunk(&runtime).await, mux::Config::default(), [1, 2]).unwrap();
        let client = Client::new(calling, ttrpc::Config::default());
        let request = registration(index, name);
        let call = client.call(RUNTIME_SERVICE, "RegisterPlugin", &request, CallOptions::default());
        match within(call).await {
            Ok(Empty {}) => assert!(taken, "{index:?} {name:?}"),
            Err(CallError::Status(status)) => {
                assert!(!taken && status.is(Code::Unknown), "{index:?} {name:?}: {status}");
            }
            Err(error) => panic!("{index:?} {name:?}: {error}"),
        }
    }
    join(&runtime, builder("10", &Arc::new(All::default()))).await;
}

/// Whether the runtime closed the connection, be it between the header of a frame and the rest.
fn closed(end: &MuxError) -> bool {
    matches!(end, MuxError::PeerClosed | MuxError::Truncated { .. })
}

/// A plugin without a session.
struct ByHand<F> {
    events: i32,
    calls: Mutex<Vec<String>>,
    synchronized: watch::Sender<bool>,
    /// What becomes of the calls that a runtime makes besides; `None` is no answer.
    answer: F,
}

impl<F: Fn(&str) -> Option<Result<(), Status>> + Send + Sync + 'static> Service for ByHand<F> {
    async fn call(&self, call: Call) -> Result<Bytes, Status> {
        assert_eq!(call.service, PLUGIN_SERVICE);
        assert!(call.deadline.is_some(), "{} has no deadline", call.method);
        match call.method.as_str() {
            "Configure" => Ok(ConfigureResponse { events: self.events, failure_policy: None }.encode_to_vec().into()),
            "Synchronize" => {
                self.synchronized.send_replace(true);
                Ok(SynchronizeResponse::default().encode_to_vec().into())
            }
            method => {
                self.calls.lock().push(method.to_owned());
                match (self.answer)(method) {
                    Some(answer) => answer.map(|()| Bytes::new()),
                    None => std::future::pending().await,
                }
            }
        }
    }
}

impl<F: Fn(&str) -> Option<Result<(), Status>> + Send + Sync + 'static> ByHand<F> {
    fn new(events: i32, answer: F) -> Arc<Self> {
        Arc::new(Self { events, calls: Mutex::default(), synchronized: watch::Sender::default(), answer })
    }

    /// Registers, and serves until the end that is returned.
    async fn register(self: &Arc<Self>, runtime: &impl Driver) -> JoinHandle<MuxError> {
        let (mux, [serving, calling]) = Mux::start(trunk(runtime).await, mux::Config::default(), [1, 2]).unwrap();
        let service = self.clone();
        let served = tokio::spawn(async move {
            let _mux = mux;
            serve(serving, service, ttrpc::Config::default(), CancellationToken::new()).await
        });
        let client = Client::new(calling, ttrpc::Config::default());
        let request = registration("10", "by-hand");
        let call = client.call(RUNTIME_SERVICE, "RegisterPlugin", &request, CallOptions::default());
        match within(call).await {
            // The runtime may configure the plugin, and dislike what it answers, before its own answer is out.
            Ok(Empty {}) => served,
            Err(CallError::Connection(end)) if closed(&end) => served,
            Err(error) => panic!("{error}"),
        }
    }

    async fn synchronized(&self) {
        within(self.synchronized.subscribe().wait_for(|synchronized| *synchronized)).await.unwrap();
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock())
    }
}

pub(crate) async fn a_mask_beyond_the_known_events_ends_the_connection(mut runtime: impl Driver) {
    let known = runtime.kind().known().bits();
    let peer = ByHand::new(known | (known + 1), |_| Some(Ok(())));
    let end = within(peer.register(&runtime).await).await.unwrap();
    assert!(closed(&end), "{end:?}");
    assert!(!*peer.synchronized.borrow());

    // Nothing stands for all events.
    let peer = ByHand::new(0, |_| Some(Ok(())));
    let _served = peer.register(&runtime).await;
    peer.synchronized().await;
    runtime.create(pod("a"), container("b", "a")).await.unwrap();
    let validated = runtime.kind().known().contains(Event::ValidateContainerAdjustment);
    let validation = if validated { &["ValidateContainerAdjustment"][..] } else { &[] };
    assert_eq!(peer.take(), [&["CreateContainer"], validation].concat());
}

pub(crate) async fn events_without_a_call_of_their_own_fall_back(mut runtime: impl Driver) {
    let events = EventMask::of(Event::StartContainer).with(Event::RunPodSandbox);
    let peer = ByHand::new(events.bits(), |method| match method {
        "StateChange" => Some(Ok(())),
        other => Some(Err(Status::new(Code::Unimplemented, other))),
    });
    let _served = peer.register(&runtime).await;
    peer.synchronized().await;
    runtime.event(Event::StartContainer, pod("a"), container("b", "a")).await.unwrap();
    let own = if runtime.kind().nri >= (0, 12) { &["StartContainer"][..] } else { &[] };
    assert_eq!(peer.take(), [own, &["StateChange"]].concat());
    // For good, and with all events.
    runtime.event(Event::StartContainer, pod("a"), container("b", "a")).await.unwrap();
    runtime.event(Event::RunPodSandbox, pod("a"), container("", "")).await.unwrap();
    assert_eq!(peer.take(), ["StateChange", "StateChange"]);
}

pub(crate) async fn a_status_fails_the_pod_and_the_connection_stays(mut runtime: impl Driver) {
    let codes = [Code::NotFound, Code::DeadlineExceeded, Code::Internal, Code::Unavailable];
    for code in codes {
        let peer = ByHand::new(EventMask::of(Event::StartContainer).bits(), move |_| {
            Some(Err(Status::new(code, "not with me")))
        });
        let served = peer.register(&runtime).await;
        peer.synchronized().await;
        for _ in 0..2 {
            let failed = runtime.event(Event::StartContainer, pod("a"), container("b", "a")).await.unwrap_err();
            assert!(failed.contains("not with me"), "{code:?}: {failed}");
        }
        assert_eq!(peer.take().len(), 2, "{code:?}");
        served.abort();
    }
}

pub(crate) async fn no_validation_fails_the_container(mut runtime: impl Driver) {
    let kind = Kind { request: SHORT, ..runtime.kind() };
    runtime.restart(kind).await;
    let validate = EventMask::of(Event::ValidateContainerAdjustment);
    if !kind.known().contains(Event::ValidateContainerAdjustment) {
        return;
    }
    for answer in [None, Some(Err(Status::new(Code::Unknown, "no idea")))] {
        let peer = ByHand::new(validate.bits(), move |_| answer.clone());
        let _served = peer.register(&runtime).await;
        peer.synchronized().await;
        runtime.create(pod("a"), container("b", "a")).await.unwrap_err();
        assert_eq!(peer.take(), ["ValidateContainerAdjustment"]);
    }
}

pub(crate) async fn a_part_that_is_taken_for_the_whole_ends_the_connection(mut runtime: impl Driver) {
    let mut big = container("b", "a");
    big.env = vec!["x".repeat(100_000)];
    runtime.set_state(vec![pod("a"); 10], vec![big; 100]).await;
    let peer = ByHand::new(EventMask::of(Event::StartContainer).bits(), |_| Some(Ok(())));
    let end = within(peer.register(&runtime).await).await.unwrap();
    assert!(closed(&end), "{end:?}");
    peer.synchronized().await;
}

/// Writes frames and messages with no help.
struct Raw(UnixStream);

impl Raw {
    async fn new(runtime: &impl Driver) -> Self {
        Self(trunk(runtime).await)
    }

    async fn frame(&mut self, connection: u32, payload: &[u8]) {
        let header = [connection, u32::try_from(payload.len()).unwrap()].map(u32::to_be_bytes).concat();
        // A runtime that has hung up is noticed by what comes next.
        let _ = self.0.write_all(&[&header[..], payload].concat()).await;
    }

    fn message(stream: u32, kind: u8, data: &[u8]) -> Vec<u8> {
        let header = [u32::try_from(data.len()).unwrap(), stream].map(u32::to_be_bytes).concat();
        [&header[..], &[kind, 0], data].concat()
    }

    /// Calls the runtime's service, in one frame.
    async fn call(&mut self, stream: u32, method: &str, request: &impl Message) {
        let request = Request {
            service: RUNTIME_SERVICE.to_owned(),
            method: method.to_owned(),
            payload: request.encode_to_vec().into(),
            ..Request::default()
        };
        self.frame(2, &Self::message(stream, 1, &request.encode_to_vec())).await;
    }

    /// What comes next on a connection, with its stream: a message in one frame, as short ones are. `None` at the end.
    async fn next(&mut self, on: u32) -> Option<(u32, Vec<u8>)> {
        loop {
            let connection = self.0.read_u32().await.ok()?;
            let mut payload = vec![0; usize::try_from(self.0.read_u32().await.ok()?).unwrap()];
            self.0.read_exact(&mut payload).await.ok()?;
            if connection == on {
                return Some((u32::from_be_bytes(payload[4..8].try_into().unwrap()), payload.split_off(10)));
            }
        }
    }

    async fn status(&mut self, stream: u32) -> Status {
        let (answered, data) = within(self.next(2)).await.unwrap();
        assert_eq!(answered, stream);
        Response::decode(&data[..]).unwrap().status.unwrap_or_default()
    }
}

pub(crate) async fn no_answer_in_time_ends_the_connection_and_not_the_pod(mut runtime: impl Driver) {
    runtime.restart(Kind { request: SHORT, ..runtime.kind() }).await;
    let mut raw = Raw::new(&runtime).await;
    raw.call(1, "RegisterPlugin", &registration("10", "raw")).await;
    let configured =
        ConfigureResponse { events: EventMask::of(Event::CreateContainer).bits(), ..ConfigureResponse::default() };
    for answer in [configured.encode_to_vec(), SynchronizeResponse::default().encode_to_vec()] {
        let (stream, _) = within(raw.next(1)).await.unwrap();
        let response = Response { status: None, payload: answer.into() };
        raw.frame(1, &Raw::message(stream, 2, &response.encode_to_vec())).await;
    }
    // Joined, as far as the runtime has read the answer; it takes no event before that.
    let (adjustment, _) = runtime.create(pod("a"), container("b", "a")).await.unwrap();
    assert_eq!(env(&adjustment), []);
    assert!(within(raw.next(1)).await.is_some());
    assert!(within(raw.next(1)).await.is_none());
}

pub(crate) async fn frames_for_nobody_are_dropped(runtime: impl Driver) {
    let mut raw = Raw::new(&runtime).await;
    for (connection, payload) in [(0, &b"reserved"[..]), (7, b"nobody's"), (1, b""), (2, b"")] {
        raw.frame(connection, payload).await;
    }
    raw.call(1, "RegisterPlugin", &registration("10", "raw")).await;
    assert!(raw.status(1).await.is(Code::Ok));
}

pub(crate) async fn streams_out_of_order_are_refused(runtime: impl Driver) {
    let mut raw = Raw::new(&runtime).await;
    raw.call(1, "RegisterPlugin", &registration("10", "raw")).await;
    assert!(raw.status(1).await.is(Code::Ok));
    for (stream, code) in [
        (7, Code::Ok),
        (5, Code::InvalidArgument),
        (7, Code::InvalidArgument),
        (8, Code::InvalidArgument),
        (9, Code::Ok),
    ] {
        raw.call(stream, "UpdateContainers", &UpdateContainersRequest::default()).await;
        let status = raw.status(stream).await;
        assert!(status.is(code), "{stream}: {status}");
    }
    raw.call(11, "Nothing", &Empty {}).await;
    assert!(raw.status(11).await.is(Code::Unimplemented));
}

pub(crate) async fn a_first_frame_that_is_too_long_ends_the_connection(runtime: impl Driver) {
    // What no message has makes it long.
    let configured =
        ConfigureResponse { events: EventMask::of(Event::StartContainer).bits(), ..ConfigureResponse::default() };
    let filled = |length: usize| {
        let long = vec![b'x'; length];
        let response = Response { payload: configured.encode_to_vec().into(), status: None };
        // Field 15, bytes.
        let mut field = vec![15 << 3 | 2];
        prost::encoding::encode_varint(length.try_into().unwrap(), &mut field);
        [response.encode_to_vec(), field, long].concat()
    };
    for (length, first, joins) in [(100, 4096, true), (5_000, 4_096, true), (5_000, 4_097, false), (5_000, 10, true)] {
        let mut raw = Raw::new(&runtime).await;
        raw.call(1, "RegisterPlugin", &registration("10", "raw")).await;
        let (stream, _) = within(raw.next(1)).await.unwrap();
        let message = Raw::message(stream, 2, &filled(length));
        let (first_frame, rest) = message.split_at(first.min(message.len()));
        raw.frame(1, first_frame).await;
        if !rest.is_empty() {
            raw.frame(1, rest).await;
        }
        // Synchronize, or the end.
        assert_eq!(within(raw.next(1)).await.is_some(), joins, "{length} {first}");
    }
}
