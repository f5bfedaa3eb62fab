//! Connections in, answers out.

pub(crate) mod connection;
pub(crate) mod doors;
pub(crate) mod memory;
pub(crate) mod reply;
pub(crate) mod speech;

use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming as Received;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::status::Status;
use crate::api::{Incoming, Outcome, handle};
use crate::fault::body::spoil;
use crate::server::Server;
use connection::{Abort, Connection, Wire};
use reply::{HttpBody, Reply};
use speech::Speech;

/// The largest request body, as upstream.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// The connections of a server, which a restart drops all at once.
#[derive(Debug)]
pub(crate) struct Connections {
    tracker: TaskTracker,
    /// Cancelled at the end.
    stop: CancellationToken,
    /// Cancelled, and replaced, at each restart.
    generation: Mutex<CancellationToken>,
}

impl Connections {
    pub(crate) fn new(tracker: TaskTracker, stop: CancellationToken) -> Self {
        let generation = Mutex::new(stop.child_token());
        Self { tracker, stop, generation }
    }

    /// Reset every connection.
    pub(crate) fn drop_all(&self) {
        let mut generation = self.generation.lock();
        generation.cancel();
        *generation = self.stop.child_token();
    }

    /// Serve a connection until it ends, or is reset through `abort` or with all others.
    pub(crate) fn begin(&self, service: Arc<impl Service>, stream: impl Wire, abort: Arc<Abort>) {
        let end = self.generation.lock().clone();
        self.tracker.spawn(connection(service, stream, abort, end));
    }

    /// Do what comes before a connection is served, until it is done or all connections are reset.
    #[cfg(feature = "tls")]
    pub(crate) fn prepare(&self, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.generation.lock().clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = task => {}
                () = end.cancelled() => {}
            }
        });
    }
}

/// What answers the requests that a listener accepts.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answer one request; an error, or `abort`, ends its connection.
    fn answer(
        self: Arc<Self>,
        request: Request<Received>,
        abort: Arc<Abort>,
    ) -> impl Future<Output = io::Result<Response<HttpBody>>> + Send;
}

/// Accept connections until stopped, and serve them.
pub(crate) async fn serve(
    service: Arc<impl Service>,
    speech: Speech,
    listener: TcpListener,
    connections: Arc<Connections>,
) {
    accept(listener, &connections, |stream| speech.begin(&service, stream, &connections)).await;
}

/// Accept connections until stopped.
pub(crate) async fn accept(listener: TcpListener, connections: &Connections, begin: impl Fn(TcpStream)) {
    loop {
        let accepted = tokio::select! {
            () = connections.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Events are small and late ones are wrong ones.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot switch off Nagle's algorithm");
                }
                begin(stream);
            }
            Err(error) => {
                // Out of descriptors, mostly: give connections the time to end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(service: Arc<impl Service>, stream: impl Wire, abort: Arc<Abort>, end: CancellationToken) {
    let io = TokioIo::new(Connection::new(stream, Arc::clone(&abort), end.clone()));
    let service = service_fn(|request| Arc::clone(&service).answer(request, Arc::clone(&abort)));
    // Pinned here, it is dropped, and its socket closed, after the switch below.
    let mut http = pin!(http1::Builder::new().serve_connection(io, service));
    tokio::select! {
        result = &mut http => if let Err(error) = result {
            tracing::debug!(%error, "a connection ended early");
        },
        () = end.cancelled() => {}
    }
    // The client's end of a pipe knows the switch alone.
    if end.is_cancelled() {
        abort.reset();
    }
}

impl Service for Server {
    async fn answer(self: Arc<Self>, request: Request<Received>, abort: Arc<Abort>) -> io::Result<Response<HttpBody>> {
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let gzip = head
            .headers
            .get(http::header::ACCEPT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|accepted| accepted.split(',').any(|coding| coding.trim().starts_with("gzip")));
        let body = read(body).await;
        let incoming = Incoming { method: head.method, uri: head.uri, headers: head.headers, body };
        match handle(&self, incoming).await {
            Outcome::Reset => {
                abort.reset();
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Outcome::Answer(reply, effects) => {
                let fault = effects.body;
                let reply = if is_head { Reply::new(reply.status, reply.content_type, Bytes::new()) } else { reply };
                let spoils = fault.any().then_some(move |body| spoil(body, fault, &abort));
                Ok(reply.into_http(gzip, spoils))
            }
        }
    }
}

async fn read(body: Received) -> Result<Bytes, Status> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Status::too_large(BODY_LIMIT)),
        Err(error) => Err(Status::bad_request(format!("the body of the request could not be read: {error}"))),
    }
}
