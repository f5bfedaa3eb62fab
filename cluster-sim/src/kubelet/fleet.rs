//! The ports of a cluster's kubelets: each is opened when somebody asks for it.

use std::collections::BTreeMap;
#[cfg(feature = "tls")]
use std::sync::Arc;

use futures::future::join_all;
use parking_lot::Mutex;

use super::server::KubeletServer;
#[cfg(feature = "tls")]
use crate::error::SimError;
#[cfg(feature = "tls")]
use crate::tls::Authority;

/// The running servers by the names of their nodes.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    servers: Mutex<BTreeMap<String, KubeletServer>>,
    #[cfg(feature = "tls")]
    authority: Mutex<Option<Arc<Authority>>>,
}

impl Fleet {
    /// The cluster's authority, made when it is first needed.
    #[cfg(feature = "tls")]
    pub(crate) fn authority(&self) -> Result<Arc<Authority>, SimError> {
        let mut authority = self.authority.lock();
        if let Some(authority) = &*authority {
            return Ok(Arc::clone(authority));
        }
        Ok(Arc::clone(authority.insert(Arc::new(Authority::new()?))))
    }

    pub(super) fn get(&self, node: &str) -> Option<KubeletServer> {
        self.servers.lock().get(node).filter(|server| !server.is_stopped()).cloned()
    }

    /// Keep a server. Those of nodes that are gone, and the node's one of before, end; whose ended.
    pub(super) fn add(&self, server: KubeletServer, is_node: impl Fn(&str) -> bool) -> Vec<String> {
        let mut servers = self.servers.lock();
        let mut gone = Vec::new();
        servers.retain(|node, server| {
            let stays = is_node(node) && !server.is_stopped();
            if !stays {
                server.stop();
                gone.push(node.clone());
            }
            stays
        });
        gone.retain(|node| node != server.node());
        if let Some(before) = servers.insert(server.node().to_owned(), server) {
            before.stop();
        }
        gone
    }

    /// Wait until all servers have ended; their token is to be cancelled first.
    pub(crate) async fn shutdown(&self) {
        let servers = std::mem::take(&mut *self.servers.lock());
        join_all(servers.values().map(KubeletServer::shutdown)).await;
    }
}
