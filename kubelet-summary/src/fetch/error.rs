//! What can go wrong with a request for a summary, and what to change.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::causes::with_causes;

/// An error of another crate.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// By which way a summary is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// From the kubelet's own port.
    Direct,
    /// Through the API server's node proxy.
    NodeProxy,
}

impl Access {
    /// The right that it needs, a resource of the core group to `get`.
    pub const fn right(self) -> &'static str {
        match self {
            Self::Direct => "nodes/stats",
            Self::NodeProxy => "nodes/proxy",
        }
    }
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The kubelet.
    Kubelet,
    /// The API server, which never got as far as the kubelet.
    ApiServer,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kubelet => "the kubelet",
            Self::ApiServer => "the API server",
        })
    }
}

/// How far a request got that ran out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No connection yet.
    Connect,
    /// No answer yet.
    Answer,
    /// The document began, and did not end.
    Body,
    /// Not known: a bound around the whole of a fetch.
    Whole,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection: a firewall or network policy may drop packets to the kubelet's port",
            Self::Answer => "no answer: the kubelet may be overloaded, or its volumes hang",
            Self::Body => "the document began and did not end: the connection may be half open",
            Self::Whole => "the fetch did not end",
        })
    }
}

/// Why a certificate is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsProblem {
    /// None of the trusted authorities signed it, or it signed itself.
    UnknownAuthority,
    /// It is for others.
    WrongName {
        /// The names and addresses in it; there may be none.
        presented: Vec<String>,
    },
    /// Its time is over.
    Expired,
    /// Its time is yet to come: a clock may be wrong.
    NotYetValid,
    /// Anything else, in the TLS library's words.
    Other(String),
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAuthority => f.write_str(
                "its certificate is signed by no trusted authority: have kubelets get theirs from the cluster \
                 (`serverTLSBootstrap: true`, and approve the requests), or give their authority with \
                 `Trust::PemFile`, or skip all checks with `Trust::Insecure`",
            ),
            Self::WrongName { presented } => {
                if presented.is_empty() {
                    f.write_str("its certificate has no subject alternative names at all")?;
                } else {
                    write!(f, "its certificate is for {}", presented.join(", "))?;
                }
                f.write_str(
                    ", not for this address: check it against the Node's name with `verify_node_name(true)`, prefer \
                     another kind of address with `address_types`, or skip all checks with `Trust::Insecure`",
                )
            }
            Self::Expired => f.write_str("its certificate has expired: let the kubelet renew it"),
            Self::NotYetValid => f.write_str("its certificate is not valid yet: compare the clocks of both machines"),
            Self::Other(problem) => f.write_str(problem),
        }
    }
}

