//! What can be wrong with an exporter's configuration.

use std::path::PathBuf;

use thiserror::Error;

/// An exporter that can't be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// An endpoint that is no URL for the protocol.
    #[error("OTLP endpoint {endpoint:?}: {reason}")]
    Endpoint {
        /// The endpoint, without credentials and query.
        endpoint: String,
        /// What to change.
        reason: String,
    },
    /// A header that HTTP can't carry.
    #[error("OTLP header {name:?}: {reason}")]
    Header {
        /// The header's name.
        name: String,
        /// What to change. The value, which may be a secret, is not in it.
        reason: &'static str,
    },
    /// An environment variable that can't be read.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// Its name.
        name: String,
        /// What to change.
        reason: String,
    },
    /// The protocol's code is not built in.
    #[error("OTLP over {protocol} is not built in: enable the feature `{feature}` of ksm-core, or give a transport")]
    NotBuiltIn {
        /// The protocol.
        protocol: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// A file of certificates or keys that can't be read.
    #[error("{what} in {}: {source}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS can't be set up.
    #[error("TLS for the OTLP endpoint can't be set up: {source}")]
    Tls {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A client certificate without its key, or the other way round.
    #[error("a client certificate and its key go together: {given} is given, {missing} is not")]
    HalfIdentity {
        /// What is there.
        given: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// A duration that leaves no time for anything.
    #[error("the exporter's {name} is zero: give it a duration")]
    ZeroDuration {
        /// Which one.
        name: &'static str,
    },
    /// No tokio runtime.
    #[error("`spawn` must be called within a tokio runtime")]
    NoRuntime,
}
