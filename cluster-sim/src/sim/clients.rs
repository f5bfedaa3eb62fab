//! How clients get at the server.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use secrecy::SecretString;

use super::Sim;
use crate::client;
use crate::http::memory;

/// The name of the one cluster, user and context in the kubeconfig.
const NAME: &str = "cluster-sim";

impl Sim {
    /// A client's configuration for this server, with a token if it asks for one.
    pub fn kube_config(&self) -> kube::Config {
        config(self.inner.address, self.inner.token.as_deref())
    }

    /// A client of this server. Clones share connections; build one from [`kube_config`](Self::kube_config) for
    /// connections of its own.
    pub fn client(&self) -> kube::Client {
        self.inner.client.clone()
    }

    /// A kubeconfig for this server, for kubectl and everything else.
    pub fn kubeconfig(&self) -> Kubeconfig {
        let token = self.inner.token.clone().map(SecretString::from);
        Kubeconfig {
            api_version: Some("v1".to_owned()),
            kind: Some("Config".to_owned()),
            clusters: vec![NamedCluster {
                name: NAME.to_owned(),
                cluster: Some(Cluster { server: Some(self.url()), ..Cluster::default() }),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: NAME.to_owned(),
                auth_info: Some(AuthInfo { token, ..AuthInfo::default() }),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext {
                name: NAME.to_owned(),
                context: Some(Context { cluster: NAME.to_owned(), user: Some(NAME.to_owned()), ..Context::default() }),
                ..NamedContext::default()
            }],
            current_context: Some(NAME.to_owned()),
            ..Kubeconfig::default()
        }
    }

    /// A client whose connections are pipes within the process, for tests in paused time
    /// (`#[tokio::test(start_paused = true)]`): hours of its life pass in milliseconds, and every deadline at its very
    /// moment. With a socket, paused time runs on while bytes are under way.
    ///
    /// Its requests are served, counted and spoiled as all others; [`restart`](Self::restart) and
    /// [`shutdown`](Self::shutdown) reset its connections too. It has connections of its own, and does not retry by
    /// itself, as [`client`](Self::client) does. To be called within a runtime.
    pub fn client_in_memory(&self) -> kube::Client {
        self.pipes(self.inner.token.as_deref())
    }

    fn pipes(&self, token: Option<&str>) -> kube::Client {
        let connector = memory::connector(Arc::clone(&self.inner.server), Arc::clone(&self.inner.connections));
        client::client(connector, url(self.inner.address), token)
    }
}

pub(super) fn config(address: SocketAddr, token: Option<&str>) -> kube::Config {
    let mut config = kube::Config::new(url(address));
    config.auth_info.token = token.map(|token| SecretString::from(token.to_owned()));
    config
}

fn url(address: SocketAddr) -> Uri {
    // An authority of digits, dots and a colon is a URI.
    Uri::builder().scheme("http").authority(address.to_string()).path_and_query("/").build().unwrap_or_default()
}
