//! Calls → messages on a trunk → answers. Time is paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nri_plugin::api::{ContainerEviction, Empty};
use nri_plugin::mux::{self, Mux, MuxError};
use nri_plugin::ttrpc::{
    Call, CallError, CallOptions, Client, Code, Config, KeyValue, Request, Service, Status, serve,
};
use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Does what the method says; the message is any with a text.
#[derive(Default)]
struct Doer {
    begun: Mutex<Vec<String>>,
    running: AtomicUsize,
    dropped: AtomicUsize,
    calls: Mutex<Vec<Call>>,
}

/// Counts what is dropped.
struct Running<'a>(&'a Doer);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Service for Doer {
    async fn call(&self, call: Call) -> Result<Bytes, Status> {
        self.calls.lock().push(call.clone());
        let message = ContainerEviction::decode(call.payload).unwrap();
        self.begun.lock().push(message.reason);
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(self);
        match call.method.as_str() {
            "Nothing" => Ok(Bytes::new()),
            "Long" => Ok(text(&"x".repeat(5_000_000)).encode_to_vec().into()),
            "Wait" => {
                sleep(Duration::from_secs(1)).await;
                Ok(Bytes::new())
            }
            "Panic" => panic!("as was wanted"),
            other => Err(Status::new(Code::Unimplemented, format!("no method {other}"))),
        }
    }
}

fn text(reason: &str) -> ContainerEviction {
    ContainerEviction { container_id: String::new(), reason: reason.to_owned() }
}

struct Pair {
    client: Client,
    doer: Arc<Doer>,
    server: JoinHandle<MuxError>,
    stop: CancellationToken,
    near: Mux,
    _far: Mux,
}

fn pair(client: Config, server: Config) -> Pair {
    let (near, far) = duplex(1 << 16);
    let (near, [calling]) = Mux::start(near, mux::Config::default(), [1]).unwrap();
    let (far, [serving]) = Mux::start(far, mux::Config::default(), [1]).unwrap();
    let doer = Arc::new(Doer::default());
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(serving, doer.clone(), server, stop.clone()));
    Pair { client: Client::new(calling, client), doer, server, stop, near, _far: far }
}

async fn call(client: &Client, method: &str, reason: &str) -> Result<ContainerEviction, CallError> {
    client.call("test.Doer", method, &text(reason), CallOptions::default()).await
}

#[track_caller]
fn status(answer: Result<ContainerEviction, CallError>) -> Status {
    match answer {
        Err(CallError::Status(status)) => status,
        other => panic!("no status: {other:?}"),
    }
}

/// A client and the raw other end of its trunk.
fn raw() -> (Mux, Client, DuplexStream) {
    let (near, far) = duplex(1 << 16);
    let (mux, [connection]) = Mux::start(near, mux::Config::default(), [1]).unwrap();
    (mux, Client::new(connection, Config::default()), far)
}

/// The stream, type, flags and data of a message in one frame.
async fn read(far: &mut DuplexStream) -> (u32, u8, u8, Vec<u8>) {
    assert_eq!(far.read_u32().await.unwrap(), 1);
    let frame = far.read_u32().await.unwrap();
    let length = far.read_u32().await.unwrap();
    assert_eq!(frame, length + 10);
    let (stream, kind, flags) =
        (far.read_u32().await.unwrap(), far.read_u8().await.unwrap(), far.read_u8().await.unwrap());
    let mut data = vec![0; length as usize];
    far.read_exact(&mut data).await.unwrap();
    (stream, kind, flags, data)
}

