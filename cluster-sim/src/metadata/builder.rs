//! Deciding what a metadata service is like before it starts.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::server::MetadataServer;
use super::service::Metadata;
use crate::error::SimError;

/// What a metadata service is to be like; made by [`MetadataServer::builder`], ended by [`start`](Self::start).
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct MetadataServerBuilder {
    port: u16,
    ipv6: bool,
    metadata: Metadata,
}

impl MetadataServerBuilder {
    pub(super) fn new(machine: Machine) -> Self {
        Self { port: 0, ipv6: false, metadata: Metadata::new(machine) }
    }

    /// The port on 127.0.0.1, and on `[::1]` if asked for; 0, the default, is any that is free on each.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Listen on `[::1]` too; `false` by default.
    pub fn ipv6(mut self, on: bool) -> Self {
        self.ipv6 = on;
        self
    }

    /// AWS: whether requests without a token are answered, as version 1 does; `false` by default. Requests with a
    /// token that does not hold are refused all the same.
    pub fn v1_allowed(mut self, on: bool) -> Self {
        self.metadata.v1_allowed = on.into();
        self
    }

    /// AWS: start with a hop limit that is [too low](MetadataServer::set_hop_limit_too_low); `false` by default.
    pub fn hop_limit_too_low(mut self, on: bool) -> Self {
        self.metadata.hop_limit_too_low = on.into();
        self
    }

    /// Start [disabled](MetadataServer::set_disabled); `false` by default.
    pub fn disabled(mut self, on: bool) -> Self {
        self.metadata.disabled = on.into();
        self
    }

    /// Listen.
    #[expect(clippy::unused_async, reason = "listening needs a runtime, which an async function runs in")]
    pub async fn start(self) -> Result<MetadataServer, SimError> {
        self.listen(CancellationToken::new())
    }

    /// Listen until the token is cancelled, from within a runtime.
    pub(super) fn listen(self, stop: CancellationToken) -> Result<MetadataServer, SimError> {
        let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))];
        if self.ipv6 {
            addresses.push((Ipv6Addr::LOCALHOST, self.port).into());
        }
        MetadataServer::run(self.metadata, &addresses, stop)
    }
}
