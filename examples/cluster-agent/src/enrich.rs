//! Labels of the machine under a node, on the series of the node and of whatever runs there: what joins `node-lease`,
//! which knows the machines, to `ksm-core`, which has the series. Neither knows of the other.
//!
//! Labels get to an object in two ways. When the object changes, `ksm-core` calls a hook, which reads the cache. When a
//! node's metadata change, the cache tells it, and [`NodeLabels::follow`] sets the labels of the objects that are there.
//!
//! Nothing gets lost between the two, whichever comes first. A change is in the cache before it is told. The hook notes
//! the object down *before* it reads the cache, and both while the object's store is locked: what was told before the
//! hook looked is what it reads, and what is told later finds the object noted down, and waits for its store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{Stream, StreamExt};
use ksm_core::{Change, Ksm, Label, ObjectKey, ResourceBuilder};
use node_lease::{Enricher, NodeChange};
use parking_lot::Mutex;

/// The labels of nodes' machines, and the objects that get them.
#[derive(Debug)]
pub(crate) struct NodeLabels {
    enricher: Arc<Enricher>,
    /// The objects of each resource.
    resources: Vec<(&'static str, Arc<Mutex<Places>>)>,
}

impl NodeLabels {
    pub(crate) fn new(enricher: Enricher) -> Self {
        Self { enricher: Arc::new(enricher), resources: Vec::new() }
    }

    /// Enriches a resource, of which `node_of` tells each object's node. The labels are this host's only extra ones of
    /// the resource: a second enricher's would be lost when metadata change.
    pub(crate) fn enrich<K>(
        &mut self,
        name: &'static str,
        resource: ResourceBuilder<K>,
        node_of: fn(&K) -> Option<&str>,
    ) -> ResourceBuilder<K>
    where
        K: kube::Resource + serde::de::DeserializeOwned + Send + Sync + 'static,
    {
        let places = Arc::new(Mutex::new(Places::default()));
        self.resources.push((name, places.clone()));
        let (enricher, noted) = (self.enricher.clone(), places.clone());
        let resource = resource.enrich(move |object, extra| {
            let node = node_of(object).filter(|node| !node.is_empty());
            if let Some(key) = ObjectKey::of(object.meta()) {
                noted.lock().put(key, node);
            }
            // Not before it is noted down.
            if let Some(node) = node {
                enricher.labels(node, |name, value| extra.add(name, value));
            }
        });
        resource.on_change(move |change| {
            let gone = match change {
                Change::Added(_) | Change::Updated(_) => None,
                Change::Deleted(object) => ObjectKey::of(object.meta()),
                Change::Vanished(removed) => Some(removed.key),
                Change::Moved(key) => Some(*key),
            };
            if let Some(key) = gone {
                places.lock().put(key, None);
            }
        })
    }

    /// Brings changes of metadata to the series, until they end. Take them from the cache before anything is watched.
    pub(crate) async fn follow(self, ksm: Arc<Ksm>, changes: impl Stream<Item = NodeChange>) {
        let mut changes = std::pin::pin!(changes);
        while let Some(change) = changes.next().await {
            match change {
                NodeChange::Changed { node, .. } | NodeChange::Removed { node, .. } => self.refresh(&ksm, &node),
                // Some changes were missed: any node's may be among them.
                _ => self.refresh_all(&ksm),
            }
        }
    }

    /// Gives all objects on a node the labels that it has now; none where nothing is known any more.
    fn refresh(&self, ksm: &Ksm, node: &str) {
        let on = |(resource, places): &(&'static str, Arc<Mutex<Places>>)| (*resource, places.lock().on(node));
        let objects: Vec<(&str, Vec<ObjectKey>)> = self.resources.iter().map(on).collect();
        let mut labels: Vec<(&'static str, String)> = Vec::new();
        self.enricher.labels(node, |name, value| labels.push((name, value.to_owned())));
        let labels: Vec<Label<'_>> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (resource, keys) in objects {
            for key in keys {
                ksm.set_extra_labels(resource, key, &labels);
            }
        }
    }

    fn refresh_all(&self, ksm: &Ksm) {
        let nodes: HashSet<Arc<str>> = self.resources.iter().flat_map(|(_, places)| places.lock().nodes()).collect();
        for node in nodes {
            self.refresh(ksm, &node);
        }
    }
}

/// Which objects are on which nodes: as many as the resource has.
#[derive(Debug, Default)]
struct Places {
    node_of: HashMap<ObjectKey, Arc<str>>,
    on: HashMap<Arc<str>, HashSet<ObjectKey>>,
}

impl Places {
    /// Puts an object on a node, or on none.
    fn put(&mut self, key: ObjectKey, node: Option<&str>) {
        if self.node_of.get(&key).map(|known| &**known) == node {
            return;
        }
        if let Some(left) = self.node_of.remove(&key)
            && let Some(others) = self.on.get_mut(&left)
        {
            others.remove(&key);
            if others.is_empty() {
                self.on.remove(&left);
            }
        }
        if let Some(node) = node {
            let node = self.on.get_key_value(node).map_or_else(|| node.into(), |(known, _)| known.clone());
            self.on.entry(node.clone()).or_default().insert(key);
            self.node_of.insert(key, node);
        }
    }

    fn on(&self, node: &str) -> Vec<ObjectKey> {
        self.on.get(node).into_iter().flatten().copied().collect()
    }

    fn nodes(&self) -> Vec<Arc<str>> {
        self.on.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
