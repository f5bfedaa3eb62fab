//! Slow, silent and late clients → what becomes of their connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use example_host::server::{Timeouts, listen, serve, url_of};
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Only a hang gets there.
const PATIENCE: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_hours(1);
const GET: &[u8] = b"GET /small HTTP/1.1\r\nhost: x\r\n\r\n";
/// More than any socket takes without a reader.
const HUGE: usize = 256 << 20;

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(timeouts: Timeouts) -> Served {
    let huge = || async {
        let block = Bytes::from(vec![b'x'; 1 << 20]);
        Body::from_stream(stream::iter((0..HUGE >> 20).map(move |_| Ok::<_, Infallible>(block.clone()))))
    };
    let app = Router::new().route("/small", get(async || "small")).route("/huge", get(huge));
    let listener = listen("127.0.0.1", 0).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task = tokio::spawn(serve(listener, app, timeouts, stop.clone()));
    Served { address, stop, task }
}

async fn connect(served: &Served) -> TcpStream {
    TcpStream::connect(served.address).await.unwrap()
}

/// All that comes until the server closes.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server closes");
    bytes
}

async fn read_answer(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"small") {
        let read = timeout(PATIENCE, stream.read_buf(&mut bytes)).await.expect("it answers").unwrap();
        assert!(read > 0, "it closed instead of answering");
    }
}

#[tokio::test]
async fn half_a_head_is_not_waited_for() {
    let served = start(Timeouts { read_header: SHORT, write: LONG, idle: LONG }).await;
    let mut stream = connect(&served).await;
    stream.write_all(b"GET /small HT").await.unwrap();
    assert!(read_to_end(&mut stream).await.is_empty());
}

#[tokio::test]
async fn a_pause_between_requests_is_no_slow_head() {
    let served = start(Timeouts { read_header: SHORT, write: LONG, idle: LONG }).await;
    let mut stream = connect(&served).await;
    for _ in 0..2 {
        // Longer than a head may take, which must not count here.
        sleep(2 * SHORT).await;
        stream.write_all(GET).await.unwrap();
        read_answer(&mut stream).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let served = start(Timeouts { read_header: LONG, write: LONG, idle: SHORT }).await;
    let mut stream = connect(&served).await;
    stream.write_all(GET).await.unwrap();
    read_answer(&mut stream).await;
    assert!(read_to_end(&mut stream).await.is_empty());
}

#[tokio::test]
async fn who_does_not_read_is_not_waited_for() {
    let served = start(Timeouts { read_header: LONG, write: SHORT, idle: LONG }).await;
    let mut stream = connect(&served).await;
    stream.write_all(b"GET /huge HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // The end of the test's wait is the server's doing: it would wait for an hour otherwise.
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    sleep(3 * SHORT).await;
    assert!(read_to_end(&mut stream).await.len() < HUGE);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_finished_when_the_server_stops() {
    let served = start(Timeouts::default()).await;
    let (mut busy, mut idle) = (connect(&served).await, connect(&served).await);
    idle.write_all(GET).await.unwrap();
    read_answer(&mut idle).await;
    busy.write_all(b"GET /huge HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 1];
    busy.read_exact(&mut first).await.unwrap();
    served.stop.cancel();
    assert!(read_to_end(&mut idle).await.is_empty(), "nothing holds an idle connection");
    let rest = read_to_end(&mut busy).await;
    assert!(rest.len() > HUGE && rest.ends_with(b"0\r\n\r\n"), "{} bytes", rest.len());
    timeout(PATIENCE, served.task).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "it listens no more");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = listen("127.0.0.1", 0).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = listen("127.0.0.1", port).await.unwrap_err();
    assert!(format!("{error:#}").starts_with(&format!("can't listen on 127.0.0.1 port {port}: ")), "{error:#}");
    assert_eq!(url_of(&taken).unwrap(), format!("http://127.0.0.1:{port}"));
}
