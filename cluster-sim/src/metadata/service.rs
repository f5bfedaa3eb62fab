//! From a request to its answer: what goes wrong on purpose, and else the face of the machine's cloud.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use parking_lot::RwLock;
use tokio::time::Instant;

use super::fault::{Cut, Rules};
use super::machine::{Machine, Provider};
use super::requests::{MetadataRequest, MetadataRequests};
use super::tokens::Tokens;
use super::wire::Ask;
use super::{aws, azure, gce};
use crate::http::Service;
use crate::http::connection::Abort;
use crate::http::reply::{BodyError, HttpBody};

/// What the connections of a metadata service share.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) machine: RwLock<Arc<Machine>>,
    pub(super) tokens: Tokens,
    pub(super) faults: Rules,
    pub(super) requests: MetadataRequests,
    pub(super) v1_allowed: AtomicBool,
    pub(super) hop_limit_too_low: AtomicBool,
    pub(super) disabled: AtomicBool,
}

impl Metadata {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine: RwLock::new(Arc::new(machine)),
            tokens: Tokens::default(),
            faults: Rules::default(),
            requests: MetadataRequests::default(),
            v1_allowed: AtomicBool::new(false),
            hop_limit_too_low: AtomicBool::new(false),
            disabled: AtomicBool::new(false),
        }
    }

    /// What the machine's cloud answers.
    fn face(&self, machine: &Machine, ask: Ask<'_>) -> Response<Bytes> {
        if self.disabled.load(Ordering::Relaxed) {
            return error(machine.provider, StatusCode::FORBIDDEN);
        }
        match machine.provider {
            Provider::Aws => aws::answer(ask, machine, &self.tokens, self.v1_allowed.load(Ordering::Relaxed)),
            Provider::Gce => gce::answer(ask, machine),
            Provider::Azure => azure::answer(ask, machine),
        }
    }

    /// Does the answer get lost on its way to a container, as beyond EC2's hop limit?
    fn gets_lost(&self, machine: &Machine, ask: Ask<'_>) -> bool {
        machine.provider == Provider::Aws
            && self.hop_limit_too_low.load(Ordering::Relaxed)
            && aws::is_beyond_hop_limit(ask)
    }
}

impl Service for Metadata {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, abort: Arc<Abort>) -> io::Result<Response<HttpBody>> {
        let (head, _) = request.into_parts();
        let ask = Ask(&head);
        let mut entry = Entry::new(&self.requests, &head);
        let effects = self.faults.strike(ask.method(), ask.path());
        if !effects.latency.is_zero() {
            tokio::time::sleep(effects.latency).await;
        }
        let machine = Arc::clone(&self.machine.read());
        if effects.hang || self.gets_lost(&machine, ask) {
            entry.record(None);
            return std::future::pending().await;
        }
        if effects.reset {
            abort.reset();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut answer = match effects.status {
            Some(status) => error(machine.provider, status),
            None => self.face(&machine, ask),
        };
        if let Some(body) = effects.body {
            *answer.body_mut() = body;
        }
        entry.record(Some(answer.status().as_u16()));
        Ok(into_http(answer, effects.cut))
    }
}

fn error(provider: Provider, status: StatusCode) -> Response<Bytes> {
    match provider {
        Provider::Aws => aws::error(status),
        Provider::Gce => gce::error(status),
        Provider::Azure => azure::error(status),
    }
}

/// A request that is recorded once it is answered, or when its client has gone without an answer.
struct Entry<'a> {
    requests: &'a MetadataRequests,
    request: Option<MetadataRequest>,
}

impl<'a> Entry<'a> {
    fn new(requests: &'a MetadataRequests, head: &Parts) -> Self {
        let user_agent = head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let request = MetadataRequest {
            at: Instant::now(),
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            user_agent: user_agent.unwrap_or_default().to_owned(),
            status: None,
        };
        Self { requests, request: Some(request) }
    }

    fn record(&mut self, status: Option<u16>) {
        if let Some(request) = self.request.take() {
            self.requests.record(MetadataRequest { status, ..request });
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.record(None);
    }
}

fn into_http(answer: Response<Bytes>, cut: Option<Cut>) -> Response<HttpBody> {
    let (mut head, body) = answer.into_parts();
    let half = body.slice(..body.len() / 2);
    let body = match cut {
        None => whole(body),
        Some(Cut::Proper) => whole(half),
        Some(Cut::Short) => {
            head.headers.insert(CONTENT_LENGTH, body.len().into());
            let end = stream::once(async {
                // The connection writes what it has when the body makes it wait; only then is there something to cut.
                tokio::task::yield_now().await;
                Err(BodyError)
            });
            StreamBody::new(stream::iter([Ok(Frame::data(half))]).chain(end)).boxed_unsync()
        }
    };
    Response::from_parts(head, body)
}

fn whole(body: Bytes) -> HttpBody {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}
