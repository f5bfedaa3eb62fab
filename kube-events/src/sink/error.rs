//! What goes wrong on the way into a sink.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// What a cause is told as.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An event that a sink has no form for.
#[derive(Debug, Error)]
#[error("the event can't be encoded for this sink: {0}: change the receiver's layout")]
pub struct EncodeError(#[from] pub Cause);

/// A batch that a sink did not take.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// It may take it later: it is not there, does not answer, or is too busy.
    #[error("{cause}")]
    Again {
        /// Why.
        #[source]
        cause: Cause,
        /// How long it wants to be left alone at least.
        after: Option<Duration>,
    },
    /// It will never take this batch. Of several records, one may be the cause: they are tried apart.
    #[error("{cause}")]
    Refused {
        /// Why.
        #[source]
        cause: Cause,
    },
}

impl DeliveryError {
    /// It may go well later.
    pub fn again(cause: impl Into<Cause>) -> Self {
        Self::Again { cause: cause.into(), after: None }
    }

    /// It will never go well.
    pub fn refused(cause: impl Into<Cause>) -> Self {
        Self::Refused { cause: cause.into() }
    }
}

/// A record of a batch that a sink will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the batch.
    pub index: usize,
    /// Why, as the sink tells it.
    pub reason: String,
}

/// Files of a spill that can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpillError {
    /// The directory or a file in it.
    #[error("spill {}: {source}: let the process write there, and see that there is room", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// Another process uses the directory.
    #[error("spill {} is in use by another process: give each instance and receiver a directory of its own", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

/// A sink that can't be made of its options.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// It is not compiled in.
    #[error("the sink `{sink}` needs the feature `{feature}` of kube-events: build with it, or change the receiver")]
    Feature {
        /// The key of the sink.
        sink: &'static str,
        /// What to build with.
        feature: &'static str,
    },
    /// An option that can't be used.
    #[error("`{option}` of the sink can't be used: {problem}")]
    Option {
        /// Its key in the configuration.
        option: &'static str,
        /// What is wrong with it, and what is wanted.
        problem: String,
    },
    /// A file that can't be used.
    #[error("`{option}` of the sink, {}, can't be used: {source}", .path.display())]
    File {
        /// Its key in the configuration.
        option: &'static str,
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
}

impl SinkError {
    /// An option that can't be used.
    #[cfg(any(feature = "http-sinks", feature = "kafka"))]
    pub(crate) fn option(option: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Option { option, problem: format!("{problem}") }
    }
}
