//! The handle of a kubelet's ports.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::direct::{Kubelet, serve};
use crate::error::SimError;
use crate::http::doors::{DoorError, Doors};
use crate::http::speech::Speech;

/// How long a shutdown waits for connections to end.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The ports of one node's kubelet. Clones are handles of the same one; it stops with the simulator.
///
/// Its faults and requests are those of [all kubelets](crate::Sim::kubelets).
#[derive(Clone)]
pub struct KubeletServer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// The kubelet at its port, then at the read-only one, if it has any.
    pub(super) ports: Vec<Port>,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
    #[cfg(feature = "tls")]
    pub(super) authority: Option<Arc<crate::tls::Authority>>,
}

/// A port, and what is behind it.
pub(super) struct Port {
    pub(super) doors: Doors,
    pub(super) kubelet: Arc<Kubelet>,
    pub(super) speech: Speech,
}

impl Port {
    pub(super) fn open(&self, tracker: &TaskTracker, stop: &CancellationToken) -> Result<(), SimError> {
        let accept =
            |listener, connections| serve(Arc::clone(&self.kubelet), self.speech.clone(), listener, connections);
        self.doors.open(tracker, stop, accept).map_err(listen_error)
    }
}

pub(super) fn listen_error(DoorError { address, source }: DoorError) -> SimError {
    SimError::KubeletListen { address, source }
}

impl fmt::Debug for KubeletServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeletServer").field("node", &self.node()).field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl KubeletServer {
    /// The node's name.
    pub fn node(&self) -> &str {
        self.inner.ports.first().map_or("", |port| &port.kubelet.node)
    }

    /// The address of the kubelet's port, on 127.0.0.1: what the Node's `status` says.
    pub fn addr(&self) -> SocketAddr {
        self.address_of(0).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// The URL of the kubelet's port, for instance `https://127.0.0.1:34567`.
    pub fn url(&self) -> String {
        let scheme = self.inner.ports.first().map_or("http", |port| port.speech.scheme());
        format!("{scheme}://{}", self.addr())
    }

    /// The URL of the read-only port, if the kubelet has one.
    pub fn read_only_url(&self) -> Option<String> {
        self.address_of(1).map(|address| format!("http://{address}"))
    }

    fn address_of(&self, port: usize) -> Option<SocketAddr> {
        self.inner.ports.get(port)?.doors.addresses.first().copied()
    }

    /// The serving certificate in PEM; `None` for plain HTTP.
    #[cfg(feature = "tls")]
    pub fn certificate_pem(&self) -> Option<String> {
        self.tls().map(crate::tls::Tls::pem)
    }

    /// Serve another certificate from the next connection on. For plain HTTP, nothing changes.
    #[cfg(feature = "tls")]
    pub fn set_certificate(&self, certificate: super::Certificate) -> Result<(), SimError> {
        match (self.tls(), &self.inner.authority) {
            (Some(tls), Some(authority)) => tls.change(certificate, authority),
            _ => Ok(()),
        }
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Option<&crate::tls::Tls> {
        match &self.inner.ports.first()?.speech {
            Speech::Tls(tls) => Some(tls),
            Speech::Http => None,
        }
    }

    /// Reset all connections and refuse new ones, until [`start_again`](Self::start_again). The ports stay this
    /// kubelet's. The API server does not reach it either, and says 503.
    pub async fn stop_listening(&self) {
        self.set_down(true);
        for port in &self.inner.ports {
            port.doors.close().await;
        }
    }

    /// Accept connections again, on the same ports.
    #[expect(clippy::unused_async, reason = "listening needs a runtime, which an async function runs in")]
    pub async fn start_again(&self) -> Result<(), SimError> {
        let Inner { ports, tracker, stop, .. } = &*self.inner;
        ports.iter().try_for_each(|port| port.open(tracker, stop))?;
        self.set_down(false);
        Ok(())
    }

    fn set_down(&self, down: bool) {
        if let Some(port) = self.inner.ports.first() {
            port.kubelet.server.kubelets.set_down(&port.kubelet.node, down);
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.inner.stop.is_cancelled()
    }

    pub(super) fn stop(&self) {
        self.inner.stop.cancel();
    }

    /// Stop: no connection is accepted any more, and the open ones are reset. Through the API server the kubelet
    /// still answers. Returns when all tasks have ended, or after five seconds. Calling it again does no harm.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(SHUTDOWN, self.inner.tracker.wait()).await.is_err() {
            tracing::warn!("connections of a kubelet are still ending after {} s", SHUTDOWN.as_secs());
        }
    }
}
