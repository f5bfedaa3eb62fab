//! What all metadata services have in common: plain HTTP to a link-local address, small answers, short deadlines.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
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

/// A client of one service.
#[derive(Clone)]
pub(super) struct Service {
    client: Client,
    base: Url,
    timeout: Duration,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("base", &self.base.as_str())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// `from` says where the URL was given.
    pub(super) fn new(base: &str, from: &'static str) -> Result<Self, SourceError> {
        let bad = || SourceError::BadEndpoint { from, given: base.to_owned(), must_be: "an http:// URL" };
        let mut url: Url = base.parse().map_err(|_| bad())?;
        // Paths are joined to it, and errors name it.
        if url.scheme() != "http" || base.contains(['@', '?', '#']) {
            return Err(bad());
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let client = Client::builder()
            // A proxy would answer for another machine, or not at all.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| SourceError::Client { reason: with_causes(&error) })?;
        Ok(Self { client, base: url, timeout: TIMEOUT })
    }

    /// The same with another deadline for each request.
    pub(super) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(super) fn put(&self, path: &str) -> RequestBuilder {
        self.request(Method::PUT, path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and reads its answer, both within the deadline; whatever status it has.
    pub(super) async fn send(&self, what: &'static str, request: RequestBuilder) -> Result<Answer, SourceError> {
        let whole = async {
            let response = request.send().await.map_err(|error| self.failed(what, error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = self.read(what, response).await?;
            Ok(Answer { what, status, headers, body })
        };
        let late = Err(SourceError::Timeout { what, after: self.timeout });
        tokio::time::timeout(self.timeout, whole).await.unwrap_or(late)
    }

    async fn read(&self, what: &'static str, mut response: Response) -> Result<Vec<u8>, SourceError> {
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.failed(what, error))? {
            if body.len() + part.len() > MAX_BODY {
                return Err(SourceError::TooLong { what, limit: MAX_BODY });
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    fn failed(&self, what: &'static str, error: reqwest::Error) -> SourceError {
        let (is_connected, reason) = (!error.is_connect(), with_causes(&error.without_url()));
        if is_connected {
            SourceError::BrokenOff { what, reason }
        } else {
            SourceError::Unreachable { what, url: self.base.to_string(), reason }
        }
    }
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
