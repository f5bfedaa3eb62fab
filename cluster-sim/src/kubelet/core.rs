//! What the kubelets of a cluster share; what differs from node to node follows from its objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::bound::Bound;
use super::facts::{Amounts, Claim, Node, Pod, Quantity};
use super::fault::{Effects, Rules};
use super::requests::KubeletRequests;
use super::summary;
use super::view::View;
use crate::server::Server;
use crate::store::State;
use crate::store::entry::{Entry, Form};

/// The kubelets of all nodes. Of a node and its pods nothing is kept: a document follows from their objects, a seed and
/// the time.
#[derive(Debug, Default)]
pub(crate) struct Core {
    bound: Bound,
    pub(super) faults: Rules,
    pub(super) requests: KubeletRequests,
    pub(super) settings: RwLock<Settings>,
    /// The nodes at whose ports nothing listens.
    down: Mutex<BTreeSet<String>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings {
    pub(super) seed: u64,
    pub(super) housekeeping: Option<u64>,
    pub(super) psi: Option<bool>,
}

impl Core {
    pub(super) fn is_down(&self, node: &str) -> bool {
        self.down.lock().contains(node)
    }

    pub(super) fn set_down(&self, node: &str, down: bool) {
        let mut nodes = self.down.lock();
        if down {
            nodes.insert(node.to_owned());
        } else {
            nodes.remove(node);
        }
    }

    /// The summary of a node as it is now, spoiled or not; `None` if there is no such node.
    pub(super) fn summary(&self, server: &Server, name: &str, light: bool, effects: &Effects) -> Option<Bytes> {
        let settings = *self.settings.read();
        let view = View {
            now: effects.now.unwrap_or_else(|| server.clock.now().as_second()),
            counted_from: effects.counted_from.unwrap_or(i64::MIN),
            seed: settings.seed,
            housekeeping: settings.housekeeping,
            psi: settings.psi,
            light,
            quirks: effects.quirks,
        };
        let (entries, form) = self.entries(server, name)?;
        let (mut text, mut ends) = (Vec::with_capacity(entries.iter().map(|entry| entry.len() + 1).sum()), Vec::new());
        for entry in &entries {
            entry.write(&form, &mut text);
            ends.push(text.len());
        }
        let mut start = 0;
        let pods = ends.into_iter().filter_map(|end| {
            let object = text.get(start..end).unwrap_or_default();
            start = end;
            let pod: Result<Pod<'_>, _> = serde_json::from_slice(object);
            pod.inspect_err(|error| tracing::debug!(%error, "a pod that its kubelet cannot read")).ok()
        });
        let pods: Vec<Pod<'_>> = pods.collect();
        let claimed = |namespace: &str, claim: &str| claimed(server, namespace, claim);
        read_node(server, name, |node| Bytes::from(summary::write(node, &pods, &view, &claimed)))
    }

    /// The pods of a node as their list.
    pub(super) fn pods(&self, server: &Server, name: &str) -> Bytes {
        let mut out = br#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":["#.to_vec();
        if let Some((entries, form)) = self.entries(server, name) {
            for (nth, entry) in entries.iter().enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                entry.write(&form, &mut out);
            }
        }
        out.extend_from_slice(b"]}\n");
        out.into()
    }

    /// The pods of a node, and how they are written. Nobody waits for that: only their pointers are taken under the lock.
    fn entries(&self, server: &Server, name: &str) -> Option<(Vec<Arc<Entry>>, Form)> {
        let state = server.store.state.read();
        Some((self.bound.of(&state, name), plain_form(&state, "pods")?))
    }
}

/// Read a node's object; `None` if there is none that can be read.
pub(super) fn read_node<T>(server: &Server, name: &str, read: impl FnOnce(&Node<'_>) -> T) -> Option<T> {
    serde_json::from_slice(&text_of(server, "nodes", name)?).ok().map(|node| read(&node))
}

/// An object of the core group, without its kind.
fn text_of(server: &Server, plural: &str, key: &str) -> Option<Vec<u8>> {
    let (entry, form) = {
        let state = server.store.state.read();
        (state.get(state.registry.get("", plural)?, key).cloned()?, plain_form(&state, plural)?)
    };
    let mut text = Vec::with_capacity(entry.len() + 1);
    entry.write(&form, &mut text);
    Some(text)
}

/// How objects of the core group are written without their kind.
// Of the state that the caller holds: a second lock on it, while somebody waits to write, would wait for ever.
fn plain_form(state: &State, plural: &str) -> Option<Form> {
    Some(Form::item(state.registry.get("", plural)?, "v1", false))
}

/// How many bytes a claim has, or asks for.
fn claimed(server: &Server, namespace: &str, name: &str) -> Option<u64> {
    let text = text_of(server, "persistentvolumeclaims", &format!("{namespace}/{name}"))?;
    let claim: Claim<'_> = serde_json::from_slice(&text).ok()?;
    let storage = |amounts: &Amounts<'_>| amounts.storage.as_ref().and_then(Quantity::whole);
    let got = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
    let asked = || claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref().and_then(storage);
    got.and_then(storage).or_else(asked)
}
