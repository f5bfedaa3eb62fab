//! Label joins: labels of one object on the series of others, resolved when an object changes, never per scrape.
//!
//! A join names a family whose samples give labels, the labels by which series are matched, and the labels that they
//! get. The words are those of the Datadog agent's `label_joins`:
//!
//! ```
//! use ksm_core::joins::LabelJoins;
//!
//! // Kubernetes labels of a node and of a namespace, on all series of their pods.
//! let joins: LabelJoins = serde_json::from_str(r#"{
//!     "kube_node_labels": {"labels_to_match": ["node"], "labels_to_get": ["label_topology_kubernetes_io_zone"]},
//!     "kube_namespace_labels": {"labels_to_match": ["namespace"], "labels_to_get": ["label_team"], "prefix": "ns_"},
//!     "kube_pod_info": {"labels_to_match": ["namespace", "pod"], "labels_to_get": ["node", "created_by_kind"]}
//! }"#)?;
//! let builder = ksm_core::Ksm::builder().label_joins(joins);
//! # drop(builder);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # What gives
//!
//! Samples of the family whose value is 1, and their labels: the family need not be exposed, nor its gate be open. A
//! family of Kubernetes labels or annotations (`kube_node_labels`) gives all of them, whatever the allowlists say.
//!
//! # What gets
//!
//! Every object that has the labels to match, on all its series. An object has those labels that all its samples begin
//! with (`namespace`, `pod`, `uid`), and those of the family that describes it (`kube_pod_info`: `node`, `created_by_name`,
//! …), if it has one: the family with the shortest name that ends in `_info`.
//!
//! Where an object has not all the labels to match, they are looked for on its single samples, and joined with samples of
//! the same object: `kube_pod_container_info` by `container` gives the `image` to all series of that container. Samples
//! are not joined one by one across objects.
//!
//! A label that a series has itself wins over a joined one; of two joins that give one label, the first does.
//!
//! # What it costs
//!
//! For each object that gets labels, some 200 bytes; for a change of an object that gives labels, a few microseconds for
//! each object that gets them. With shards, an object gets labels from objects of its own shard alone.

mod capture;
mod index;
mod role;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(crate) use capture::{Captured, InnerSink};
pub(crate) use index::{JoinIndex, Member};
pub(crate) use role::Role;

/// Joins by the name of the family that gives labels.
pub type LabelJoins = BTreeMap<String, LabelJoin>;

/// Which labels a family gives, and to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelJoin {
    /// The labels whose values must be equal.
    pub labels_to_match: Vec<String>,
    /// The labels to give; `*` stands for all of them.
    #[serde(default)]
    pub labels_to_get: Vec<String>,
    /// Gives all labels, but for those to match.
    #[serde(default)]
    pub get_all_labels: bool,
    /// Stands before the names of the labels that are given: our addition, which tells the `label_app` of a node from
    /// that of its pod.
    #[serde(default)]
    pub prefix: String,
}

impl LabelJoin {
    fn gets(&self, label: &str) -> bool {
        !self.labels_to_match.iter().any(|name| name == label)
            && (self.get_all_labels || self.labels_to_get.iter().any(|name| name == "*" || name == label))
    }

    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.labels_to_match.is_empty() {
            return Some("it has no `labels_to_match`: name the labels whose values must be equal");
        }
        if !self.get_all_labels && self.labels_to_get.is_empty() {
            return Some("it has no `labels_to_get`: name the labels to give, or set `get_all_labels`");
        }
        None
    }
}

/// Labels that stand on their own.
pub(crate) type OwnedLabels = Vec<(String, String)>;

/// A join as it is used: the family that gives, and what.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) family: String,
    pub(crate) join: LabelJoin,
}

impl Rule {
    /// The values of the labels to match as one text; none where one of them is missing.
    fn key<'v>(&self, mut value: impl FnMut(&str) -> Option<&'v str>) -> Option<String> {
        let mut key = String::new();
        for name in &self.join.labels_to_match {
            let value = value(name)?;
            // With its length, so that two values can't run together.
            key.push_str(&value.len().to_string());
            key.push(':');
            key.push_str(value);
        }
        Some(key)
    }

    /// The labels that it takes from a sample.
    fn take<'v>(&self, labels: impl Iterator<Item = (&'v str, &'v str)>) -> OwnedLabels {
        labels
            .filter(|(name, _)| self.join.gets(name))
            .map(|(name, value)| (format!("{}{name}", self.join.prefix), value.to_owned()))
            .collect()
    }
}
