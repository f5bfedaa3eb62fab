//! What a server answers: success, or an error with the server's words.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::Status;

use super::error::Result;
use super::{Request, WatchError};

/// The most of an error's body that is read.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Sends a request; an answer other than success is an error with the server's words.
pub(super) async fn send(
    client: &Client,
    request: http::Request<Vec<u8>>,
    asked: Request,
) -> Result<http::Response<Body>> {
    let response = client
        .send(request.map(Body::from))
        .await
        .map_err(|source| WatchError::Request { request: asked, source: Box::new(source) })?;
    if response.status().is_success() {
        return Ok(response);
    }
    let code = response.status().as_u16();
    let header = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let header = header.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let body = read_body(response.into_body(), 0, MAX_ERROR_BODY, asked).await.unwrap_or_default();
    let status: Option<Status> = serde_json::from_slice(&body).ok();
    let retry_after = header.or_else(|| status.as_ref().and_then(retry_after_of));
    let (reason, message) = match status {
        Some(status) => (status.reason, status.message),
        None => (String::new(), String::from_utf8_lossy(&body).chars().take(200).collect()),
    };
    Err(WatchError::Status { request: asked, code, reason, message, retry_after })
}

/// Reads a body that is expected to be about `expected` long.
pub(super) async fn read_body(mut body: Body, expected: usize, limit: usize, request: Request) -> Result<Bytes> {
    let mut read = Vec::with_capacity(expected.saturating_add(expected / 8).min(limit));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| WatchError::Body { request, source: source.into() })?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(WatchError::TooLong { request, limit });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.into())
}

/// An error that a watch tells as an event.
pub(super) fn error_event(status: &str, request: Request) -> WatchError {
    let status: Status = serde_json::from_str(status).unwrap_or_default();
    WatchError::Status {
        request,
        code: status.code,
        retry_after: retry_after_of(&status),
        reason: status.reason,
        message: status.message,
    }
}

fn retry_after_of(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(u64::from(seconds)))
}
