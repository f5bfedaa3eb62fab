//! What a resource's walk over an object hands over: samples, structural until a [`SampleSink`] encodes them.

use std::collections::BTreeMap;

use crate::family::{FamilyIndex, FamilySet};
use crate::labels::{self, AllowLists};

/// A label's name and value, unescaped.
pub type Label<'a> = (&'a str, &'a str);

/// How likely the next object yields the same labels and value: a hint that costs memory when wrong, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Other objects yield this very sample too (a phase, a condition, a restart policy): worth interning.
    Shared,
    /// No other object does (a timestamp, an address, a container id): stored with the object.
    Unique,
}

/// Where samples go: the store's encoder, a renderer, a host's own structure.
///
/// For one object, [`identity`](Self::identity) comes first and once, then its samples in any order of families; the
/// samples of one family come in their order within the family. [`extra_labels`](Self::extra_labels) come last, if at
/// all.
pub trait SampleSink {
    /// The labels that all samples of the object begin with, as `namespace`, `pod`, `uid`.
    fn identity(&mut self, labels: &[Label<'_>]);

    /// One sample: `labels` follow the identity's.
    fn sample(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64, reuse: Reuse);

    /// Labels for all the object's samples, beyond those that its walk names: from enrichment and joins. Where a sample
    /// has a label of that name itself, its own wins. A sink that has no use for them leaves this out.
    fn extra_labels(&mut self, labels: &[Label<'_>]) {
        let _ = labels;
    }
}

/// The hand of a collect function: which families are wanted, and where their samples go.
///
/// ```
/// use ksm_core::{FamilyIndex, Samples};
/// use k8s_openapi::api::core::v1::Pod;
///
/// const TERMINATION_GRACE: FamilyIndex = FamilyIndex(0);
///
/// fn collect(pod: &Pod, samples: &mut Samples<'_>) {
///     let seconds = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
///     if let Some(seconds) = seconds {
///         samples.put(TERMINATION_GRACE, &[], seconds as f64);
///     }
/// }
/// ```
pub struct Samples<'a> {
    enabled: &'a FamilySet,
    allow: &'a AllowLists,
    base: u16,
    sink: &'a mut dyn SampleSink,
}

impl std::fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Samples").field("enabled", self.enabled).field("base", &self.base).finish_non_exhaustive()
    }
}

impl<'a> Samples<'a> {
    /// Samples of the families in `enabled`, into `sink`.
    pub fn new(enabled: &'a FamilySet, allow: &'a AllowLists, sink: &'a mut dyn SampleSink) -> Self {
        Self { enabled, allow, base: 0, sink }
    }

    /// The same hand for a table that stands at `base` in the resource's whole table.
    pub(crate) fn at(&mut self, base: u16) -> Samples<'_> {
        Samples { enabled: self.enabled, allow: self.allow, base, sink: &mut *self.sink }
    }

    fn absolute(&self, family: FamilyIndex) -> FamilyIndex {
        FamilyIndex(self.base.saturating_add(family.0))
    }

    /// Whether the family is on: ask before work that only it needs. [`put`](Self::put) asks by itself.
    #[inline]
    pub fn wants(&self, family: FamilyIndex) -> bool {
        self.enabled.contains(self.absolute(family).index())
    }

    /// Names the labels that all of the object's samples begin with. Called once, before the first sample.
    #[inline]
    pub fn identity(&mut self, labels: &[Label<'_>]) {
        self.sink.identity(labels);
    }

    /// Puts a sample that other objects are likely to yield too.
    #[inline]
    pub fn put(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64) {
        self.put_with(family, labels, value, Reuse::Shared);
    }

    /// Puts a sample that no other object yields: its labels or value are the object's own.
    #[inline]
    pub fn put_unique(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64) {
        self.put_with(family, labels, value, Reuse::Unique);
    }

    /// Puts a sample with an explicit hint.
    #[inline]
    pub fn put_with(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: f64, reuse: Reuse) {
        if self.wants(family) {
            let family = self.absolute(family);
            self.sink.sample(family, labels, value, reuse);
        }
    }

    /// Puts 1 or 0.
    #[inline]
    pub fn put_bool(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: bool) {
        self.put(family, labels, f64::from(u8::from(value)));
    }

    /// Puts a value where there is one.
    #[inline]
    pub fn put_some<V: Into<f64>>(&mut self, family: FamilyIndex, labels: &[Label<'_>], value: Option<V>) {
        if let Some(value) = value {
            self.put(family, labels, value.into());
        }
    }

    /// Puts 1 for the state of `states` that the object is in, 0 for the others, each under the label `name`.
    pub fn put_states(&mut self, family: FamilyIndex, name: &str, states: &[&str], current: &str) {
        if self.wants(family) {
            for state in states {
                self.put_bool(family, &[(name, state)], *state == current);
            }
        }
    }

    /// Puts a time in Unix seconds where there is one. Go's zero time, the first second of the year 1, is none.
    #[inline]
    pub fn put_time(&mut self, family: FamilyIndex, labels: &[Label<'_>], time: Option<&k8s_openapi::jiff::Timestamp>) {
        if let Some(time) = time.filter(|time| !crate::value::is_zero_time(time)) {
            self.put_unique(family, labels, crate::value::unix_seconds(time));
        }
    }

    /// Puts the three samples of a condition, `status` being `true`, `false` and `unknown` (upstream's order), the one
    /// that `status` names being 1. `labels` come before it: their last place is overwritten with the status label.
    pub fn put_condition(&mut self, family: FamilyIndex, name: &str, labels: &[Label<'_>], status: &str) {
        if !self.wants(family) {
            return;
        }
        let mut all: [Label<'_>; 8] = [("", ""); 8];
        let count = labels.len().min(all.len() - 1);
        for (slot, label) in all.iter_mut().zip(labels) {
            *slot = *label;
        }
        for (word, matches) in
            [("true", status == "True"), ("false", status == "False"), ("unknown", status == "Unknown")]
        {
            if let Some(slot) = all.get_mut(count) {
                *slot = (name, word);
            }
            let labels = all.get(..=count).unwrap_or_default();
            self.put(family, labels, f64::from(u8::from(matches)));
        }
    }

    /// Puts the `_labels` sample: the object's labels that the allowlist admits, as `label_…`.
    pub fn put_labels(&mut self, family: FamilyIndex, map: Option<&BTreeMap<String, String>>) {
        if self.wants(family) {
            let allow = self.allow;
            self.put_map(family, "label", map, |key| allow.labels.admits(key));
        }
    }

    /// Puts the `_annotations` sample: the object's annotations that the allowlist admits, as `annotation_…`.
    pub fn put_annotations(&mut self, family: FamilyIndex, map: Option<&BTreeMap<String, String>>) {
        if self.wants(family) {
            let allow = self.allow;
            self.put_map(family, "annotation", map, |key| allow.annotations.admits(key));
        }
    }

    /// Puts one sample of value 1 whose labels are a map's entries, named `{prefix}_{sanitised key}`.
    pub fn put_map(
        &mut self,
        family: FamilyIndex,
        prefix: &str,
        map: Option<&BTreeMap<String, String>>,
        admits: impl Fn(&str) -> bool,
    ) {
        if !self.wants(family) {
            return;
        }
        let entries = map.into_iter().flatten().filter(|(key, _)| admits(key));
        let named = labels::map_labels(prefix, entries.map(|(k, v)| (k.as_str(), v.as_str())));
        let named: Vec<Label<'_>> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        self.put_unique(family, &named, 1.0);
    }
}
