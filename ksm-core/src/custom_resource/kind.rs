//! Which kinds a configuration speaks of.

use std::fmt;

use kube::core::GroupVersionKind;

/// The kinds that an entry of a configuration is for: one group, and one or all of its versions and kinds.
///
/// ```
/// use ksm_core::custom_resource::KindPattern;
/// use kube::core::GroupVersionKind;
///
/// let pattern = KindPattern { group: "example.com".into(), version: None, kind: Some("Foo".into()) };
/// assert!(pattern.matches(&GroupVersionKind::gvk("example.com", "v1beta1", "Foo")));
/// assert!(!pattern.matches(&GroupVersionKind::gvk("example.com", "v1beta1", "Bar")));
/// assert_eq!(pattern.to_string(), "Foo.*.example.com");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KindPattern {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version; `None` for every version that is served.
    pub version: Option<String>,
    /// The kind; `None` for every kind of the group.
    pub kind: Option<String>,
}

impl KindPattern {
    /// Whether the pattern is for that kind.
    pub fn matches(&self, gvk: &GroupVersionKind) -> bool {
        self.group == gvk.group
            && self.version.as_ref().is_none_or(|version| *version == gvk.version)
            && self.kind.as_ref().is_none_or(|kind| *kind == gvk.kind)
    }

    /// The one kind that it is for; none where it takes any version or kind, which only discovery can tell.
    pub fn exact(&self) -> Option<GroupVersionKind> {
        Some(GroupVersionKind::gvk(&self.group, self.version.as_deref()?, self.kind.as_deref()?))
    }

    /// Whether there may be a kind that both are for.
    pub fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        self.group == other.group && meet(&self.version, &other.version) && meet(&self.kind, &other.kind)
    }
}

/// `Kind.version.group`, with `*` for any.
impl fmt::Display for KindPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        write!(f, "{}.{}.{}", any(&self.kind), any(&self.version), self.group)
    }
}
