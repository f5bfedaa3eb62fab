//! A small HTTP/1.1 server: axum's router, with deadlines, a bound on connections, TLS, and a graceful end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::connection::{Answer, Progress, Watched};
use crate::tls::Web;

/// Connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;

/// How long answers that have begun may take once the program is asked to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Pause after a connection could not be accepted, for want of file descriptors most likely.
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);

/// How long a connection may stay in a phase before it is closed. The defaults are kube-state-metrics'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a request's head to come in.
    pub read_header: Duration,
    /// For an answer to be made and taken.
    pub write: Duration,
    /// Between two requests.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { read_header: Duration::from_secs(5), write: Duration::from_mins(1), idle: Duration::from_mins(5) }
    }
}

/// Listens on a host's name or address and a port; 0 is any that is free.
pub async fn listen(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    TcpListener::bind((host, port)).await.with_context(|| format!("can't listen on {host} port {port}"))
}

/// Listens on the port that is named; where none is, on the usual one, or on any that is free if that is taken: nobody
/// asked for it.
pub async fn listen_or_any(host: &str, named: Option<u16>, usual: u16) -> anyhow::Result<TcpListener> {
    match (named, listen(host, named.unwrap_or(usual)).await) {
        (_, Ok(listener)) => Ok(listener),
        (Some(_), Err(error)) => Err(error.context("choose another --host or --port")),
        (None, Err(_)) => listen(host, 0).await.context("choose another --host"),
    }
}

/// The URL of a listener, as a browser takes it.
pub fn url_of(listener: &TcpListener) -> anyhow::Result<String> {
    let address = listener.local_addr()?;
    Ok(if address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    })
}

/// Serves until `stop`; then answers that have begun may end, within ten seconds.
pub async fn serve(listener: TcpListener, app: Router, timeouts: Timeouts, stop: CancellationToken) {
    serve_with(listener, app, timeouts, None, stop).await;
}

/// The same, by a web configuration: its TLS, passwords and headers, as they are when a connection or request comes.
pub async fn serve_with(
    listener: TcpListener,
    app: Router,
    timeouts: Timeouts,
    web: Option<Arc<Web>>,
    stop: CancellationToken,
) {
    let app = match &web {
        Some(web) => app.layer(from_fn_with_state(web.clone(), guard)),
        None => app,
    };
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let abandon = CancellationToken::new();
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let Some((accepted, place)) = stop.run_until_cancelled(accepted).await else { break };
        match accepted {
            Ok((stream, _)) => {
                let (app, stop, abandon) = (app.clone(), stop.clone(), abandon.clone());
                let tls = web.as_ref().and_then(|web| web.tls());
                connections.spawn(async move {
                    let _place = place;
                    abandon.run_until_cancelled(accept(stream, tls, app, timeouts, stop)).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(AFTER_ACCEPT_ERROR).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if timeout(DRAIN, connections.wait()).await.is_err() {
        abandon.cancel();
        connections.wait().await;
    }
}

/// What a web configuration asks of every request, and adds to every answer.
async fn guard(State(web): State<Arc<Web>>, request: axum::extract::Request, next: Next) -> Response {
    if let Some(passwords) = web.passwords()
        && !passwords.admit(request.headers()).await
    {
        let told = "give the user and password of this server\n";
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic")], told).into_response();
    }
    let mut response = next.run(request).await;
    response.headers_mut().extend(web.headers());
    response
}

async fn accept(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    app: Router,
    timeouts: Timeouts,
    stop: CancellationToken,
) {
    // Answers go out in whole blocks; the last one should not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return connection(stream, app, timeouts, stop).await };
    let handshake = timeout(timeouts.read_header, TlsAcceptor::from(tls).accept(stream));
    match stop.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => connection(stream, app, timeouts, stop).await,
        Some(Ok(Err(error))) => tracing::debug!(%error, "no TLS handshake"),
        Some(Err(_)) => tracing::debug!("no TLS handshake: the client takes too long"),
        None => {}
    }
}

async fn connection<S>(stream: S, app: Router, timeouts: Timeouts, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let progress = Progress::new();
    let answer = |request: Request<Incoming>| {
        progress.answering();
        let (app, progress) = (app.clone(), progress.clone());
        async move {
            let response = app.oneshot(request.map(Body::new)).await?;
            Ok::<_, Infallible>(response.map(|body| Answer::new(body, progress)))
        }
    };
    let io = TokioIo::new(Watched { stream, progress: progress.clone() });
    // The deadlines are ours: hyper's own for heads would close connections between two scrapes too.
    let mut connection = pin!(http1::Builder::new().header_read_timeout(None).serve_connection(io, service_fn(answer)));
    let mut overdue = pin!(progress.overdue(timeouts));
    let mut stopping = false;
    loop {
        tokio::select! {
            // What the client did in time comes before what is overdue.
            biased;
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = &mut overdue => return tracing::debug!("connection closed: the client takes too long"),
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
