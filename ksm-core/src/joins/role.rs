//! What a resource has to do with the joins: what its objects give, and what describes them.

use super::Rule;
use crate::family::{Family, FamilyIndex, FamilySet, Gate};

/// Where a rule's labels come from, in a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Samples of a family.
    Samples(FamilyIndex),
    /// The object's Kubernetes labels.
    Labels,
    /// The object's annotations.
    Annotations,
}

/// A resource's part in the joins.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    /// The rules that its objects give labels for.
    pub(super) sources: Vec<(usize, Origin)>,
    /// The family whose labels are the object's own.
    pub(super) describing: Option<FamilyIndex>,
    /// The families that are walked for the joins alone.
    pub(crate) walked: FamilySet,
}

impl Role {
    pub(crate) fn new(rules: &[Rule], families: &[Family]) -> Self {
        let index = |at: usize| u16::try_from(at).ok().map(FamilyIndex);
        let place = |name: &str| families.iter().position(|family| family.name == name);
        let sources: Vec<(usize, Origin)> = rules
            .iter()
            .enumerate()
            .filter_map(|(number, rule)| {
                let at = place(&rule.family)?;
                let origin = match families.get(at)?.gate {
                    Gate::LabelAllowlist => Origin::Labels,
                    Gate::AnnotationAllowlist => Origin::Annotations,
                    Gate::Default | Gate::OptIn => Origin::Samples(index(at)?),
                };
                Some((number, origin))
            })
            .collect();
        let describing = families
            .iter()
            .enumerate()
            .filter(|(_, family)| family.name.ends_with("_info"))
            .min_by_key(|(_, family)| family.name.len())
            .and_then(|(at, _)| index(at));
        let sampled = sources.iter().filter_map(|(_, origin)| match origin {
            Origin::Samples(family) => Some(family.index()),
            Origin::Labels | Origin::Annotations => None,
        });
        let walked = sampled.chain(describing.map(FamilyIndex::index)).collect();
        Self { sources, describing, walked }
    }

    /// Whether annotations are read.
    pub(crate) fn needs_annotations(&self) -> bool {
        self.sources.iter().any(|(_, origin)| *origin == Origin::Annotations)
    }
}
