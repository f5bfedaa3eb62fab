//! What a direct fetcher can be told.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::Client;

use super::resolve::Names;
use super::{Direct, DirectError, Token, Trust};
use crate::fetch::target::READ_ONLY_PORT;
use crate::fetch::{AddressType, DEFAULT_DEADLINE, DEFAULT_MAX_BYTES, NodeTarget, SERVICE_ACCOUNT};
use crate::schema::Parts;

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) https: bool,
    pub(super) port: Option<u16>,
    pub(super) token: Token,
    pub(super) trust: Trust,
    pub(super) verify_node_name: bool,
    pub(super) address_types: Vec<AddressType>,
    pub(super) deadline: Duration,
    pub(super) connect_deadline: Option<Duration>,
    pub(super) keep_alive: Option<Duration>,
    pub(super) max_bytes: usize,
    pub(super) only_cpu_and_memory: bool,
    pub(super) parts: Parts,
}

impl Options {
    /// How long it may take until there is a connection: below the whole deadline, so that of a request that never got
    /// one that is told.
    pub(super) fn connect_deadline(&self) -> Duration {
        let most = self.deadline / 10 * 9;
        self.connect_deadline.map_or(self.deadline / 2, |deadline| deadline.min(most))
    }

    pub(super) fn client(&self, pem: Option<&[u8]>, names: &Names) -> Result<Client, DirectError> {
        // Without TLS nobody is trusted, and no file needed; the client wants a configuration all the same.
        let trust = if self.https { &self.trust } else { &Trust::Insecure };
        Client::builder()
            .tls_backend_preconfigured(trust.config(pem)?)
            .dns_resolver(names.clone())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect_deadline())
            .pool_max_idle_per_host(usize::from(self.keep_alive.is_some()))
            .pool_idle_timeout(self.keep_alive)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|source| DirectError::Tls { source: source.into() })
    }
}

/// What a [`Direct`] can be told. See [`Direct::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct DirectBuilder(Options);

impl Default for DirectBuilder {
    fn default() -> Self {
        Self(Options {
            https: true,
            port: None,
            token: Token::File(Path::new(SERVICE_ACCOUNT).join("token")),
            trust: Trust::default(),
            verify_node_name: false,
            address_types: vec![AddressType::InternalIp, AddressType::InternalDns, AddressType::Hostname],
            deadline: DEFAULT_DEADLINE,
            connect_deadline: None,
            keep_alive: None,
            max_bytes: DEFAULT_MAX_BYTES,
            only_cpu_and_memory: false,
            parts: Parts::default(),
        })
    }
}

impl DirectBuilder {
    /// Who asks; the service account's token file by default.
    pub fn token(mut self, token: Token) -> Self {
        self.0.token = token;
        self
    }

    /// Whose certificates are trusted; the cluster's authority's by default. A file of authorities is read at once, and
    /// again when a kubelet shows a certificate of an unknown one.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.0.trust = trust;
        self
    }

    /// Whether a certificate is checked against the Node's name rather than the address that is connected to, be that
    /// an IP address or a DNS name. For certificates without IP addresses in them; off by default. Of Nodes whose names end in a number, as those that
    /// are IP addresses, the address is checked all the same.
    pub fn verify_node_name(mut self, verify: bool) -> Self {
        self.0.verify_node_name = verify;
        self
    }

    /// Which kinds of address are used, the first that a node has; `InternalIP`, `InternalDNS`, `Hostname` by default.
    pub fn address_types(mut self, kinds: impl IntoIterator<Item = AddressType>) -> Self {
        self.0.address_types = kinds.into_iter().collect();
        self
    }

    /// Another port for all nodes than they say themselves.
    pub fn port(mut self, port: u16) -> Self {
        self.0.port = Some(port);
        self
    }

    /// Plain HTTP at the read-only port 10255, without a token: for kubelets that have it on (`readOnlyPort`). Nobody
    /// is authenticated on either side.
    pub fn read_only_port(mut self) -> Self {
        (self.0.https, self.0.port, self.0.token) = (false, Some(READ_ONLY_PORT), Token::None);
        self
    }

    /// How long a request may take, from reading the token to the document's end; 10 s by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.0.deadline = deadline;
        self
    }

    /// How long it may take until there is a connection, the TLS handshake included; half of [`deadline`](Self::deadline)
    /// by default, and nine tenths of it at most.
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.0.connect_deadline = Some(deadline);
        self
    }

    /// Keeps one connection per node for so long after a request. Not by default. With it, a node's new address or a
    /// changed authority may count only when the connection has ended.
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.0.keep_alive = Some(idle);
        self
    }

    /// The longest document, decompressed; 8 MiB by default.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.0.max_bytes = max_bytes;
        self
    }

    /// Whether kubelets are asked for the light form, which lacks storage and network.
    pub fn only_cpu_and_memory(mut self, only: bool) -> Self {
        self.0.only_cpu_and_memory = only;
        self
    }

    /// Which parts of documents are kept; [`Parts::USAGE`] by default.
    pub fn parts(mut self, parts: Parts) -> Self {
        self.0.parts = parts;
        self
    }

    /// The fetcher, for the node that this pod runs on, and that node ([`NodeTarget::local`]). Where its address is a
    /// loopback one, which no certificate of a kubelet is for, the node's name is checked instead.
    ///
    /// ```no_run
    /// use kubelet_summary::fetch::{Direct, Trust};
    ///
    /// let (fetcher, node) = Direct::builder().trust(Trust::PemFile("/etc/kubelets/ca.pem".into())).local()?;
    /// # Ok::<(), kubelet_summary::fetch::DirectError>(())
    /// ```
    pub fn local(self) -> Result<(Direct, NodeTarget), DirectError> {
        let node = NodeTarget::local()?;
        Ok((self.for_local(&node).build()?, node))
    }

    pub(super) fn for_local(mut self, node: &NodeTarget) -> Self {
        let address = node.preferred(&self.0.address_types).and_then(|it| it.address.parse::<IpAddr>().ok());
        self.0.verify_node_name |= address.is_some_and(|address| address.is_loopback());
        self
    }

    /// The fetcher. Fails where the authorities can't be read.
    pub fn build(self) -> Result<Direct, DirectError> {
        Direct::new(self.0)
    }
}
