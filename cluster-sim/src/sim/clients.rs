//! How clients get at the server.

use std::sync::Arc;

use kube::config::Kubeconfig;

use super::Sim;
use crate::client;
use crate::http::memory;
use crate::kubelet::Way;
use crate::kubelet::direct::Kubelet;

impl Sim {
    /// A client's configuration for this server, with a token if it asks for one.
    pub fn kube_config(&self) -> kube::Config {
        self.inner.endpoint.config(self.inner.token.as_deref())
    }

    /// A client of this server. Clones share connections; build one from [`kube_config`](Self::kube_config) for
    /// connections of its own.
    pub fn client(&self) -> kube::Client {
        self.inner.client.clone()
    }

    /// A kubeconfig for this server, for kubectl and everything else.
    pub fn kubeconfig(&self) -> Kubeconfig {
        self.inner.endpoint.kubeconfig(self.inner.token.clone())
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

    /// A client of this server as this user (`system:serviceaccount:NAMESPACE:NAME` is a service account), with
    /// connections of its own: by a token that is theirs, made if there is none. To be called within a runtime.
    pub fn client_as(&self, user: &str) -> kube::Client {
        self.inner.endpoint.client(Some(&self.token_of(user)))
    }

    /// As [`client_as`](Self::client_as), without sockets: see [`client_in_memory`](Self::client_in_memory).
    pub fn client_in_memory_as(&self, user: &str) -> kube::Client {
        self.pipes(Some(&self.token_of(user)))
    }

    /// A client's configuration for this server as this user; see [`client_as`](Self::client_as).
    pub fn kube_config_as(&self, user: &str) -> kube::Config {
        self.inner.endpoint.config(Some(&self.token_of(user)))
    }

    /// A kubeconfig for this server as this user; see [`client_as`](Self::client_as).
    pub fn kubeconfig_as(&self, user: &str) -> Kubeconfig {
        self.inner.endpoint.kubeconfig(Some(self.token_of(user)))
    }

    /// A client of a node's kubelet as this user, without sockets; its paths are the kubelet's own, as
    /// `/stats/summary`. See [`client_in_memory`](Self::client_in_memory).
    pub fn kubelet_client_in_memory_as(&self, node: &str, user: &str) -> kube::Client {
        let kubelet = Kubelet { server: Arc::clone(&self.inner.server), node: node.to_owned(), way: Way::Direct };
        let connector = memory::connector(Arc::new(kubelet), Arc::clone(&self.inner.connections));
        client::client(connector, self.inner.endpoint.uri(), Some(&self.token_of(user)))
    }

    fn token_of(&self, user: &str) -> String {
        self.inner.server.access.write().token_of(user)
    }

    fn pipes(&self, token: Option<&str>) -> kube::Client {
        let connector = memory::connector(Arc::clone(&self.inner.server), Arc::clone(&self.inner.connections));
        client::client(connector, self.inner.endpoint.uri(), token)
    }
}
