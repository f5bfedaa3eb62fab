//! OTLP over gRPC.
//!
//! A unary call by hand over tonic's channel: messages are compressed once, off the runtime's threads, and framed here;
//! tonic's own client would compress them anew with each attempt, on them.

use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderName, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full, Limited};
use prost::Message;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::endpoint::shown;
use super::error::ExporterError;
use super::rpc::{self, chain};
use super::transport::{Accepted, Compression, ExportError, Payload, Transport, excerpt};

const METHOD: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const DETAILS: &str = "grpc-status-details-bin";
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
/// A frame's flag and length.
const FRAME_HEAD: usize = 5;
/// The most of an answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends each message as a call of `MetricsService/Export`.
///
/// Answers are read by the OTLP specification: `CANCELLED`, `DEADLINE_EXCEEDED`, `ABORTED`, `OUT_OF_RANGE`,
/// `UNAVAILABLE` and `DATA_LOSS` ask to come again, `RESOURCE_EXHAUSTED` does with a `RetryInfo`, whose delay is kept;
/// everything else is a refusal.
pub struct GrpcTransport {
    channel: Channel,
    headers: HeaderMap,
}

impl fmt::Debug for GrpcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcTransport")
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl GrpcTransport {
    /// A transport over a channel of the host's, with its TLS, balancing and limits. `headers` are the call's metadata;
    /// `timeout` is what the receiver is told to keep to.
    pub fn new(channel: Channel, mut headers: HeaderMap, timeout: Duration) -> Self {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        if let Ok(timeout) = HeaderValue::from_str(&timeout_text(timeout)) {
            headers.insert(TIMEOUT, timeout);
        }
        Self { channel, headers }
    }

    async fn call(&self, payload: &Payload) -> Result<Accepted, ExportError> {
        let mut request = Request::new(Body::new(Full::new(frame(payload)?)));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_static(METHOD);
        *request.headers_mut() = self.headers.clone();
        if payload.compression == Compression::Gzip {
            request.headers_mut().insert(ENCODING, HeaderValue::from_static("gzip"));
        }
        let mut channel = self.channel.clone();
        let broken = |error: tonic::transport::Error| ExportError::unavailable(chain(&error));
        poll_fn(|cx| GrpcService::<Body>::poll_ready(&mut channel, cx)).await.map_err(broken)?;
        let response = GrpcService::call(&mut channel, request).await.map_err(broken)?;
        read_answer(response).await
    }
}

impl Transport for GrpcTransport {
    fn export<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<Accepted, ExportError>> {
        self.call(payload).boxed()
    }
}

/// A channel in plain text, connected with the first call.
pub(super) fn connect(url: &Uri) -> Result<Channel, ExporterError> {
    let error = |reason: String| ExporterError::Endpoint { endpoint: shown(&url.to_string()), reason };
    if url.scheme() != Some(&http::uri::Scheme::HTTP) {
        let reason = "gRPC over TLS needs a channel: make one with tonic and give it to `ExporterBuilder::channel`, or use \
                      http:// for plain text";
        return Err(error(reason.to_owned()));
    }
    let endpoint = Endpoint::from(url.clone()).user_agent(USER_AGENT).map_err(|why| error(chain(&why)))?;
    Ok(endpoint.connect_lazy())
}

fn frame(payload: &Payload) -> Result<Bytes, ExportError> {
    let length = u32::try_from(payload.bytes.len())
        .map_err(|_| ExportError::Refused { reason: "a gRPC message has 4 GiB at most".to_owned() })?;
    let mut frame = BytesMut::with_capacity(FRAME_HEAD + payload.bytes.len());
    frame.put_u8(u8::from(payload.compression != Compression::None));
    frame.put_u32(length);
    frame.extend_from_slice(&payload.bytes);
    Ok(frame.freeze())
}

/// A timeout by the protocol: eight digits at most, and a unit.
fn timeout_text(timeout: Duration) -> String {
    const MOST: u128 = 99_999_999;
    match timeout.as_millis() {
        millis @ ..=MOST => format!("{millis}m"),
        millis => format!("{}S", (millis / 1000).min(MOST)),
    }
}

async fn read_answer(response: Response<Body>) -> Result<Accepted, ExportError> {
    let (head, body) = response.into_parts();
    // An error without a body has its status in the head.
    if let Some(status) = Answer::read(&head.headers) {
        return status.outcome(&[]);
    }
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| ExportError::unavailable(chain(error.as_ref()));
    let collected = Limited::new(body, MAX_ANSWER).collect().await;
    if head.status != StatusCode::OK {
        return Err(not_grpc(head.status));
    }
    let collected = collected.map_err(broken)?;
    let status = collected.trailers().and_then(Answer::read);
    let body = collected.to_bytes();
    match status {
        Some(status) => status.outcome(body.get(FRAME_HEAD..).unwrap_or_default()),
        None => Err(ExportError::unavailable("the answer ended without a gRPC status")),
    }
}

/// What stands before the receiver, and speaks HTTP only, has answered.
fn not_grpc(status: StatusCode) -> ExportError {
    let reason = format!("HTTP status {status} without a gRPC status: is this a gRPC endpoint?");
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => ExportError::unavailable(reason),
        _ => ExportError::Refused { reason },
    }
}

/// A call's status, and what its details say about trying again.
struct Answer {
    status: Status,
    retry_delay: Option<Duration>,
}

impl Answer {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut headers = headers.clone();
        // tonic panics where these are no base64, so they are read apart from the rest.
        let details = headers.remove(DETAILS);
        let status = Status::from_header_map(&headers)?;
        let retry_delay = details.and_then(|details| {
            let mut apart = HeaderMap::new();
            apart.insert(HeaderName::from_static(DETAILS), details);
            let bytes = MetadataMap::from_headers(apart).get_bin(DETAILS)?.to_bytes().ok()?;
            rpc::Status::decode(bytes).ok()?.retry_delay()
        });
        Some(Self { status, retry_delay })
    }

    fn outcome(self, message: &[u8]) -> Result<Accepted, ExportError> {
        let code = self.status.code();
        if code == Code::Ok {
            return Ok(Accepted::from_message(message));
        }
        let reason = format!("{code:?}: {}", excerpt(self.status.message()));
        let retryable = match code {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => true,
            Code::ResourceExhausted => self.retry_delay.is_some(),
            _ => false,
        };
        if retryable {
            let retry_after = self.retry_delay.filter(|delay| !delay.is_zero());
            Err(ExportError::Unavailable { reason, retry_after })
        } else {
            Err(ExportError::Refused { reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_flag_length_message() {
        let payload = Payload { bytes: Bytes::from_static(b"abc"), compression: Compression::Gzip, points: 1 };
        assert_eq!(&frame(&payload).unwrap()[..], b"\x01\0\0\0\x03abc");
    }

    #[test]
    fn timeouts_have_eight_digits_at_most() {
        assert_eq!(timeout_text(Duration::from_secs(10)), "10000m");
        assert_eq!(timeout_text(Duration::from_secs(1_000_000)), "1000000S");
        assert_eq!(timeout_text(Duration::MAX), "99999999S");
    }
}