/// A summary that could not be had. The message says what to change.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// 401: whoever asked is not known.
    #[error("{by} answered 401: {}{}", hint_401(*.by, *.access), said(.message))]
    Unauthorized {
        /// Who answered.
        by: Peer,
        /// By which way it was asked.
        access: Access,
        /// The begin of the answer.
        message: String,
    },
    /// 403: whoever asked is known, and may not.
    #[error("{by} answered 403: {}{}", hint_403(*.by, *.access), said(.message))]
    Forbidden {
        /// Who answered.
        by: Peer,
        /// By which way it was asked.
        access: Access,
        /// The begin of the answer.
        message: String,
    },
    /// 404: no such Node, or no summary there.
    #[error("{by} answered 404: {}{}", hint_404(*.by), said(.message))]
    NotFound {
        /// Who answered.
        by: Peer,
        /// The begin of the answer.
        message: String,
    },
    /// 5xx: a failure on the other side.
    #[error("{by} answered {status}: look at its log{}", said(.message))]
    Server {
        /// Who answered.
        by: Peer,
        /// The HTTP status code.
        status: u16,
        /// The begin of the answer.
        message: String,
    },
    /// 429: it has too many requests, by its own count.
    #[error("{by} answered 429: too many requests{}{}", hint_429(*.retry_after), said(.message))]
    Throttled {
        /// Who answered.
        by: Peer,
        /// When to ask again, if it said so (`Retry-After`, in seconds).
        retry_after: Option<Duration>,
        /// The begin of the answer.
        message: String,
    },
    /// Another status than is expected of a kubelet, redirects included, which are not followed.
    #[error("{by} answered {status}: check that address and port are a kubelet's{}", said(.message))]
    Status {
        /// Who answered.
        by: Peer,
        /// The HTTP status code.
        status: u16,
        /// The begin of the answer.
        message: String,
    },
    /// It took too long.
    #[error("gave up after {after:?}: {phase}")]
    Timeout {
        /// The bound.
        after: Duration,
        /// How far it got.
        phase: Phase,
    },
    /// The document is longer than is allowed. No more than that of it was read.
    #[error("the document is longer than {limit} bytes: raise `max_bytes` if the node has that many pods")]
    TooLarge {
        /// The limit, of the decompressed document.
        limit: usize,
    },
    /// There is no memory for the document.
    #[error("no memory for the document: {source}; raise this process's limit of memory")]
    NoMemory {
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The kubelet's certificate is not trusted, or it speaks no TLS.
    #[error("no TLS with {to}: {problem}")]
    Tls {
        /// Who, as host and port.
        to: String,
        /// Why not.
        problem: TlsProblem,
    },
    /// There was no connection to the kubelet, or it was cut before an answer.
    #[error("no connection to {to}: {}; is the node up, and its kubelet's port open from here?", with_causes(.source.as_ref()))]
    Connect {
        /// Whereto, as host and port.
        to: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The API server could not be asked: no node was reached, and not for the node's fault.
    #[error("the API server can't be asked: {}; check the client's configuration and the network", with_causes(.source.as_ref()))]
    ApiServer {
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The API server answered that it can't reach the kubelet.
    #[error("the API server can't reach the kubelet ({status}): {}{}", hint_behind(.message), said(.message))]
    KubeletUnreachable {
        /// The HTTP status code.
        status: u16,
        /// The begin of the answer.
        message: String,
    },
    /// The document broke off.
    #[error("the document broke off: {}; the connection was cut, or the kubelet restarted", with_causes(.source.as_ref()))]
    Broken {
        /// Why.
        #[source]
        source: BoxError,
    },
    /// What came is no summary.
    #[error("the answer is no summary: {}; check that address and port are a kubelet's", with_causes(.source.as_ref()))]
    Malformed {
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// The node has no address that may be used.
    #[error("no address to use among [{}]: the preferred kinds are [{}], see `address_types`", .known.join(", "), .preferred.join(", "))]
    NoAddress {
        /// What is known of the node, as `InternalIP=10.0.0.1`.
        known: Vec<String>,
        /// The kinds that are allowed.
        preferred: Vec<&'static str>,
    },
    /// The node's address is neither an IP address nor a DNS name. The token is not sent to it.
    #[error("{address:?} is no IP address and no DNS name: look at the Node's `status.addresses`")]
    BadAddress {
        /// The address.
        address: String,
    },
    /// The token can't be read.
    #[error(
        "the token in {path} can't be used: {problem}; mount the service account's token (`automountServiceAccountToken`), or name another file"
    )]
    Token {
        /// The file.
        path: String,
        /// Why not. Nothing of the token is in it.
        problem: String,
    },
    /// A [`Fetcher`](super::Fetcher) of the host's failed in its own way.
    #[error("{}", with_causes(.0.as_ref()))]
    Other(#[source] BoxError),
}

impl FetchError {
    /// The word for metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::Server { .. } => "server_error",
            Self::Throttled { .. } => "throttled",
            Self::Status { .. } => "status",
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } => "too_large",
            Self::NoMemory { .. } => "memory",
            Self::Tls { .. } => "tls",
            Self::Connect { .. } => "connect",
            Self::ApiServer { .. } => "api_server",
            Self::KubeletUnreachable { .. } => "kubelet_unreachable",
            Self::Broken { .. } => "broken",
            Self::Malformed { .. } => "malformed",
            Self::NoAddress { .. } | Self::BadAddress { .. } => "address",
            Self::Token { .. } => "token",
            Self::Other(_) => "other",
        }
    }

    /// Whether a person has to change something: rights, certificates, limits. What is left passes by itself, perhaps.
    pub const fn needs_change(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized { .. }
                | Self::Forbidden { .. }
                | Self::TooLarge { .. }
                | Self::NoMemory { .. }
                | Self::Tls { .. }
                | Self::NoAddress { .. }
                | Self::BadAddress { .. }
                | Self::Token { .. }
        )
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" (it said: {message})") }
}

