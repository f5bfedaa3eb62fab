//! Why an object's metadata is not known.

use std::sync::Arc;

use thiserror::Error;

use crate::api::ApiError;

/// A look-up that failed: the object's deletion state is [`Unknown`](crate::event::Deletion::Unknown), and the event goes
/// on without it.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The event names no object that could be asked for.
    #[error("the event names no object that can be looked up: {why}")]
    BadReference {
        /// What is wrong with it.
        why: &'static str,
    },
    /// No served resource has this kind.
    #[error("the API server serves no kind {kind} in {api_version}: nothing can be known of such objects")]
    UnknownKind {
        /// Group and version.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// It was not its turn within the deadline.
    #[error("the look-up waited too long for its turn: raise `rate`, `concurrency` or `deadline`, or omit look-ups")]
    Throttled,
    /// The API server refused, or did not answer.
    #[error("{0}")]
    Api(Arc<ApiError>),
}

impl From<ApiError> for LookupError {
    fn from(error: ApiError) -> Self {
        Self::Api(Arc::new(error))
    }
}

impl LookupError {
    /// The word for metrics.
    pub(super) fn word(&self) -> String {
        match self {
            Self::BadReference { .. } => "bad_reference".to_owned(),
            Self::UnknownKind { .. } => "unknown_kind".to_owned(),
            Self::Throttled => "throttled".to_owned(),
            Self::Api(error) => error.word(),
        }
    }
}
