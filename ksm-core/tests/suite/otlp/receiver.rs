//! A receiver on loopback that answers as it is told.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use super::support::PATIENCE;

/// What a request is answered by.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Http {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Status 200, a body, and trailers, as gRPC has them.
    Trailers {
        body: Vec<u8>,
        trailers: Vec<(&'static str, String)>,
    },
    /// The connection is closed without a word.
    Reset,
    Hang,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Http { status, headers: Vec::new(), body: Vec::new() }
    }
}

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Debug)]
struct Script {
    /// The last one goes on for ever.
    replies: Mutex<Vec<Reply>>,
    received: UnboundedSender<Received>,
}

/// How connections are spoken to.
#[derive(Clone)]
pub(crate) enum Wire {
    Http1,
    Http2,
    Tls(TlsAcceptor),
}

pub(crate) struct Receiver {
    pub(crate) address: String,
    pub(crate) received: UnboundedReceiver<Received>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    pub(crate) async fn start(wire: Wire, replies: &[Reply]) -> Self {
        let (sender, received) = unbounded_channel();
        let script = Arc::new(Script { replies: Mutex::new(replies.to_vec()), received: sender });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, wire.clone(), script.clone()));
            }
        });
        Self { address, received, server }
    }

    pub(crate) async fn next(&mut self) -> Received {
        timeout(PATIENCE, self.received.recv()).await.expect("in time").expect("a request")
    }
}

async fn serve(stream: tokio::net::TcpStream, wire: Wire, script: Arc<Script>) {
    let service = service_fn(move |request| answer(request, script.clone()));
    let http1 = hyper::server::conn::http1::Builder::new();
    // Faults are what this is for.
    let _ = match wire {
        Wire::Http1 => http1.serve_connection(TokioIo::new(stream), service).await,
        Wire::Http2 => {
            let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            http2.serve_connection(TokioIo::new(stream), service).await
        }
        Wire::Tls(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            http1.serve_connection(TokioIo::new(stream), service).await
        }
    };
}

type Answer = Result<Response<BoxBody<Bytes, Infallible>>, std::io::Error>;

async fn answer(request: Request<Incoming>, script: Arc<Script>) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let path = head.uri.path_and_query().unwrap().to_string();
    let _ = script.received.send(Received { at: Instant::now(), path, headers: head.headers, body });
    let reply = {
        let mut replies = script.replies.lock();
        if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() }
    };
    match reply {
        Reply::Http { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::from(body).boxed()).unwrap())
        }
        Reply::Trailers { body, trailers } => {
            let trailers: HeaderMap =
                trailers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let frames = [Ok(Frame::data(Bytes::from(body))), Ok(Frame::trailers(trailers))];
            let body = StreamBody::new(futures::stream::iter(frames)).boxed();
            Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
        }
        Reply::Reset => Err(std::io::Error::other("on purpose")),
        Reply::Hang => futures::future::pending().await,
    }
}
