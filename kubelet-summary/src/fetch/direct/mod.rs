//! From the kubelet's own port.

mod builder;
mod resolve;
mod tls;
mod token;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION};
use parking_lot::Mutex;
use reqwest::Client;
use thiserror::Error;
use tokio::time::timeout;

pub use self::builder::DirectBuilder;
use self::builder::Options;
use self::resolve::{Names, Place};
pub use self::tls::Trust;
pub use self::token::Token;
use super::answer;
use super::bodies::Bodies;
use super::error::{Access, BoxError, FetchError, Phase, TlsProblem};
use super::{Fetcher, NoNodeName, NodeTarget, path};
use crate::schema::Summary;

/// Why a [`Direct`] can't be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DirectError {
    /// The trusted authorities can't be read.
    #[error(
        "the certificate authorities in {place} can't be used: {source}; name another file with `Trust::PemFile`, or use `Trust::System`"
    )]
    Authorities {
        /// Where they are.
        place: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The TLS library or the HTTP client refuses.
    #[error("TLS can't be set up: {source}")]
    Tls {
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The environment does not say which node this is.
    #[error(transparent)]
    NoNodeName(#[from] NoNodeName),
}

/// Asks kubelets at their own port, by a service account's token.
///
/// It needs [`rbac::DIRECT`](super::rbac::DIRECT). Connections are not kept between requests, unless that is asked for:
/// one TLS handshake a minute costs less than thousands of idle connections, and a changed address or authority counts
/// at once. Redirects are not followed and proxies of the environment not used: the token goes to the node only.
///
/// ```no_run
/// use kubelet_summary::fetch::{AddressType, Direct, Fetcher, NodeTarget, Trust};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let fetcher = Direct::builder().trust(Trust::PemFile("/etc/kubelets/ca.pem".into())).build()?;
/// let node = NodeTarget::new("node-1").address(AddressType::InternalIp, "10.0.0.1");
/// let summary = fetcher.fetch(&node).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Direct {
    options: Arc<Options>,
    names: Names,
    connector: Arc<Mutex<Connector>>,
    bodies: Arc<Bodies>,
}

/// The client, and the authorities that it was made with.
struct Connector {
    client: Client,
    pem: Option<Vec<u8>>,
    /// How many times the authorities have changed.
    generation: u64,
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Where a request goes.
struct Destination {
    url: String,
    /// As host and port, for messages.
    shown: String,
    /// Keeps the node's name resolvable.
    _known: Option<resolve::Known>,
}

impl Direct {
    /// With the service account's token and the cluster's authority, unless the builder says otherwise.
    pub fn builder() -> DirectBuilder {
        DirectBuilder::default()
    }

    /// For the kubelet of the node that this pod runs on ([`NodeTarget::local`]), with the service account's token and
    /// the cluster's authority. [`DirectBuilder::local`] takes other ones.
    pub fn local() -> Result<(Self, NodeTarget), DirectError> {
        Self::builder().local()
    }

    fn new(options: Options) -> Result<Self, DirectError> {
        let names = Names::default();
        let pem = if options.https { options.trust.read()? } else { None };
        let client = options.client(pem.as_deref(), &names)?;
        Ok(Self {
            options: Arc::new(options),
            names,
            connector: Arc::new(Mutex::new(Connector { client, pem, generation: 0 })),
            bodies: Arc::default(),
        })
    }

    /// Takes up authorities that changed in their file since a request failed by those of that generation. Whether
    /// there are others now, by this request or by one beside it: all that failed together may try again.
    fn renew_authorities(&self, failed: u64) -> bool {
        let Ok(Some(pem)) = self.options.trust.read() else { return self.connector.lock().generation != failed };
        {
            let connector = self.connector.lock();
            if connector.generation != failed || connector.pem.as_ref() == Some(&pem) {
                return connector.generation != failed;
            }
        }
        match self.options.client(Some(&pem), &self.names) {
            Ok(client) => {
                let mut connector = self.connector.lock();
                if connector.generation == failed {
                    tracing::info!("the authorities that kubelets' certificates are checked against have changed");
                    *connector = Connector { client, pem: Some(pem), generation: failed.wrapping_add(1) };
                }
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the authorities in the file have changed, and can't be used");
                false
            }
        }
    }

    fn destination(&self, node: &NodeTarget) -> Result<Destination, FetchError> {
        let kinds = &self.options.address_types;
        let address = node.preferred(kinds).ok_or_else(|| FetchError::NoAddress {
            known: node.addresses.iter().map(|it| format!("{}={}", it.kind.as_str(), it.address)).collect(),
            preferred: kinds.iter().map(|kind| kind.as_str()).collect(),
        })?;
        let host = address.address.trim();
        let ip = host.parse::<IpAddr>().ok();
        if ip.is_none() && !is_dns_name(host) {
            return Err(FetchError::BadAddress { address: host.to_owned() });
        }
        let port = self.options.port.unwrap_or(node.port);
        let (scheme, path) =
            (if self.options.https { "https" } else { "http" }, path(self.options.only_cpu_and_memory));
        let shown = authority(host, port);
        if self.options.verify_node_name && self.options.https && can_be_checked(&node.name) {
            let place = ip.map_or_else(|| Place::Name(host.into()), Place::Ip);
            let url = format!("{scheme}://{}{path}", authority(&node.name, port));
            return Ok(Destination { url, shown, _known: Some(self.names.know(&node.name, place)) });
        }
        Ok(Destination { url: format!("{scheme}://{shown}{path}"), shown, _known: None })
    }

    async fn ask(&self, node: &NodeTarget, phase: &mut Phase) -> Result<Summary, FetchError> {
        let destination = self.destination(node)?;
        let token = self.options.token.header().await?;
        let (client, generation) = {
            let connector = self.connector.lock();
            (connector.client.clone(), connector.generation)
        };
        let mut sent = self.send(&client, &destination, token.as_ref()).await;
        // A cluster's authority may change while this runs. Nothing was sent to a kubelet that was not trusted.
        if matches!(sent, Err(FetchError::Tls { problem: TlsProblem::UnknownAuthority, .. }))
            && self.renew_authorities(generation)
        {
            let client = self.connector.lock().client.clone();
            sent = self.send(&client, &destination, token.as_ref()).await;
        }
        let response = sent?;
        *phase = Phase::Body;
        let Options { max_bytes, parts, .. } = *self.options;
        answer::summary(response.into(), Access::Direct, max_bytes, parts, &self.bodies).await
    }

    async fn send(
        &self,
        client: &Client,
        to: &Destination,
        token: Option<&HeaderValue>,
    ) -> Result<reqwest::Response, FetchError> {
        let mut request = client.get(&to.url).header(ACCEPT, "application/json");
        // Whoever listens to plain HTTP is not to have it.
        if let Some(token) = token.filter(|_| self.options.https) {
            request = request.header(AUTHORIZATION, token);
        }
        request.send().await.map_err(|error| {
            if error.is_connect() && error.is_timeout() {
                return FetchError::Timeout { after: self.options.connect_deadline(), phase: Phase::Connect };
            }
            let to = to.shown.clone();
            match tls::problem(&error) {
                Some(problem) => FetchError::Tls { to, problem },
                None => FetchError::Connect { to, source: error.without_url().into() },
            }
        })
    }
}

impl Fetcher for Direct {
    fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
        async move {
            let mut phase = Phase::Answer;
            let deadline = self.options.deadline;
            let asked = timeout(deadline, self.ask(node, &mut phase)).await;
            asked.unwrap_or(Err(FetchError::Timeout { after: deadline, phase }))
        }
        .boxed()
    }
}

/// Whether it may stand in a URL as it is, without moving the request elsewhere.
fn is_dns_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Host and port as a URL has them: an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

/// Whether it may be a URL's host and not be taken for an IPv4 address, as all that ends in a number is.
fn can_be_checked(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    is_dns_name(name) && !last.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::AddressType;

    #[test]
    fn a_loopback_address_is_checked_by_the_nodes_name() {
        let direct = || Direct::builder().trust(Trust::Insecure).token(Token::None);
        for (address, host) in [("127.0.0.1", "node-1"), ("::1", "node-1"), ("10.0.0.1", "10.0.0.1")] {
            let node = NodeTarget::new("node-1").address(AddressType::InternalIp, address);
            let url = direct().for_local(&node).build().unwrap().destination(&node).unwrap().url;
            assert_eq!(url, format!("https://{host}:10250/stats/summary"));
        }
    }

    #[test]
    fn destinations_are_addresses_of_the_node_and_nothing_else() {
        let direct = Direct::builder().trust(Trust::Insecure).token(Token::None);
        let url = |direct: &DirectBuilder, node: &NodeTarget| {
            direct.clone().build().unwrap().destination(node).map(|it| (it.url, it.shown))
        };
        let node = NodeTarget::new("Node-1")
            .address(AddressType::Hostname, "node-1.example")
            .address(AddressType::InternalIp, "fd00::1");
        let plain = |url: &str, shown: &str| (url.to_owned(), shown.to_owned());
        assert_eq!(url(&direct, &node).unwrap(), plain("https://[fd00::1]:10250/stats/summary", "[fd00::1]:10250"),);
        let names = direct.clone().address_types([AddressType::Hostname]).only_cpu_and_memory(true);
        assert_eq!(
            url(&names, &node).unwrap(),
            plain("https://node-1.example:10250/stats/summary?only_cpu_and_memory=true", "node-1.example:10250"),
        );
        let by_name = direct.clone().verify_node_name(true);
        assert_eq!(url(&by_name, &node).unwrap(), plain("https://Node-1:10250/stats/summary", "[fd00::1]:10250"),);
        for name in ["10.0.0.9", "rack.12", "node 1"] {
            let node = NodeTarget::new(name).address(AddressType::InternalIp, "10.0.0.1");
            assert_eq!(url(&by_name, &node).unwrap().0, "https://10.0.0.1:10250/stats/summary");
        }
        assert_eq!(
            url(&direct.clone().read_only_port(), &node).unwrap(),
            plain("http://[fd00::1]:10255/stats/summary", "[fd00::1]:10255"),
        );
        let none = url(&direct.clone().address_types([AddressType::ExternalIp]), &node).unwrap_err().to_string();
        assert!(
            none.contains("Hostname=node-1.example, InternalIP=fd00::1") && none.contains("[ExternalIP]"),
            "{none}"
        );
        for address in ["evil.example/", "a@b", "a:1", "a#", "a b", "a?", "[::1]", "fe80::1%25eth0", "a\\b"] {
            let node = NodeTarget::new("n").address(AddressType::InternalIp, address);
            let error = url(&direct, &node).unwrap_err();
            assert!(matches!(error, FetchError::BadAddress { .. }), "{error}");
        }
    }

    #[test]
    fn addresses_of_ipv6_are_in_brackets() {
        for (host, want) in
            [("10.0.0.1", "10.0.0.1:1"), ("fd00::1", "[fd00::1]:1"), ("a.example", "a.example:1"), ("::1", "[::1]:1")]
        {
            assert_eq!(authority(host, 1), want);
        }
    }
}
