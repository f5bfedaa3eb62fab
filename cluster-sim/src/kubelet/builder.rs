//! Deciding what the ports of a kubelet are like before they open.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::direct::Kubelet;
use super::fleet::Fleet;
use super::requests::Way;
use super::server::{Inner, KubeletServer, Port, listen_error};
use crate::direct;
use crate::error::SimError;
use crate::http::doors::Doors;
use crate::http::speech::Speech;
use crate::object::Fields;
use crate::reference::ObjectRef;
use crate::server::Server;
#[cfg(feature = "tls")]
use crate::tls::{Certificate, Holder, Tls};

/// What the ports of a node's kubelet are to be like; made by [`Sim::kubelet`](crate::Sim::kubelet), ended by
/// [`start`](Self::start).
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct KubeletServerBuilder<'a> {
    server: &'a Arc<Server>,
    fleet: &'a Fleet,
    stop: &'a CancellationToken,
    node: String,
    port: u16,
    plain: bool,
    read_only: Option<u16>,
    #[cfg(feature = "tls")]
    certificate: Certificate,
}

impl<'a> KubeletServerBuilder<'a> {
    pub(crate) fn new(server: &'a Arc<Server>, fleet: &'a Fleet, stop: &'a CancellationToken, node: &str) -> Self {
        Self {
            server,
            fleet,
            stop,
            node: node.to_owned(),
            port: 0,
            plain: false,
            read_only: None,
            #[cfg(feature = "tls")]
            certificate: Certificate::default(),
        }
    }

    /// The port on 127.0.0.1; 0, the default, is any that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Speak HTTP without TLS at the kubelet's port. Clients are asked who they are all the same.
    pub fn plain_http(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Open a read-only port too, as 10255 was: it speaks HTTP without TLS, and asks nobody who they are. 0 is any port
    /// that is free.
    pub fn read_only_port(mut self, port: u16) -> Self {
        self.read_only = Some(port);
        self
    }

    /// The serving certificate; [`Certificate::Signed`] by default.
    #[cfg(feature = "tls")]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// Open the ports, and tell of them in the Node: `status.addresses` has 127.0.0.1 as its `InternalIP`, and
    /// `status.daemonEndpoints.kubeletEndpoint.Port` the port, whoever writes the object through the handle from now on.
    /// Ports that the node's kubelet had before are closed.
    #[expect(clippy::unused_async, reason = "listening needs a runtime, which an async function runs in")]
    pub async fn start(self) -> Result<KubeletServer, SimError> {
        let node = ObjectRef::new("v1", "Node", &self.node);
        let unknown = || SimError::UnknownNode(self.node.clone());
        direct::get(&self.server.store.state.read(), &node)?.ok_or_else(unknown)?;
        let stop = self.stop.child_token();
        let tracker = TaskTracker::new();
        let mut ports = vec![self.port_of(self.port, Way::Direct, self.speech()?)?];
        if let Some(read_only) = self.read_only {
            ports.push(self.port_of(read_only, Way::ReadOnly, Speech::Http)?);
        }
        ports.iter().try_for_each(|port| port.open(&tracker, &stop))?;
        let server = KubeletServer {
            inner: Arc::new(Inner {
                ports,
                tracker,
                stop,
                #[cfg(feature = "tls")]
                authority: if self.plain { None } else { Some(self.fleet.authority()?) },
            }),
        };
        {
            let mut state = self.server.store.state.write();
            let object = direct::get(&state, &node)?.ok_or_else(unknown)?;
            state.kubelets.insert(self.node.clone(), server.addr());
            direct::upsert(&mut state, object)?;
        }
        self.server.kubelets.set_down(&self.node, false);
        let state = &mut *self.server.store.state.write();
        let nodes = state.registry.get("", "nodes").and_then(|nodes| state.table(nodes));
        let gone = self.fleet.add(server.clone(), |name| nodes.is_some_and(|nodes| nodes.get(name).is_some()));
        for node in gone {
            state.kubelets.remove(&node);
        }
        Ok(server)
    }

    fn port_of(&self, port: u16, way: Way, speech: Speech) -> Result<Port, SimError> {
        let doors = Doors::take(&[SocketAddr::from((Ipv4Addr::LOCALHOST, port))]).map_err(listen_error)?;
        let kubelet = Kubelet { server: Arc::clone(self.server), node: self.node.clone(), way };
        Ok(Port { doors, kubelet: Arc::new(kubelet), speech })
    }

    #[cfg(feature = "tls")]
    fn speech(&self) -> Result<Speech, SimError> {
        if self.plain {
            return Ok(Speech::Http);
        }
        let tls = Tls::new(self.certificate, Holder::kubelet(&self.node), &*self.fleet.authority()?)?;
        Ok(Speech::Tls(Arc::new(tls)))
    }

    #[cfg(not(feature = "tls"))]
    fn speech(&self) -> Result<Speech, SimError> {
        if self.plain { Ok(Speech::Http) } else { Err(SimError::NoTls { node: self.node.clone() }) }
    }
}

/// Let a Node say where its kubelet is.
pub(crate) fn tell(node: &mut Fields, address: SocketAddr) {
    let status = node.entry("status").or_insert_with(|| json!({}));
    if !status.is_object() {
        *status = json!({});
    }
    let internal = json!({"type": "InternalIP", "address": address.ip().to_string()});
    let others = status["addresses"].as_array().into_iter().flatten();
    let others = others.filter(|other| !matches!(other["type"].as_str(), Some("InternalIP" | "InternalDNS")));
    status["addresses"] = std::iter::once(&internal).chain(others).cloned().collect();
    status["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": address.port()}});
}

#[cfg(all(test, not(feature = "tls")))]
mod tests {
    use super::*;
    use crate::Sim;

    #[tokio::test]
    async fn without_tls_a_kubelet_speaks_plain_http_or_says_why_not() {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}});
        let sim = Sim::builder().objects([node]).start().await.unwrap();
        let error = sim.kubelet("a").start().await.unwrap_err();
        assert!(error.to_string().contains("feature tls"), "{error}");
        assert!(sim.kubelet("a").plain_http().start().await.unwrap().url().starts_with("http://127.0.0.1:"));
    }
}
