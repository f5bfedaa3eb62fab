//! What a configuration says of one kind.

use std::sync::Arc;

use kube::core::{ApiResource, GroupVersionKind};

use super::metric::Entry;
use super::object::Object;
use super::walk::walk;
use crate::family::{Family, FamilyIndex, FamilySet};
use crate::labels::AllowLists;
use crate::render;
use crate::samples::Samples;

/// What a configuration says of one kind: its families, and the walk that feeds them.
///
/// All samples of an object have the labels `customresource_group`, `customresource_kind` and `customresource_version`,
/// and those of the entry; they are the object's identity in the store.
#[derive(Debug, Clone)]
pub struct ResourceMetrics {
    name: Arc<str>,
    pub(super) gvk: GroupVersionKind,
    plural: String,
    families: Vec<Family>,
    /// Each entry, and where its families begin.
    pub(super) entries: Vec<(Arc<Entry>, u16)>,
}

/// Whether both say the same of the same kind, wherever their entries stand.
impl PartialEq for ResourceMetrics {
    fn eq(&self, other: &Self) -> bool {
        fn texts(metrics: &ResourceMetrics) -> impl Iterator<Item = &str> {
            metrics.entries.iter().map(|(entry, _)| entry.text.as_str())
        }
        self.gvk == other.gvk && texts(self).eq(texts(other))
    }
}

impl ResourceMetrics {
    pub(super) fn new(gvk: &GroupVersionKind, entries: Vec<Arc<Entry>>) -> Self {
        let configured = entries.iter().find_map(|entry| entry.plural.clone());
        let plural = configured.unwrap_or_else(|| ApiResource::from_gvk(gvk).plural);
        let name = if gvk.group.is_empty() { plural.clone() } else { format!("{plural}.{}", gvk.group) };
        let mut families = Vec::new();
        let mut placed = Vec::new();
        for entry in entries {
            let begin = u16::try_from(families.len()).unwrap_or(u16::MAX);
            let described = entry.families.iter();
            families.extend(described.map(|family| Family::dynamic(&*family.name, &*family.help, family.kind)));
            placed.push((entry, begin));
        }
        Self { name: name.into(), gvk: gvk.clone(), plural, families, entries: placed }
    }

    /// The same with another name in logs and counters than `plural.group`.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// The name in logs and counters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind.
    pub fn kind(&self) -> &GroupVersionKind {
        &self.gvk
    }

    /// The plural: as it is configured, else guessed from the kind. Where discovery tells it, that counts.
    pub fn plural(&self) -> &str {
        &self.plural
    }

    /// The families in the order in which they are written; their places are the indexes that
    /// [`collect`](Self::collect) puts samples by.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Walks an object, and hands its samples over.
    ///
    /// What can't be read costs its own sample: it is logged, and counted in `ksm_core_bad_values_total`. Of several
    /// samples of one family with the same labels, the first is kept, and the others are counted in
    /// `ksm_core_duplicate_samples_total`.
    pub fn collect(&self, object: &Object, samples: &mut Samples<'_>) {
        walk(self, &object.value, samples);
    }

    /// The sample lines that an object yields, family by family: for tests and tools.
    pub fn sample_lines(&self, object: &Object) -> Vec<String> {
        let enabled = FamilySet::all(self.families.len());
        render::walk_lines(&self.families, &enabled, &AllowLists::default(), |samples| self.collect(object, samples))
    }

    pub(super) fn family_name(&self, family: FamilyIndex) -> &str {
        self.families.get(family.index()).map_or("", |family| &family.name)
    }
}
