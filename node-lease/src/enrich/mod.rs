//! Putting a node's metadata on whatever names the node.

mod labels;
#[cfg(feature = "otlp")]
mod otlp;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use metrics::Counter;

use crate::cache::LeaseCache;
use crate::metadata::{Attribute, NodeMetadata};
use crate::telemetry;

/// Something with attributes, by OpenTelemetry's names (`k8s.node.name`).
///
/// ```
/// use std::borrow::Cow;
///
/// use node_lease::Attributes;
///
/// struct Span {
///     tags: Vec<(String, String)>,
/// }
///
/// impl Attributes for Span {
///     fn get(&self, key: &str) -> Option<Cow<'_, str>> {
///         self.tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.into())
///     }
///
///     fn set(&mut self, key: &'static str, value: &str) {
///         self.tags.retain(|(name, _)| name != key);
///         self.tags.push((key.to_owned(), value.to_owned()));
///     }
/// }
/// ```
pub trait Attributes {
    /// The value of an attribute.
    fn get(&self, key: &str) -> Option<Cow<'_, str>>;

    /// Sets an attribute, in place of what it was.
    fn set(&mut self, key: &'static str, value: &str);

    /// So many attributes are about to be set.
    fn reserve(&mut self, additional: usize) {
        let _ = additional;
    }

    /// Takes an attribute away; where that is not possible, nothing happens.
    fn remove(&mut self, key: &str) {
        let _ = key;
    }

    /// Whether an attribute is there.
    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

impl<S: BuildHasher> Attributes for HashMap<String, String, S> {
    fn remove(&mut self, key: &str) {
        HashMap::remove(self, key);
    }

    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        HashMap::get(self, key).map(Into::into)
    }

    fn set(&mut self, key: &'static str, value: &str) {
        self.insert(key.to_owned(), value.to_owned());
    }
}

impl Attributes for BTreeMap<String, String> {
    fn remove(&mut self, key: &str) {
        BTreeMap::remove(self, key);
    }

    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        BTreeMap::get(self, key).map(Into::into)
    }

    fn set(&mut self, key: &'static str, value: &str) {
        self.insert(key.to_owned(), value.to_owned());
    }
}

/// What tells a node's metadata: a [`LeaseCache`], or whatever else a host has.
pub trait NodeLookup: Send + Sync + 'static {
    /// What is known of a node.
    fn metadata(&self, node: &str) -> Option<Arc<NodeMetadata>>;
}

impl NodeLookup for LeaseCache {
    fn metadata(&self, node: &str) -> Option<Arc<NodeMetadata>> {
        self.get(node)
    }
}

/// One that may come later: until then, nothing is known.
impl<L: NodeLookup> NodeLookup for OnceLock<L> {
    fn metadata(&self, node: &str) -> Option<Arc<NodeMetadata>> {
        self.get().and_then(|lookup| lookup.metadata(node))
    }
}

impl<L: NodeLookup + ?Sized> NodeLookup for Arc<L> {
    fn metadata(&self, node: &str) -> Option<Arc<NodeMetadata>> {
        (**self).metadata(node)
    }
}

/// What became of something that was to be enriched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Enriched {
    /// It has its node's metadata.
    Hit,
    /// Its node is not known (yet): it is as it was.
    Miss,
    /// It names no node: it is as it was.
    NoNode,
}

/// Puts a node's metadata on whatever names the node by an attribute.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
///
/// use node_lease::{Attribute, Enriched, Enricher, NodeLookup, NodeMetadata};
///
/// struct Inventory;
///
/// impl NodeLookup for Inventory {
///     fn metadata(&self, node: &str) -> Option<Arc<NodeMetadata>> {
///         (node == "node-1").then(|| Arc::new(NodeMetadata::new().with(Attribute::HostType, "m6i.large")))
///     }
/// }
///
/// let enricher = Enricher::new(Inventory);
/// let mut resource = BTreeMap::from([("k8s.node.name".to_owned(), "node-1".to_owned())]);
/// assert_eq!(enricher.enrich(&mut resource), Enriched::Hit);
/// assert_eq!(resource["host.type"], "m6i.large");
/// ```
pub struct Enricher {
    lookup: Box<dyn NodeLookup>,
    node_key: String,
    overwrite: bool,
    attributes: Vec<Attribute>,
    hits: Counter,
    misses: Counter,
    no_nodes: Counter,
}

impl std::fmt::Debug for Enricher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enricher")
            .field("node_key", &self.node_key)
            .field("overwrite", &self.overwrite)
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}

impl Enricher {
    /// From a cache, or anything else that tells. It sets all [attributes](Attribute::ALL) that are known, in place of
    /// what was there: a resource detector of the central collector would have set its own host's.
    pub fn new(lookup: impl NodeLookup) -> Self {
        let counted = |result: &'static str| metrics::counter!(telemetry::ENRICHED, "result" => result);
        Self {
            lookup: Box::new(lookup),
            node_key: "k8s.node.name".to_owned(),
            overwrite: true,
            attributes: Attribute::ALL.to_vec(),
            hits: counted("hit"),
            misses: counted("miss"),
            no_nodes: counted("no_node"),
        }
    }

    /// Which attribute names the node; `k8s.node.name` by default.
    pub fn node_key(mut self, key: impl Into<String>) -> Self {
        self.node_key = key.into();
        self
    }

    /// Whether attributes that are there already are replaced; they are by default, and what they tell of a host goes
    /// where the node's id is known and the rest is not (yet): it would be another host's.
    pub fn overwrite(mut self, on: bool) -> Self {
        self.overwrite = on;
        self
    }

    /// Only these attributes.
    pub fn only(mut self, attributes: impl IntoIterator<Item = Attribute>) -> Self {
        self.attributes = attributes.into_iter().collect();
        self
    }

    /// What is known of a node.
    pub fn lookup(&self, node: &str) -> Option<Arc<NodeMetadata>> {
        let found = self.lookup.metadata(node);
        if found.is_some() {
            self.hits.increment(1);
        } else {
            self.misses.increment(1);
        }
        found
    }

    /// Enriches one thing.
    pub fn enrich<A: Attributes + ?Sized>(&self, attributes: &mut A) -> Enriched {
        let metadata = match attributes.get(&self.node_key) {
            Some(node) if !node.is_empty() => self.lookup(&node),
            _ => {
                self.no_nodes.increment(1);
                return Enriched::NoNode;
            }
        };
        let Some(metadata) = metadata else { return Enriched::Miss };
        attributes.reserve(self.attributes.len());
        // Where the host is another one, nothing of it may stay beside the node's id.
        let other_host = self.overwrite && metadata.get(Attribute::HostId).is_some();
        for attribute in &self.attributes {
            match metadata.get(*attribute) {
                Some(value) if self.overwrite || !attributes.has(attribute.name()) => {
                    attributes.set(attribute.name(), value);
                }
                None if other_host && attribute.name().starts_with("host.") => attributes.remove(attribute.name()),
                _ => {}
            }
        }
        Enriched::Hit
    }
}
