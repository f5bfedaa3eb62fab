//! What can go wrong between an API server and its objects.

use std::time::Duration;

use thiserror::Error;

use super::Request;
use crate::decode::ListDecodeError;

pub(super) type Result<T, E = WatchError> = std::result::Result<T, E>;

/// A list or a watch that failed. All of them are tried again; the message says what to change where that helps.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The request could not be made or sent.
    #[error("{request:?} request failed: {}", with_causes(.source.as_ref()))]
    Request {
        /// What was asked.
        request: Request,
        /// Why it failed.
        #[source]
        source: Box<kube::Error>,
    },
    /// The server answered with an error.
    #[error("{}", status_message(*.request, *.code, .reason, .message))]
    Status {
        /// What was asked.
        request: Request,
        /// The HTTP status code.
        code: u16,
        /// The reason word of the `Status` object, as `Forbidden`; empty where there is none.
        reason: String,
        /// The server's message, or the begin of its body.
        message: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// The body broke off.
    #[error("{request:?} body broke off: {}", with_causes(.source.as_ref()))]
    Body {
        /// What was asked.
        request: Request,
        /// Why it broke off.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The body was longer than is allowed.
    #[error("{request:?} body is longer than {limit} bytes: use smaller pages or raise `max_body`")]
    TooLong {
        /// What was asked.
        request: Request,
        /// The limit.
        limit: usize,
    },
    /// No answer, or no end of it, within its time.
    #[error("{request:?} was not answered within {after:?}: the connection may be half open, or the server overloaded")]
    Timeout {
        /// What was asked.
        request: Request,
        /// The deadline.
        after: Duration,
    },
    /// The list was no JSON.
    #[error(transparent)]
    List(#[from] ListDecodeError),
    /// The list has no version to watch from.
    #[error("the list has no metadata.resourceVersion: the resource can't be watched")]
    NoResourceVersion,
    /// The watch told an event that is none.
    #[error("the watch sent a line that is no event: {source}")]
    Event {
        /// What was asked.
        request: Request,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// An error with what caused it, each cause once: a client's own message says little (`client error (Connect)`).
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
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

fn status_message(request: Request, code: u16, reason: &str, message: &str) -> String {
    let hint = match code {
        401 => ": check the token or client certificate",
        403 => ": grant `list` and `watch` on this resource to the service account, or leave the resource out",
        404 => ": the server does not serve this resource (in this version)",
        _ => "",
    };
    format!("{} was answered {code} {reason}{hint}: {message}", request.as_str())
}

impl WatchError {
    /// What was asked.
    pub fn request(&self) -> Request {
        match self {
            Self::Request { request, .. }
            | Self::Status { request, .. }
            | Self::Body { request, .. }
            | Self::TooLong { request, .. }
            | Self::Timeout { request, .. }
            | Self::Event { request, .. } => *request,
            Self::List(_) | Self::NoResourceVersion => Request::List,
        }
    }

    /// The HTTP status code, where the server answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The server does not know such objects.
    pub(super) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The version or continue token has expired: only a new list helps.
    pub(super) fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }
}
