//! Rights, as rules grant them and requests need them.

use std::fmt;

use crate::access::Act;

/// The right to do one thing to one resource: what a rule of RBAC with one verb, one API group and one resource grants.
///
/// Rights of rules keep their wildcards: `*` is a verb, group or resource of its own here.
///
/// ```
/// use cluster_sim::Right;
///
/// let right = Right::new("patch", "coordination.k8s.io", "leases");
/// assert_eq!(right.to_string(), "patch leases.coordination.k8s.io");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Right {
    /// The verb, for instance `get`.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, with the subresource if there is one: `pods`, `nodes/proxy`.
    pub resource: String,
}

impl Right {
    /// The right to do `verb` to `resource` (plural, or `plural/subresource`) of an API group.
    pub fn new(verb: impl Into<String>, group: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { verb: verb.into(), group: group.into(), resource: resource.into() }
    }

    /// The right that an act needs.
    pub(crate) fn to(act: &Act<'_>) -> Self {
        Self::new(act.verb, act.group, act.resource)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}