fn hint_401(by: Peer, access: Access) -> &'static str {
    match (by, access) {
        (Peer::Kubelet, Access::Direct) => {
            "it wants a live service-account token, and the kubelet must ask the API server about tokens \
             (`authentication.webhook.enabled: true`)"
        }
        (Peer::Kubelet, Access::NodeProxy) => {
            "it does not know the API server's own client certificate (`--kubelet-client-certificate`)"
        }
        (Peer::ApiServer, _) => "check the client's token or certificate",
    }
}

fn hint_403(by: Peer, access: Access) -> String {
    match (by, access) {
        (Peer::Kubelet, Access::NodeProxy) => {
            "the API server's own user lacks rights on kubelets: bind it to `system:kubelet-api-admin`".to_owned()
        }
        _ => format!("grant `get` on `{}`", access.right()),
    }
}

fn hint_429(retry_after: Option<Duration>) -> String {
    let when = retry_after.map(|after| format!(", ask again in {after:?}")).unwrap_or_default();
    format!("{when}; ask less often (a longer TTL), or fewer nodes at once (`concurrency`)")
}

fn hint_404(by: Peer) -> &'static str {
    match by {
        Peer::Kubelet => "/stats/summary is not there; check that address and port are a kubelet's",
        Peer::ApiServer => "there is no Node of that name",
    }
}

fn hint_behind(message: &str) -> &'static str {
    if message.contains("x509") || message.contains("tls:") || message.contains("certificate") {
        "its `--kubelet-certificate-authority` does not fit the kubelet's certificate"
    } else {
        "the node or its kubelet is down, or the way from the API server to it is closed"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_to_change() {
        let unauthorized =
            |by, access| FetchError::Unauthorized { by, access, message: "Unauthorized".into() }.to_string();
        let forbidden = |by, access| FetchError::Forbidden { by, access, message: String::new() }.to_string();
        let unreachable = |message: &str| FetchError::KubeletUnreachable { status: 503, message: message.into() };
        let name =
            |presented| FetchError::Tls { to: "a:1".into(), problem: TlsProblem::WrongName { presented } }.to_string();
        for (message, wants) in [
            (unauthorized(Peer::Kubelet, Access::Direct), "authentication.webhook.enabled"),
            (unauthorized(Peer::Kubelet, Access::NodeProxy), "--kubelet-client-certificate"),
            (unauthorized(Peer::ApiServer, Access::NodeProxy), "the API server answered 401: check the client's token"),
            (forbidden(Peer::Kubelet, Access::Direct), "`get` on `nodes/stats`"),
            (forbidden(Peer::ApiServer, Access::NodeProxy), "`get` on `nodes/proxy`"),
            (forbidden(Peer::Kubelet, Access::NodeProxy), "system:kubelet-api-admin"),
            (unreachable("dial tcp 10.0.0.1:10250: i/o timeout").to_string(), "down"),
            (unreachable("x509: cannot validate").to_string(), "--kubelet-certificate-authority"),
            (name(Vec::new()), "no subject alternative names"),
            (name(vec!["b".into()]), "is for b, not for this address"),
        ] {
            assert!(message.contains(wants), "{message}");
        }
    }
}
