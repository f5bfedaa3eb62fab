//! How one resource's objects become samples: its families, its walks, and the hooks on the way.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::error::BuildError;
use super::hooks::{Change, ExtraLabels, SampleEdit};
use crate::family::{Family, FamilyIndex, FamilySet};
use crate::labels::AllowLists;
use crate::samples::{Label, Reuse, SampleSink, Samples};

pub(super) type Walk<K> = Arc<dyn Fn(&K, &mut Samples<'_>) + Send + Sync>;
pub(super) type Enrich<K> = Arc<dyn Fn(&K, &mut ExtraLabels) + Send + Sync>;
pub(super) type Transform<K> = Arc<dyn Fn(&K, &mut SampleEdit<'_>) + Send + Sync>;
pub(super) type OnChange<K> = Arc<dyn Fn(&Change<'_, K>) + Send + Sync>;

/// A table of families and the walk that feeds it.
pub(super) struct Table<K> {
    pub(super) families: Vec<Family>,
    pub(super) walk: Walk<K>,
}

pub(super) struct Plan<K> {
    pub(super) resource: String,
    pub(super) families: Arc<[Family]>,
    /// Families that another table of the host's stands for, or that the host left out.
    dropped: FamilySet,
    walks: Vec<(u16, Walk<K>)>,
    pub(super) enrich: Vec<Enrich<K>>,
    transform: Vec<Transform<K>>,
    pub(super) on_change: Vec<OnChange<K>>,
}

impl<K> fmt::Debug for Plan<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("resource", &self.resource)
            .field("families", &self.families.len())
            .finish_non_exhaustive()
    }
}

/// What is on, of a resource, at the moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Enabled {
    pub(super) families: FamilySet,
    pub(super) allow: AllowLists,
}

impl<K> Plan<K> {
    pub(super) fn new(
        resource: &str,
        tables: Vec<Table<K>>,
        without: &HashSet<String>,
        enrich: Vec<Enrich<K>>,
        transform: Vec<Transform<K>>,
        on_change: Vec<OnChange<K>>,
    ) -> Result<Self, BuildError> {
        let mut families: Vec<Family> = Vec::new();
        let mut walks = Vec::new();
        let mut dropped = FamilySet::default();
        let mut names: HashSet<String> = HashSet::new();
        for (number, table) in tables.into_iter().enumerate() {
            let base = u16::try_from(families.len())
                .map_err(|_| BuildError::TooManyFamilies { resource: resource.to_owned() })?;
            walks.push((base, table.walk));
            for family in table.families {
                // Only the first table, the resource's own, is thinned out: the host's are what it asked for.
                if number == 0 && without.contains(family.name.as_ref()) {
                    dropped.insert(families.len());
                } else if !names.insert(family.name.to_string()) {
                    let family = family.name.to_string();
                    return Err(BuildError::DuplicateFamily { resource: resource.to_owned(), family });
                }
                families.push(family);
            }
        }
        if u16::try_from(families.len()).is_err() {
            return Err(BuildError::TooManyFamilies { resource: resource.to_owned() });
        }
        Ok(Self {
            resource: resource.to_owned(),
            families: families.into(),
            dropped,
            walks,
            enrich,
            transform,
            on_change,
        })
    }

    /// The families that are on under a filter and allowlists.
    pub(super) fn enabled(&self, filter: &crate::FamilyFilter, allow: &AllowLists) -> FamilySet {
        let on = crate::resource::enabled_families(&self.families, filter, allow);
        (0..self.families.len()).filter(|i| on.contains(*i) && !self.dropped.contains(*i)).collect()
    }

    /// Walks an object into a sink.
    pub(super) fn walk(&self, object: &K, enabled: &Enabled, sink: &mut dyn SampleSink) {
        if self.transform.is_empty() {
            self.walk_into(object, enabled, sink);
        } else {
            let mut sink = Transforming { plan: self, object, identity: Vec::new(), sink };
            self.walk_into(object, enabled, &mut sink);
        }
    }

    fn walk_into(&self, object: &K, enabled: &Enabled, sink: &mut dyn SampleSink) {
        let mut samples = Samples::new(&enabled.families, &enabled.allow, sink);
        for (base, walk) in &self.walks {
            walk(object, &mut samples.at(*base));
        }
    }
}

/// Shows each sample to the host before it goes on.
struct Transforming<'a, K> {
    plan: &'a Plan<K>,
    object: &'a K,
    identity: Vec<String>,
    sink: &'a mut dyn SampleSink,
}

impl<K> SampleSink for Transforming<'_, K> {
    fn identity(&mut self, labels: &[Label<'_>]) {
        self.identity = labels.iter().map(|(name, _)| (*name).to_owned()).collect();
        self.sink.identity(labels);
    }

    fn sample(&mut self, index: FamilyIndex, labels: &[Label<'_>], value: f64, reuse: Reuse) {
        let Some(family) = self.plan.families.get(index.index()) else { return };
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut edit = SampleEdit { family, identity: &self.identity, labels, value, dropped: false };
        for transform in &self.plan.transform {
            transform(self.object, &mut edit);
        }
        if !edit.dropped {
            let labels: Vec<Label<'_>> = edit.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            self.sink.sample(index, &labels, edit.value, reuse);
        }
    }
}
