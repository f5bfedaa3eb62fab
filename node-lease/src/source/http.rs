//! What all metadata services have in common: plain HTTP to a link-local address, small answers, short deadlines.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::request::Builder;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

use super::SourceError;
use crate::api::with_causes;

/// The longest answer that is read. Identity documents have about 500 bytes, Azure's compute document some kilobytes.
const MAX_BODY: usize = 256 << 10;

/// How long an answer may take. Link-local services answer within milliseconds, or never.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How much of that a connection may take to be made: a machine without such a service is told from one whose service
/// is silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A client of one service. It follows no redirect and uses no proxy, which would answer for another machine.
#[derive(Clone)]
pub(super) struct Service {
    client: Client<HttpConnector, Empty<Bytes>>,
    /// With a slash at its end: paths are joined to it, and errors name it.
    base: String,
    timeout: Duration,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("base", &self.base).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Service {
    /// `from` says where the URL was given.
    pub(super) fn new(base: &str, from: &'static str) -> Result<Self, SourceError> {
        let bad = || SourceError::BadEndpoint { from, given: base.to_owned(), must_be: "an http:// URL" };
        let url: Uri = base.parse().map_err(|_| bad())?;
        let has_host = url.host().is_some_and(|host| !host.is_empty());
        if url.scheme_str() != Some("http") || !has_host || base.contains(['@', '?', '#']) {
            return Err(bad());
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self { client, base: format!("{}/", base.trim_end_matches('/')), timeout: TIMEOUT })
    }

    /// The same with another deadline for each request.
    pub(super) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub(super) fn get(&self, path: &str) -> Builder {
        Request::get(format!("{}{path}", self.base))
    }

    pub(super) fn put(&self, path: &str) -> Builder {
        Request::put(format!("{}{path}", self.base))
    }

    /// Sends a request and reads its answer, both within the deadline; whatever status it has.
    pub(super) async fn send(&self, what: &'static str, request: Builder) -> Result<Answer, SourceError> {
        let whole = async {
            let request = request.body(Empty::new()).map_err(|error| self.unreachable(what, &error))?;
            let response = self.client.request(request).await.map_err(|error| {
                if error.is_connect() { self.unreachable(what, &error) } else { broken_off(what, &error) }
            })?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = read(what, response).await?;
            Ok(Answer { what, status, headers, body })
        };
        let late = Err(SourceError::Timeout { what, after: self.timeout });
        tokio::time::timeout(self.timeout, whole).await.unwrap_or(late)
    }

    fn unreachable(&self, what: &'static str, error: &(dyn std::error::Error + 'static)) -> SourceError {
        SourceError::Unreachable { what, url: self.base.clone(), reason: with_causes(error) }
    }
}

fn broken_off(what: &'static str, error: &(dyn std::error::Error + 'static)) -> SourceError {
    SourceError::BrokenOff { what, reason: with_causes(error) }
}

async fn read(what: &'static str, mut response: Response<Incoming>) -> Result<Vec<u8>, SourceError> {
    let mut body = Vec::new();
    while let Some(frame) = response.frame().await {
        let frame = frame.map_err(|error| broken_off(what, &error))?;
        let Some(part) = frame.data_ref() else { continue };
        if body.len() + part.len() > MAX_BODY {
            return Err(SourceError::TooLong { what, limit: MAX_BODY });
        }
        body.extend_from_slice(part);
    }
    Ok(body)
}

/// What a service answered. It has no `Debug`: a body may be a token.
pub(super) struct Answer {
    what: &'static str,
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// The same, if it is a success.
    pub(super) fn success(self) -> Result<Self, SourceError> {
        match self.status.as_u16() {
            200..=299 => Ok(self),
            403 => Err(SourceError::Disabled { what: self.what }),
            code => Err(SourceError::Status { what: self.what, code }),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn text(self) -> Result<String, SourceError> {
        String::from_utf8(self.body).map_err(|_| SourceError::NotUtf8 { what: self.what })
    }

    pub(super) fn document(&self) -> Result<Document, SourceError> {
        let read = serde_json::from_slice(&self.body).map(Document);
        read.map_err(|source| SourceError::Decode { what: self.what, source })
    }
}

/// A JSON document, whose texts are asked for by JSON pointers.
pub(super) struct Document(Value);

impl Document {
    /// The text there; empty if there is none.
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}
