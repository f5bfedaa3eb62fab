//! Why there is no connection, and whether it can heal.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::plugin::Refusal;
use crate::session::{End, SessionError};
use crate::ttrpc::CallError;

/// An attempt that failed, or a session that ended.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// There was no connection.
    #[error("no connection to the runtime: {0}")]
    Dial(#[source] Arc<io::Error>),
    /// No connection came about in this time.
    #[error("no connection to the runtime within {0:?}")]
    DialTimeout(Duration),
    /// There was a connection, and the host's patience ended before the plugin joined.
    #[error("the runtime did not let the plugin join within {0:?}")]
    NotJoined(Duration),
    /// There was a connection, and its session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The runtime ended, or dropped the plugin.
    #[error("the runtime closed the connection")]
    Closed,
}

impl AttemptError {
    /// Whether another attempt may bring something else.
    pub fn can_heal(&self) -> bool {
        match self {
            Self::Dial(error) => !matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ),
            Self::Session(SessionError::Refused(Refusal::ConfigureOverrun)) => true,
            // Runtimes refuse a plugin for what it is: its name, or its index.
            Self::Session(SessionError::Register(CallError::Status(_)) | SessionError::Refused(_)) => false,
            Self::Session(_) | Self::DialTimeout(_) | Self::NotJoined(_) | Self::Closed => true,
        }
    }

    /// The word for metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Dial(_) | Self::DialTimeout(_) => "not_connected",
            Self::Session(SessionError::Register(_) | SessionError::Refused(_)) => "refused",
            Self::Session(_) | Self::NotJoined(_) | Self::Closed => "failed",
        }
    }
}

/// Why a connector ended by itself.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// Trying again would bring the same.
    #[error("{0}; trying again would not help")]
    Hopeless(#[source] AttemptError),
    /// A connection that this process was started with is there once.
    #[error("{0}; the connection was inherited, and there is no other")]
    OnlyConnection(#[source] AttemptError),
    /// The limit of [`ConnectorBuilder::give_up_after`](super::ConnectorBuilder::give_up_after).
    #[error("no runtime for {after:?}: {last}")]
    GaveUp {
        /// How long it was without one.
        after: Duration,
        /// What went wrong last.
        #[source]
        last: AttemptError,
    },
    /// It was ended before the plugin had joined.
    #[error("it ended before the plugin joined: {0:?}")]
    EndedBeforeJoin(End),
}