async fn write(far: &mut DuplexStream, stream: u32, kind: u8, data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap();
    let header = [1, length + 10, length, stream].map(u32::to_be_bytes).concat();
    far.write_all(&[&header[..], &[kind, 0], data].concat()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_odd_and_increase_on_the_wire_whoever_calls() {
    const CALLS: u32 = 1000;
    let (_mux, client, mut far) = raw();
    for _ in 0..CALLS {
        let client = client.clone();
        tokio::spawn(async move { call(&client, "Nothing", "").await });
    }
    for expected in 0..CALLS {
        let (stream, kind, flags, _) = read(&mut far).await;
        assert_eq!((stream, kind, flags), (2 * expected + 1, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_tells_what_is_called_for_how_long_and_what_comes_along() {
    let (_mux, client, mut far) = raw();
    let metadata = vec![KeyValue { key: "containerd-namespace-ttrpc".to_owned(), value: "k8s.io".to_owned() }];
    let options = CallOptions { timeout: Some(Duration::from_secs(2)), metadata: metadata.clone() };
    let calling = tokio::spawn(async move { client.call::<Empty>("a.B", "C", &text("d"), options).await });
    let (stream, _, _, data) = read(&mut far).await;
    let payload = text("d").encode_to_vec().into();
    let expected =
        Request { service: "a.B".to_owned(), method: "C".to_owned(), payload, timeout_nano: 2_000_000_000, metadata };
    assert_eq!(Request::decode(&data[..]).unwrap(), expected);
    write(&mut far, stream, 2, b"").await;
    calling.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_gets_the_deadline_and_the_metadata() {
    let pair = pair(Config::default(), Config::default());
    let metadata = vec![KeyValue { key: "k".to_owned(), value: "v".to_owned() }];
    let options = CallOptions { timeout: Some(Duration::from_secs(2)), metadata: metadata.clone() };
    let deadline = Instant::now() + Duration::from_secs(2);
    let _: Empty = pair.client.call("test.Doer", "Nothing", &text(""), options).await.unwrap();
    let call = pair.doer.calls.lock().pop().unwrap();
    assert_eq!((call.service.as_str(), call.deadline, call.metadata), ("test.Doer", Some(deadline), metadata));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_is_refused_with_both_lengths_and_nothing_else_is_lost() {
    let Pair { client, .. } = &pair(Config::default(), Config::default());
    let refused = call(client, "Nothing", &"x".repeat(5_000_000)).await;
    assert!(matches!(refused, Err(CallError::RequestTooLarge { length: 5_000_030, limit: 4_194_304 })), "{refused:?}");
    let refused = status(call(client, "Long", "").await);
    assert!(
        refused.is(Code::ResourceExhausted)
            && refused.message.contains("5000010")
            && refused.message.contains("4194304"),
        "{refused}"
    );

    // What the peer should not have sent.
    let long = Config { max_send: 6_000_000, ..Config::default() };
    let short = Config { max_receive: 1000, ..Config::default() };
    let Pair { client, doer, .. } = &pair(long.clone(), short.clone());
    let refused = status(call(client, "Nothing", &"x".repeat(5_000_000)).await);
    assert!(refused.is(Code::ResourceExhausted) && refused.message.contains("1000"), "{refused}");
    assert_eq!(doer.begun.lock().len(), 0);
    call(client, "Nothing", "").await.unwrap();

    let Pair { client, .. } = &pair(short, long);
    let refused = call(client, "Long", "").await;
    assert!(matches!(refused, Err(CallError::ResponseTooLarge { length: 5_000_000.., limit: 1000 })), "{refused:?}");
    call(client, "Nothing", "").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_beyond_4_mib_is_taken_where_the_limit_allows_it() {
    let long = Config { max_send: 16 << 20, ..Config::default() };
    let Pair { client, doer, .. } = &pair(long, Config::default());
    call(client, "Nothing", &"x".repeat(6_019_235)).await.unwrap();
    assert_eq!(doer.begun.lock()[0].len(), 6_019_235);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_at_both_ends_and_a_late_answer_harms_nobody() {
    let (_mux, client, mut far) = raw();
    let began = Instant::now();
    let options = CallOptions { timeout: Some(Duration::from_millis(700)), ..CallOptions::default() };
    let answer = client.call::<Empty>("a.B", "C", &text(""), options).await;
    assert!(matches!(answer, Err(CallError::DeadlineExceeded(limit)) if limit == began.elapsed()));
    assert_eq!(began.elapsed(), Duration::from_millis(700));
    let late = read(&mut far).await.0;
    write(&mut far, late, 2, b"").await;
    write(&mut far, 77, 2, b"").await;
    write(&mut far, 3, 1, b"").await;
    let calling =
        tokio::spawn(async move { client.call::<Empty>("a.B", "C", &text(""), CallOptions::default()).await });
    let stream = read(&mut far).await.0;
    write(&mut far, stream, 2, b"").await;
    calling.await.unwrap().unwrap();

    // A server whose caller did not wait for as long as the handler needs.
    let request = Request { method: "Wait".to_owned(), timeout_nano: 500_000_000, ..Request::default() };
    let (near, mut far) = duplex(1 << 16);
    let (_mux, [serving]) = Mux::start(near, mux::Config::default(), [1]).unwrap();
    let doer = Arc::new(Doer::default());
    tokio::spawn(serve(serving, doer.clone(), Config::default(), CancellationToken::new()));
    let began = Instant::now();
    write(&mut far, 1, 1, &request.encode_to_vec()).await;
    let (_, kind, _, data) = read(&mut far).await;
    let answer = nri_plugin::ttrpc::Response::decode(&data[..]).unwrap();
    assert!(kind == 2 && answer.status.unwrap().is(Code::DeadlineExceeded));
    assert_eq!((began.elapsed(), doer.dropped.load(Ordering::SeqCst)), (Duration::from_millis(500), 1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_nobody_along() {
    let Pair { client, .. } = &pair(Config::default(), Config::default());
    assert!(timeout(Duration::from_millis(1), call(client, "Wait", "")).await.is_err());
    call(client, "Wait", "").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_begin_in_the_order_of_the_calls() {
    let (near, mut far) = duplex(1 << 16);
    let (_mux, [serving]) = Mux::start(near, mux::Config::default(), [1]).unwrap();
    let doer = Arc::new(Doer::default());
    tokio::spawn(serve(
        serving,
        doer.clone(),
        Config { concurrency: 1000, ..Config::default() },
        CancellationToken::new(),
    ));
    for i in 0..500_u32 {
        let payload = text(&i.to_string()).encode_to_vec().into();
        let request = Request { method: "Wait".to_owned(), payload, ..Request::default() };
        write(&mut far, 2 * i + 1, 1, &request.encode_to_vec()).await;
    }
    read(&mut far).await;
    assert_eq!(*doer.begun.lock(), (0..500).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn no_more_handlers_run_than_are_allowed() {
    let Pair { client, doer, .. } = &pair(Config::default(), Config { concurrency: 3, ..Config::default() });
    let calls = (0..10).map(|_| call(client, "Wait", ""));
    let most = async {
        let mut most = 0;
        for _ in 0..50 {
            sleep(Duration::from_millis(99)).await;
            most = most.max(doer.running.load(Ordering::SeqCst));
        }
        most
    };
    let began = Instant::now();
    let done = async {
        futures::future::join_all(calls).await;
        began.elapsed()
    };
    assert_eq!(tokio::join!(most, done), (3, Duration::from_secs(4)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_an_unknown_method_are_answers() {
    let Pair { client, .. } = &pair(Config::default(), Config::default());
    assert!(status(call(client, "Panic", "").await).is(Code::Internal));
    assert!(status(call(client, "Other", "").await).is(Code::Unimplemented));
    call(client, "Nothing", "").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_can_not_be_read_is_answered() {
    let (near, mut far) = duplex(1 << 16);
    let (_mux, [serving]) = Mux::start(near, mux::Config::default(), [1]).unwrap();
    tokio::spawn(serve(serving, Arc::new(Doer::default()), Config::default(), CancellationToken::new()));
    write(&mut far, 5, 1, &[0xff; 20]).await;
    let (stream, _, _, data) = read(&mut far).await;
    let answer = nri_plugin::ttrpc::Response::decode(&data[..]).unwrap();
    assert!(stream == 5 && answer.status.unwrap().is(Code::InvalidArgument));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_ends_calls_and_handlers() {
    let Pair { client, doer, server, near, _far, .. } = pair(Config::default(), Config::default());
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { call(&client, "Wait", "").await }
    });
    sleep(Duration::from_millis(1)).await;
    drop(near);
    assert!(matches!(waiting.await.unwrap(), Err(CallError::Connection(MuxError::Closed))));
    assert!(matches!(call(&client, "Nothing", "").await, Err(CallError::Connection(MuxError::Closed))));
    assert!(matches!(server.await.unwrap(), MuxError::PeerClosed));
    tokio::task::yield_now().await;
    assert_eq!(doer.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_answers_the_calls_that_go_on_and_takes_no_more() {
    let Pair { client, server, stop, near: _near, _far, .. } = pair(Config::default(), Config::default());
    let late = client.clone();
    let stopping = async {
        sleep(Duration::from_millis(1)).await;
        stop.cancel();
        sleep(Duration::from_millis(1)).await;
        timeout(Duration::from_secs(9), call(&late, "Nothing", "")).await
    };
    let (answer, late) = tokio::join!(call(&client, "Wait", ""), stopping);
    answer.unwrap();
    assert!(matches!(server.await.unwrap(), MuxError::Closed));
    assert!(late.is_err());
}
