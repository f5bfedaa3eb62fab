//! What a host hangs into a resource.

use crate::family::Family;
use crate::store::{ObjectKey, Removed};

/// What happened to an object; see [`ResourceBuilder::on_change`](crate::ResourceBuilder::on_change).
#[derive(Debug)]
pub enum Change<'a, K> {
    /// It is new.
    Added(&'a K),
    /// It has a new version.
    Updated(&'a K),
    /// It was deleted; this is its last state.
    Deleted(&'a K),
    /// It was gone when a list came in after a break: nobody saw its end.
    Vanished(&'a Removed),
    /// It lives on, on another shard: this one shows it no more.
    Moved(ObjectKey),
}

/// Labels that a hook adds to all samples of an object, after its identity.
#[derive(Debug, Default)]
pub struct ExtraLabels {
    labels: Vec<(String, String)>,
}

impl ExtraLabels {
    /// Adds a label. The name is sanitised (`[a-zA-Z0-9_]`), since a bad one would break the whole exposition; a name
    /// that was added before keeps its first value. Where a sample has a label of that name itself, its own wins.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        let name = crate::labels::label_name(name);
        if !self.labels.iter().any(|(known, _)| *known == name) {
            self.labels.push((name, value.into()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub(super) fn as_labels(&self) -> Vec<(&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    pub(super) fn into_labels(self) -> Vec<(String, String)> {
        self.labels
    }
}

/// A sample that a hook may change before it is stored; see
/// [`ResourceBuilder::transform`](crate::ResourceBuilder::transform).
#[derive(Debug)]
pub struct SampleEdit<'a> {
    pub(super) family: &'a Family,
    /// Names of the object's own labels, which can't be set here.
    pub(super) identity: &'a [String],
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
    pub(super) dropped: bool,
}

impl SampleEdit<'_> {
    /// The sample's family.
    pub fn family(&self) -> &Family {
        self.family
    }

    /// The labels after the object's own (which are its identity, and the same for all its samples).
    pub fn labels(&self) -> &[(String, String)] {
        &self.labels
    }

    /// Sets a label, or replaces its value. The name is sanitised. The labels of the object's identity stay as they
    /// are: all its samples share them.
    pub fn set_label(&mut self, name: &str, value: impl Into<String>) {
        let name = crate::labels::label_name(name);
        if self.identity.contains(&name) {
            return;
        }
        match self.labels.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value.into(),
            None => self.labels.push((name, value.into())),
        }
    }

    /// Takes a label away.
    pub fn remove_label(&mut self, name: &str) {
        self.labels.retain(|(known, _)| known != name);
    }

    /// The value.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Sets the value.
    pub fn set_value(&mut self, value: f64) {
        self.value = value;
    }

    /// Leaves the sample out.
    pub fn drop_sample(&mut self) {
        self.dropped = true;
    }
}
