//! A resource: a Kubernetes kind, its family table, and the one walk over an object that feeds all its families.

use std::fmt;

use crate::family::{Family, FamilySet, Gate};
use crate::filter::FamilyFilter;
use crate::labels::AllowLists;
use crate::samples::Samples;

/// A kind with its family table and its walk.
///
/// The built-in ones are in [`crate::families`]; a host makes its own for its custom resources.
pub struct Resource<K: 'static> {
    /// The plural name, as `pods`: the word in flags and queries.
    pub name: &'static str,
    /// The families in the order in which they are written.
    pub families: &'static [Family],
    /// The walk over one object.
    pub collect: fn(&K, &mut Samples<'_>),
    /// Dotted paths of the object's JSON that no family reads, so that they need not be decoded: `spec.affinity`,
    /// `spec.containers.env` (lists are passed through).
    pub unread: &'static [&'static str],
}

impl<K> fmt::Debug for Resource<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("name", &self.name)
            .field("families", &self.families.len())
            .finish_non_exhaustive()
    }
}

impl<K> Clone for Resource<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Resource<K> {}

/// The families of a table that are on: their gate is open and the filter admits their name.
pub fn enabled_families(families: &[Family], filter: &FamilyFilter, allow: &AllowLists) -> FamilySet {
    let is_on = |family: &Family| {
        let open = match family.gate {
            Gate::Default => true,
            Gate::OptIn => filter.opts_in(&family.name),
            Gate::LabelAllowlist => !allow.labels.is_empty(),
            Gate::AnnotationAllowlist => !allow.annotations.is_empty(),
        };
        open && filter.admits(&family.name)
    };
    families.iter().enumerate().filter(|(_, family)| is_on(family)).map(|(index, _)| index).collect()
}
