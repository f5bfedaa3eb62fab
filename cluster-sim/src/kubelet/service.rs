//! From a request to a kubelet's answer: what goes wrong on purpose, who may ask, and what is told.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::header::{AUTHORIZATION, HeaderMap, USER_AGENT};
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::fault::{Cut, Effects};
use super::requests::{KubeletRequest, SUMMARY, Visit, Way};
use super::rights;
use crate::http::reply::{BodyError, BodyStream, JSON, Reply};
use crate::server::Server;

const TEXT: &str = "text/plain; charset=utf-8";
/// The pieces of a huge body.
const PIECE: usize = 64 * 1024;

/// A request to a kubelet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) node: &'a str,
    pub(crate) way: Way,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

impl Ask<'_> {
    fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Why a kubelet gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Nothing listens.
    Refused,
    /// The connection was reset.
    Reset,
}

/// What a kubelet answers; the node is there.
pub(crate) async fn answer(server: &Arc<Server>, ask: Ask<'_>) -> Result<Reply, Unanswered> {
    let core = &server.kubelets;
    let mut visit = core.requests.begin(KubeletRequest {
        at: Instant::now(),
        node: ask.node.to_owned(),
        way: ask.way,
        path: ask.path.to_owned(),
        query: ask.query.to_owned(),
        user_agent: ask.header(USER_AGENT).to_owned(),
        has_authorization: ask.headers.contains_key(AUTHORIZATION),
        forwarded_for: ask.header(super::proxy::FORWARDED_FOR).to_owned(),
        status: None,
    });
    if ask.way == Way::Proxy && core.is_down(ask.node) {
        return Err(Unanswered::Refused);
    }
    let effects = core.faults.strike(ask.node, ask.way, ask.path);
    if !effects.latency.is_zero() {
        tokio::time::sleep(effects.latency).await;
    }
    if effects.refuse {
        return Err(Unanswered::Refused);
    }
    if effects.hang {
        visit.record(None);
        return std::future::pending().await;
    }
    if effects.reset {
        return Err(Unanswered::Reset);
    }
    let (status, content_type, body) = match effects.status {
        Some(status) => (status, TEXT, plain(status)),
        None => match rights::check(server, &ask) {
            Ok(()) => face(server, &ask, &effects),
            Err((status, why)) => (status, TEXT, Bytes::from(why)),
        },
    };
    let body = effects.body.clone().unwrap_or(body);
    visit.record(Some(status.as_u16()));
    let mut reply = Reply::live(sent(body, &effects, visit));
    (reply.status, reply.content_type) = (status, content_type);
    Ok(reply)
}

/// The line of text that a kubelet has for a failure.
fn plain(status: StatusCode) -> Bytes {
    match status {
        StatusCode::UNAUTHORIZED => Bytes::from_static(b"Unauthorized"),
        StatusCode::FORBIDDEN => Bytes::from_static(b"Forbidden"),
        StatusCode::NOT_FOUND => Bytes::from_static(b"404 page not found\n"),
        other => Bytes::from(format!("{}\n", other.canonical_reason().unwrap_or("an injected failure"))),
    }
}

fn face(server: &Arc<Server>, ask: &Ask<'_>, effects: &Effects) -> (StatusCode, &'static str, Bytes) {
    let failed = |status| (status, TEXT, plain(status));
    let told = |content_type, body| (StatusCode::OK, content_type, body);
    let answer = match ask.path {
        SUMMARY => {
            let light = form_urlencoded::parse(ask.query.as_bytes())
                .any(|(name, value)| name == "only_cpu_and_memory" && matches!(&*value, "true" | "1"));
            server.kubelets.summary(server, ask.node, light, effects).map(|body| told(JSON, body))
        }
        "/healthz" => Some(told(TEXT, Bytes::from_static(b"ok"))),
        "/pods" => Some(told(JSON, server.kubelets.pods(server, ask.node))),
        _ => None,
    };
    match answer {
        Some(_) if !matches!(*ask.method, Method::GET | Method::HEAD) => failed(StatusCode::METHOD_NOT_ALLOWED),
        Some(answer) => answer,
        None => failed(StatusCode::NOT_FOUND),
    }
}

/// The body on its way to the client.
fn sent(body: Bytes, effects: &Effects, visit: Visit) -> BodyStream {
    let padding = effects.padding;
    let (end, body) = match effects.cut {
        None => (None, body),
        Some(cut) => (Some(cut), body.slice(..body.len() / 2)),
    };
    let spaces = (0..padding.div_ceil(PIECE as u64)).map(move |nth| {
        let left = padding - nth * PIECE as u64;
        SPACES.slice(..usize::try_from(left).unwrap_or(PIECE).min(PIECE))
    });
    let pieces = spaces.chain([body]).filter(|piece| !piece.is_empty());
    let pieces = match effects.trickle {
        None => stream::iter(pieces.map(Ok)).boxed(),
        Some((bytes, interval)) => {
            let small = pieces.flat_map(move |piece| {
                (0..piece.len()).step_by(bytes).map(move |at| piece.slice(at..piece.len().min(at + bytes)))
            });
            stream::iter(small)
                .then(move |piece| async move {
                    tokio::time::sleep(interval).await;
                    Ok(piece)
                })
                .boxed()
        }
    };
    let end = stream::iter((end == Some(Cut::Short)).then_some(())).then(|()| async {
        // The connection writes what it has when the body makes it wait; only then is there something to cut.
        tokio::task::yield_now().await;
        Err(BodyError)
    });
    let whole = pieces.chain(end);
    // It is under way as long as its body is.
    whole
        .map(move |piece| {
            let _ = &visit;
            piece
        })
        .boxed()
}

static SPACES: Bytes = Bytes::from_static(&[b' '; PIECE]);
