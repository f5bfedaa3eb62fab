//! What an adjustment or an update can't be.

use thiserror::Error;

/// An adjustment or an update that runtimes would refuse, misread or drop.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadAdjustment {
    /// A name that is empty, has a NUL, or has a leading `-`, which the protocol reads as a removal; that of an
    /// environment variable may not have a `=` either.
    #[error("{field} can't be named {name:?}: {rule}")]
    Name {
        /// What is named.
        field: &'static str,
        /// The name.
        name: String,
        /// What a name is.
        rule: &'static str,
    },
    /// A path that is not absolute. OCI asks for absolute ones, and a leading `-` would be a removal.
    #[error("the path of {field} can't be {path:?}: give an absolute path, without NUL")]
    Path {
        /// What has the path.
        field: &'static str,
        /// The path.
        path: String,
    },
    /// A number outside of what the kernel takes.
    #[error("{field} can't be {value}: give a number from {least} to {most}")]
    Range {
        /// What has the number.
        field: &'static str,
        /// The number.
        value: i128,
        /// The least that is taken.
        least: i128,
        /// The most that is taken.
        most: i128,
    },
    /// A list of CPUs or memory nodes that the kernel would not read. An empty one counts as not given.
    #[error("{field} can't be {list:?}: give numbers and ascending ranges with commas between them, such as 0-3,8")]
    List {
        /// What has the list.
        field: &'static str,
        /// The list.
        list: String,
    },
    /// A text or a combination that runtimes or the kernel refuse.
    #[error("{field} can't be {value:?}: {rule}")]
    Value {
        /// What has the value.
        field: &'static str,
        /// The value.
        value: String,
        /// What is taken.
        rule: &'static str,
    },
}
