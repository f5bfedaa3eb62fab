//! Why metadata can't be fetched.

use std::time::Duration;

use k8s_openapi::serde_json;
use thiserror::Error;

use crate::api::ApiError;
use crate::metadata::{Attribute, MAX_VALUE_LEN};

/// What a Node has until its cloud's controller has filled it in.
pub(super) const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// Why metadata can't be fetched. All of them are tried again; the message says what to change.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No connection to the service can be made.
    #[error(
        "{what}: {url} can't be reached: {reason}; is this machine in that cloud, and may the pod reach link-local addresses?"
    )]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// Why not.
        reason: String,
    },
    /// No answer, or no end of it, within its time.
    #[error("{what}: no answer within {after:?}; does a network policy or a firewall drop it?")]
    Timeout {
        /// What was asked for.
        what: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The answer to a request for a token is lost on its way, while others arrive.
    #[error(
        "IMDS token request timed out while the plain GET answered 401: raise the instance's hop limit to 2 (HttpPutResponseHopLimit; 3 behind some overlay networks), or run the pod in the host's network"
    )]
    HopLimit,
    /// The service says that it must not be asked.
    #[error(
        "{what} was answered 403: the metadata service is switched off for this instance or for pods; switch it on (on EC2 by HttpEndpoint), or use another source"
    )]
    Disabled {
        /// What was asked for.
        what: &'static str,
    },
    /// The environment says that it must not be asked.
    #[error("AWS_EC2_METADATA_DISABLED is set: unset it, or use another source")]
    DisabledByEnvironment,
    /// Only version 1 of the service answers.
    #[error(
        "IMDS gives no token, and answers without one ({source}): raise the instance's hop limit to 2 if the answer is lost, or ask for version 1 by `v1_fallback`"
    )]
    OnlyV1 {
        /// What became of the request for a token.
        #[source]
        source: Box<SourceError>,
    },
    /// The service answered with an error.
    #[error("{what} was answered {code}{}", hint(*code))]
    Status {
        /// What was asked for.
        what: &'static str,
        /// The HTTP status code.
        code: u16,
    },
    /// What answers is not this cloud's service.
    #[error(
        "{what}: what answers is not {cloud}'s metadata service; choose this machine's cloud, or let it be detected"
    )]
    OtherCloud {
        /// What was asked for.
        what: &'static str,
        /// The cloud that was expected.
        cloud: &'static str,
    },
    /// The answer is longer than is allowed.
    #[error("{what}: the answer is longer than {limit} bytes; is the endpoint a metadata service?")]
    TooLong {
        /// What was asked for.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The connection broke off before the end of the answer, or what came is no HTTP.
    #[error("{what}: the answer broke off: {reason}")]
    BrokenOff {
        /// What was asked for.
        what: &'static str,
        /// How.
        reason: String,
    },
    /// The answer has nothing in it, as for a moment after some machines start.
    #[error("{what}: the answer is empty; it is asked for again until there is one")]
    Empty {
        /// What was asked for.
        what: &'static str,
    },
    /// The answer is no text.
    #[error("{what}: the answer is not UTF-8; is the endpoint a metadata service?")]
    NotUtf8 {
        /// What was asked for.
        what: &'static str,
    },
    /// The answer is no JSON document.
    #[error("{what}: the answer can't be read: {source}")]
    Decode {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A value has control characters, or is longer than any identifier.
    #[error(
        "the value of {attribute} has control characters or more than {MAX_VALUE_LEN} bytes; is the source that cloud's?"
    )]
    BadValue {
        /// Of what.
        attribute: Attribute,
    },
    /// An endpoint, or a variable that tells of one, is not what it must be.
    #[error("{from} is {given:?}, and must be {must_be}")]
    BadEndpoint {
        /// Where it was given.
        from: &'static str,
        /// What was given.
        given: String,
        /// What can be given.
        must_be: &'static str,
    },
    /// There is no such Node.
    #[error("there is no Node {node:?}: give the name of the pod's own (spec.nodeName, from the downward API)")]
    NoNode {
        /// Its name.
        node: String,
    },
    /// The cloud's controller has not looked at the Node yet.
    #[error("the Node has the taint {UNINITIALIZED}: its cloud's controller is yet to tell what machine it is")]
    NodeUninitialized,
    /// The API server did not give the Node.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// None of the clouds' services answers, and nothing else tells.
    #[error(
        "this machine's cloud can't be told: neither DMI, providerID nor a metadata service names one; choose a source"
    )]
    Undetected,
    /// A source of the host's failed.
    #[error("{0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn hint(code: u16) -> &'static str {
    match code {
        401 => ": it refuses the token that it has just given; is there more than one service at that address?",
        300..=399 | 400 | 404 | 405 => "; is the endpoint that cloud's metadata service?",
        429 => ": too much on this machine asks it; it is asked again",
        500..=599 => ": it fails for now; it is asked again",
        _ => "",
    }
}
