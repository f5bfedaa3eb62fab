//! OTLP over HTTP, with protobuf bodies.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use jiff::fmt::rfc2822;
use prost::Message;
use reqwest::{Client, Response};

use super::endpoint::shown;
use super::error::ExporterError;
use super::rpc::{Status, chain};
use super::transport::{Accepted, Compression, ExportError, Payload, Transport, excerpt};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// The most of an answer that is read: it has a sentence in it, or two.
const MAX_ANSWER: usize = 64 * 1024;
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Sends each message as the body of a POST.
///
/// Answers are read by the OTLP specification: 2xx is taken (with `partial_success` perhaps), 429, 502, 503 and 504 ask
/// to come again (`Retry-After` in seconds or as a date), everything else is a refusal. Redirects are not followed, since
/// headers carry credentials.
pub struct HttpTransport {
    client: Client,
    url: String,
    headers: HeaderMap,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("url", &shown(&self.url))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// A transport to the URL, which is taken as it is (`https://collector:4318/v1/metrics`), by a client of the host's,
    /// with headers for every request.
    pub fn new(client: Client, url: &Uri, headers: HeaderMap) -> Self {
        Self { client, url: url.to_string(), headers }
    }

    /// The client that the exporter makes where the host gives none.
    pub(super) fn client(tls: rustls::ClientConfig) -> Result<Client, ExporterError> {
        Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(USER_AGENT)
            .build()
            .map_err(|source| ExporterError::Tls { source: source.without_url().into() })
    }

    async fn send(&self, payload: &Payload) -> Result<Accepted, ExportError> {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, PROTOBUF);
        if payload.compression == Compression::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let sent = self.client.post(&self.url).headers(headers).body(payload.bytes.clone()).send().await;
        let response = sent.map_err(|error| ExportError::unavailable(chain(&error.without_url())))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Accepted::from_message(&answer(response).await));
        }
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = header.and_then(|text| retry_delay(text, SystemTime::now()));
        let body = answer(response).await;
        let details = Status::decode(Bytes::copy_from_slice(&body)).unwrap_or_default();
        let retry_after = asked.or_else(|| details.retry_delay());
        let reason = reason(status, &details, &body);
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => ExportError::Unavailable { reason, retry_after },
            _ => ExportError::Refused { reason },
        })
    }
}

impl Transport for HttpTransport {
    fn export<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<Accepted, ExportError>> {
        self.send(payload).boxed()
    }
}

/// The body; of a long or broken one its beginning, since the status has said what counts.
async fn answer(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < MAX_ANSWER
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(chunk.get(..MAX_ANSWER - body.len()).unwrap_or(&chunk));
    }
    body
}

/// Status and message of an error: a `google.rpc.Status` by the specification, plain text from proxies.
fn reason(status: StatusCode, details: &Status, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = if details.message.is_empty() { &text } else { details.message.as_str() };
    let said = excerpt(said.trim());
    if said.is_empty() { status.to_string() } else { format!("{status}: {said}") }
}

/// `Retry-After`: seconds, or a date.
fn retry_delay(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = SystemTime::from(rfc2822::parse(text).ok()?.timestamp());
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ];
        for (text, want) in cases {
            assert_eq!(retry_delay(text, now), want.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn an_errors_body_is_a_status_or_a_text() {
        let told = |status, body: &[u8]| {
            let details = Status::decode(Bytes::copy_from_slice(body)).unwrap_or_default();
            reason(status, &details, body)
        };
        let status = Status { message: "bad name\n".into(), ..Status::default() };
        assert_eq!(told(StatusCode::BAD_REQUEST, &status.encode_to_vec()), "400 Bad Request: bad name");
        assert_eq!(told(StatusCode::FORBIDDEN, b"<html>no\tentry"), "403 Forbidden: <html>no entry");
        assert_eq!(told(StatusCode::FORBIDDEN, b""), "403 Forbidden");
    }
}
