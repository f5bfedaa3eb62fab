//! All kubelets of a cluster at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::fault::{Effects, KubeletFaults};
use super::fleet::Fleet;
use super::requests::KubeletRequests;
use super::server::KubeletServer;
use crate::error::SimError;
use crate::server::Server;

/// The kubelets of a cluster; see [`Sim::kubelets`](crate::Sim::kubelets).
#[derive(Clone, Copy, Debug)]
pub struct Kubelets<'a> {
    pub(crate) server: &'a Arc<Server>,
    pub(crate) fleet: &'a Fleet,
}

impl<'a> Kubelets<'a> {
    /// Their faults: add some, and take them away.
    pub fn faults(&self) -> KubeletFaults<'a> {
        KubeletFaults { rules: &self.server.kubelets.faults, clock: self.server.clock }
    }

    /// What clients have asked them for, in every way.
    pub fn requests(&self) -> &'a KubeletRequests {
        &self.server.kubelets.requests
    }

    /// The summary of a node as its kubelet would tell it now, faults left out. Nobody's request: it is not counted.
    pub fn summary(&self, node: &str) -> Result<Bytes, SimError> {
        self.document(node, false)
    }

    /// The same with cpu and memory alone.
    pub fn light_summary(&self, node: &str) -> Result<Bytes, SimError> {
        self.document(node, true)
    }

    fn document(&self, node: &str, light: bool) -> Result<Bytes, SimError> {
        let document = self.server.kubelets.summary(self.server, node, light, &Effects::default());
        document.ok_or_else(|| SimError::UnknownNode(node.to_owned()))
    }

    /// The running ports of a node's kubelet, if it has any.
    pub fn server(&self, node: &str) -> Option<KubeletServer> {
        self.fleet.get(node)
    }

    /// Let nothing listen at a node's kubelet, as the API server sees it, or let it again: it says 503 meanwhile. Ports
    /// of its own are closed by [`KubeletServer::stop_listening`], which does this too.
    pub fn set_down(&self, node: &str, down: bool) {
        self.server.kubelets.set_down(node, down);
    }

    /// Decides every rate and size; 0 by default. What is told changes at once.
    pub fn set_seed(&self, seed: u64) {
        self.server.kubelets.settings.write().seed = seed;
    }

    /// The time between two samples of everything but volumes, in whole seconds and one at least; by default everything
    /// has a time of its own, from 10 to 15 seconds.
    pub fn set_housekeeping(&self, interval: Option<Duration>) {
        self.server.kubelets.settings.write().housekeeping = interval.map(|interval| interval.as_secs().max(1));
    }

    /// Whether pressure stall information is told; by default if `status.nodeInfo.kubeletVersion` is 1.34 or newer.
    pub fn set_psi(&self, on: Option<bool>) {
        self.server.kubelets.settings.write().psi = on;
    }
}
