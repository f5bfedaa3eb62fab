//! Metric families: what a resource's table says of each of its metrics, and which of them are on.

use std::borrow::Cow;

/// The type of a metric family, as its `# TYPE` line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows, or starts anew. Its name ends in `_total`.
    Counter,
    /// A constant 1 that carries labels (OpenMetrics); a gauge in the text format.
    Info,
    /// One of several states is 1, the others 0 (OpenMetrics); a gauge in the text format.
    StateSet,
}

/// How firmly a family's name and labels are promised, by kube-state-metrics' levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stability {
    /// May change or go away.
    Alpha,
    /// Changes only with a deprecation first.
    Stable,
}

impl Stability {
    /// The word that stands in the help text: `ALPHA` or `STABLE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alpha => "ALPHA",
            Self::Stable => "STABLE",
        }
    }
}

/// What has to be configured before a family yields samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    /// On unless it is filtered away.
    Default,
    /// Off unless the opt-in list names it (`--metric-opt-in-list`).
    OptIn,
    /// Off unless the resource has a label allowlist (`--metric-labels-allowlist`).
    LabelAllowlist,
    /// Off unless the resource has an annotation allowlist (`--metric-annotations-allowlist`).
    AnnotationAllowlist,
}

/// One row of a family table.
///
/// ```
/// use ksm_core::{Family, MetricType, Stability};
///
/// const RESTARTS: Family =
///     Family::counter("my_pod_restarts_total", "Restarts of all containers of a pod.").stable();
/// assert_eq!(RESTARTS.kind, MetricType::Counter);
/// assert_eq!(RESTARTS.help_text(), "[STABLE] Restarts of all containers of a pod.");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// The metric's name, with `_total` for a counter.
    pub name: Cow<'static, str>,
    /// What the metric says, in one sentence, without the stability prefix.
    pub help: Cow<'static, str>,
    /// The type.
    pub kind: MetricType,
    /// The stability level.
    pub stability: Stability,
    /// What turns it on.
    pub gate: Gate,
    /// The version of kube-state-metrics that deprecated it, as `v2.14.0`.
    pub deprecated_since: Option<&'static str>,
}

impl Family {
    const fn new(name: &'static str, help: &'static str, kind: MetricType) -> Self {
        Self {
            name: Cow::Borrowed(name),
            help: Cow::Borrowed(help),
            kind,
            stability: Stability::Alpha,
            gate: Gate::Default,
            deprecated_since: None,
        }
    }

    /// A gauge; alpha and on by default.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricType::Gauge)
    }

    /// A counter, whose name ends in `_total`; alpha and on by default.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricType::Counter)
    }

    /// A family whose name and help are known at run time only.
    pub fn dynamic(name: impl Into<String>, help: impl Into<String>, kind: MetricType) -> Self {
        let mut family = Self::new("", "", kind);
        family.name = Cow::Owned(name.into());
        family.help = Cow::Owned(help.into());
        family
    }

    /// The same family, stable.
    pub const fn stable(mut self) -> Self {
        self.stability = Stability::Stable;
        self
    }

    /// The same family, on only where the opt-in list names it.
    pub const fn opt_in(mut self) -> Self {
        self.gate = Gate::OptIn;
        self
    }

    /// The same family, on only with a label allowlist for its resource.
    pub const fn needs_label_allowlist(mut self) -> Self {
        self.gate = Gate::LabelAllowlist;
        self
    }

    /// The same family, on only with an annotation allowlist for its resource.
    pub const fn needs_annotation_allowlist(mut self) -> Self {
        self.gate = Gate::AnnotationAllowlist;
        self
    }

    /// The same family, deprecated since that version.
    pub const fn deprecated(mut self, since: &'static str) -> Self {
        self.deprecated_since = Some(since);
        self
    }

    /// The help text as kube-state-metrics prints it: stability first, then the deprecation, then the sentence.
    pub fn help_text(&self) -> String {
        let stability = self.stability.as_str();
        match self.deprecated_since {
            Some(since) => format!("[{stability}] (Deprecated since {since}) {}", self.help),
            None => format!("[{stability}] {}", self.help),
        }
    }
}

/// The position of a family in its resource's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FamilyIndex(pub u16);

impl FamilyIndex {
    /// The position as an index into the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of families of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FamilySet {
    words: Vec<u64>,
}

impl FamilySet {
    /// The set of all `count` families.
    pub fn all(count: usize) -> Self {
        (0..count).collect()
    }

    /// Adds the family at `index`.
    pub fn insert(&mut self, index: usize) {
        let word = index / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (index % 64);
        }
    }

    /// Whether the family at `index` is in the set.
    #[inline]
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|bits| bits & (1 << (index % 64)) != 0)
    }

    /// Whether every family of `self` is in `other` too.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.words.iter().enumerate().all(|(i, bits)| bits & !other.words.get(i).copied().unwrap_or(0) == 0)
    }

    /// Whether no family is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|bits| *bits == 0)
    }
}

impl FromIterator<usize> for FamilySet {
    fn from_iter<I: IntoIterator<Item = usize>>(indexes: I) -> Self {
        let mut set = Self::default();
        for index in indexes {
            set.insert(index);
        }
        set
    }
}

/// Declares a resource's family table: a constant [`FamilyIndex`] per row, and the table itself.
macro_rules! family_table {
    ($(#[$meta:meta])* $table:ident { $($index:ident = $family:expr;)+ }) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u16)]
        enum Row { $($index),+ }
        $(const $index: $crate::family::FamilyIndex = $crate::family::FamilyIndex(Row::$index as u16);)+
        $(#[$meta])*
        pub(crate) static $table: &[$crate::family::Family] = &[$($family),+];
    };
}
pub(crate) use family_table;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_holds_what_was_inserted_across_words() {
        let set: FamilySet = [0, 63, 64, 130].into_iter().collect();
        let held: Vec<usize> = (0..200).filter(|i| set.contains(*i)).collect();
        assert_eq!(held, [0, 63, 64, 130]);
    }

    #[test]
    fn subset_looks_at_every_word() {
        let small: FamilySet = [1, 70].into_iter().collect();
        assert!(small.is_subset(&FamilySet::all(71)));
        assert!(!small.is_subset(&FamilySet::all(70)));
    }

    #[test]
    fn help_names_stability_and_deprecation() {
        let family = Family::gauge("a", "Says a.").stable().deprecated("v2.14.0");
        assert_eq!(family.help_text(), "[STABLE] (Deprecated since v2.14.0) Says a.");
    }
}
