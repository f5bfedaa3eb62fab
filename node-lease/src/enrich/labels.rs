//! Metadata as plain labels, for metrics whose labels are made elsewhere.

use super::Enricher;

impl Enricher {
    /// Calls `add` with each label of a node, by its Prometheus name (`host_id`); whether the node is known.
    ///
    /// This is the form that an enrichment hook takes:
    ///
    /// ```
    /// # use node_lease::{Attribute, Enricher, NodeLookup, NodeMetadata};
    /// # struct Inventory;
    /// # impl NodeLookup for Inventory {
    /// #     fn metadata(&self, _: &str) -> Option<std::sync::Arc<NodeMetadata>> {
    /// #         Some(std::sync::Arc::new(NodeMetadata::new().with(Attribute::HostId, "i-1")))
    /// #     }
    /// # }
    /// # let enricher = Enricher::new(Inventory);
    /// let mut labels = Vec::new();
    /// enricher.labels("node-1", |name, value| labels.push((name, value.to_owned())));
    /// assert_eq!(labels, [("host_id", "i-1".to_owned())]);
    /// ```
    pub fn labels(&self, node: &str, mut add: impl FnMut(&'static str, &str)) -> bool {
        let Some(metadata) = self.lookup(node) else { return false };
        for attribute in &self.attributes {
            if let Some(value) = metadata.get(*attribute) {
                add(attribute.label(), value);
            }
        }
        true
    }
}
