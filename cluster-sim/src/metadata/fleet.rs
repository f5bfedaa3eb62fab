//! The metadata services of a simulated cluster's nodes: each starts when somebody asks for it.

use std::collections::BTreeMap;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::server::MetadataServer;
use crate::error::SimError;
use crate::reference::ObjectRef;
use crate::store::State;

/// Services by the names of their nodes; never more of them than there were nodes when the last one started.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    services: Mutex<BTreeMap<String, Posted>>,
}

/// A service, which is its node's as long as that keeps its uid.
#[derive(Debug)]
struct Posted {
    uid_hash: u64,
    server: MetadataServer,
}

impl Fleet {
    /// The service of a node. If there is none yet it is started, from within a runtime, until `stop`.
    pub(crate) fn of(&self, state: &State, node: &str, stop: &CancellationToken) -> Result<MetadataServer, SimError> {
        let unknown = || SimError::UnknownNode(node.to_owned());
        let uid_hash = uid_hash(state, node).ok_or_else(unknown)?;
        let mut services = self.services.lock();
        let posted = services.get(node).filter(|posted| posted.uid_hash == uid_hash && !posted.server.is_stopped());
        if let Some(posted) = posted {
            return Ok(posted.server.clone());
        }
        let object = crate::direct::get(state, &ObjectRef::new("v1", "Node", node))?.ok_or_else(unknown)?;
        let server = MetadataServer::builder(Machine::of_node(&object)?).listen(stop.child_token())?;
        services.retain(|name, posted| self::uid_hash(state, name) == Some(posted.uid_hash));
        services.insert(node.to_owned(), Posted { uid_hash, server: server.clone() });
        Ok(server)
    }

    /// Wait until all services have ended; their token is to be cancelled first.
    pub(crate) async fn shutdown(&self) {
        let services = std::mem::take(&mut *self.services.lock());
        join_all(services.values().map(|posted| posted.server.shutdown())).await;
    }
}

/// What tells a node from another one of its name.
fn uid_hash(state: &State, node: &str) -> Option<u64> {
    let nodes = state.registry.get("", "nodes")?;
    state.get(nodes, node).map(|entry| entry.uid_hash())
}
