//! Requests to the API server, each with a deadline, and what can go wrong with them.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use k8s_openapi::serde_json;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::timeout;

/// The most of an error's body that is read.
const MAX_ERROR_BODY: usize = 64 << 10;

/// A request to the API server that failed. All of them are tried again; the message says what to change where that
/// helps.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The request could not be made or sent.
    #[error("{what} failed: {}", with_causes(.source.as_ref()))]
    Request {
        /// What was asked for, as `list Events`.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
    /// The server answered with an error.
    #[error("{}", status_message(.what, *.code, .reason, .message))]
    Status {
        /// What was asked for.
        what: &'static str,
        /// The HTTP status code.
        code: u16,
        /// The reason word of the `Status` object, as `Forbidden`; empty where there is none.
        reason: String,
        /// The server's message, or the begin of its body.
        message: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer, or no end of it, within its time.
    #[error("{what} was not answered within {after:?}: the connection may be half open, or the server overloaded")]
    Timeout {
        /// What was asked for.
        what: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The body broke off.
    #[error("{what}: the answer broke off: {}", with_causes(.source.as_ref()))]
    Body {
        /// What was asked for.
        what: &'static str,
        /// Why it broke off.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The body was longer than is allowed.
    #[error("{what}: the answer is longer than {limit} bytes")]
    TooLong {
        /// What was asked for.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The answer is not what was asked for.
    #[error("{what}: the answer can't be read: {source}")]
    Decode {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// An error with what caused it, each cause once: a client's own message says little (`client error (Connect)`).
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

fn status_message(what: &str, code: u16, reason: &str, message: &str) -> String {
    let hint = match code {
        401 => ": check the service account's token",
        403 => ": grant that verb to the service account",
        _ => "",
    };
    format!("{what} was answered {code} {reason}{hint}: {message}")
}

impl ApiError {
    /// The HTTP status code, where the server answered with an error.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the server answered with this status.
    pub(crate) fn is(&self, status: StatusCode) -> bool {
        self.code() == Some(status.as_u16())
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The word for metrics: the status code, or what went wrong instead of an answer.
    pub fn word(&self) -> String {
        match self {
            Self::Status { code, .. } => code.to_string(),
            Self::Timeout { .. } => "timeout".to_owned(),
            Self::Request { .. } => "unreachable".to_owned(),
            Self::Body { .. } | Self::TooLong { .. } | Self::Decode { .. } => "bad_answer".to_owned(),
        }
    }
}

/// Sends a request that can't be made wrong by input, and reads an object from its answer.
pub(crate) async fn call<T: DeserializeOwned>(
    client: &Client,
    what: &'static str,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    deadline: Duration,
    limit: usize,
) -> Result<T, ApiError> {
    let body = fetch(client, what, request, deadline, limit).await?;
    serde_json::from_slice(&body).map_err(|source| ApiError::Decode { what, source })
}

/// Sends a request, and reads the whole answer.
pub(crate) async fn fetch(
    client: &Client,
    what: &'static str,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    deadline: Duration,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let whole = async {
        let response = send(client, what, request).await?;
        read_body(what, response.into_body(), limit).await
    };
    timeout(deadline, whole).await.unwrap_or(Err(ApiError::Timeout { what, after: deadline }))
}

/// Sends a request; an answer other than success is an error with the server's words.
pub(crate) async fn send(
    client: &Client,
    what: &'static str,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<http::Response<Body>, ApiError> {
    let failed = |error| ApiError::Request { what, source: Box::new(error) };
    let request = request.map_err(|error| failed(kube::Error::BuildRequest(error)))?;
    let response = client.send(request.map(Body::from)).await.map_err(failed)?;
    if response.status().is_success() {
        return Ok(response);
    }
    let code = response.status().as_u16();
    let header = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let header = header.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let body = read_body(what, response.into_body(), MAX_ERROR_BODY).await.unwrap_or_default();
    Err(match serde_json::from_slice::<Status>(&body) {
        Ok(status) => from_status(what, code, header, status),
        Err(_) => {
            let message = String::from_utf8_lossy(&body).chars().take(200).collect();
            ApiError::Status { what, code, reason: String::new(), message, retry_after: header }
        }
    })
}

/// An error that the server tells as a `Status` object.
pub(crate) fn from_status(what: &'static str, code: u16, header: Option<Duration>, status: Status) -> ApiError {
    let asked = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    let retry_after = header.or(asked.map(|seconds| Duration::from_secs(u64::from(seconds))));
    ApiError::Status { what, code, reason: status.reason, message: status.message, retry_after }
}

async fn read_body(what: &'static str, mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| ApiError::Body { what, source: source.into() })?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(ApiError::TooLong { what, limit });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.into())
}
