//! What all metadata services have in common: plain HTTP to a link-local address, small answers, short deadlines.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};

use super::SourceError;

/// The longest answer that is read. Identity documents have about 500 bytes, Azure's compute document some kilobytes.
const MAX_BODY: usize = 256 << 10;

/// How long a connection may take to be made. Link-local services answer within milliseconds, or never.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A client of one service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    client: Client,
    base: Url,
    timeout: Duration,
}

impl Service {
    /// `from` says where the URL was given.
    pub(super) fn new(base: &str, from: &'static str, timeout: Duration) -> Result<Self, SourceError> {
        let bad = || SourceError::BadEndpoint { url: base.to_owned(), from };
        let mut base: Url = base.parse().map_err(|_| bad())?;
        if base.scheme() != "http" || base.host_str().is_none() {
            return Err(bad());
        }
        // Paths are joined to it: its own must end with a slash.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = Client::builder()
            // A proxy would answer for another machine, or not at all.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| SourceError::Client { reason: crate::api::with_causes(&error) })?;
        Ok(Self { client, base, timeout })
    }

    /// Where a path of the service is.
    fn url(&self, path: &str) -> String {
        format!("{}{}", self.base, path.trim_start_matches('/'))
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// Sends a request and reads its answer, both within the deadline; whatever status it has.
    pub(super) async fn send(&self, what: &'static str, request: RequestBuilder) -> Result<Answer, SourceError> {
        let whole = async {
            let response = request.send().await.map_err(|error| self.failed(what, &error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = self.read(what, response).await?;
            Ok(Answer { what, status, headers, body })
        };
        let late = Err(SourceError::Timeout { what, after: self.timeout });
        tokio::time::timeout(self.timeout, whole).await.unwrap_or(late)
    }

    async fn read(&self, what: &'static str, mut response: Response) -> Result<Vec<u8>, SourceError> {
        let mut body = Vec::new();
        loop {
            let broken = |error: reqwest::Error| SourceError::BrokenOff {
                what,
                reason: crate::api::with_causes(&error.without_url()),
            };
            let Some(part) = response.chunk().await.map_err(broken)? else { return Ok(body) };
            if body.len() + part.len() > MAX_BODY {
                return Err(SourceError::TooLong { what, limit: MAX_BODY });
            }
            body.extend_from_slice(&part);
        }
    }

    fn failed(&self, what: &'static str, error: &reqwest::Error) -> SourceError {
        if error.is_timeout() {
            return SourceError::Timeout { what, after: self.timeout };
        }
        SourceError::Unreachable { what, url: self.base.to_string(), reason: crate::api::with_causes(error) }
    }
}

/// What a service answered.
#[derive(Debug)]
pub(super) struct Answer {
    what: &'static str,
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
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

    pub(super) fn text(self) -> Result<String, SourceError> {
        String::from_utf8(self.body).map_err(|_| SourceError::NotUtf8 { what: self.what })
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, SourceError> {
        serde_json::from_slice(&self.body).map_err(|source| SourceError::Decode { what: self.what, source })
    }

    /// Whether a header has this value.
    pub(super) fn has_header(&self, name: &str, value: &str) -> bool {
        self.headers.get(name).is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    }
}
