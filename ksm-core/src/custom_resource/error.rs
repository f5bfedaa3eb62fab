//! What can be wrong with a configuration, and where.

use std::fmt;

use thiserror::Error;

use super::path::PathError;
pub use crate::yaml::Place;

/// A fault of a configuration and its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// Where it is.
    pub place: Place,
    /// What it is.
    #[source]
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is neither YAML nor JSON, or more of it than is read.
    #[error("{0}")]
    Syntax(String),
    /// A key that has no meaning there. kube-state-metrics passes such keys by, and with them what was meant.
    #[error("unknown key `{key}` in {parent}: {hint}")]
    UnknownKey {
        /// The key.
        key: String,
        /// What it stands in, as `spec.resources[0].metrics[1].each.gauge`.
        parent: String,
        /// The nearest key that there is, or all of them.
        hint: String,
    },
    /// A value of another type.
    #[error("{field} is {found}, but {expected} is wanted")]
    WrongType {
        /// What it is the value of.
        field: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Something that has to be there, but is not.
    #[error("{field} is missing: {hint}")]
    Missing {
        /// What is missing.
        field: String,
        /// What to write.
        hint: &'static str,
    },
    /// A value that can't be used.
    #[error("{field} can't be {value:?}: {hint}")]
    Invalid {
        /// What it is the value of.
        field: String,
        /// The value.
        value: String,
        /// What to write.
        hint: String,
    },
    /// A path that can't be used.
    #[error("{field}: {source}")]
    Path {
        /// Whose path it is.
        field: String,
        /// What is wrong with it.
        #[source]
        source: PathError,
    },
    /// Two keys that contradict each other.
    #[error("{parent} has both `{first}` and `{second}`: keep one of them")]
    Exclusive {
        /// What they stand in.
        parent: String,
        /// One key.
        first: &'static str,
        /// The other key.
        second: &'static str,
    },
    /// A CEL expression that can't be used.
    #[error("{field}: {message}")]
    Expression {
        /// Whose expression it is.
        field: String,
        /// What is wrong with it, with the place in it.
        message: String,
    },
    /// Something that this build can't do.
    #[error("{field} needs ksm-core's feature `{feature}`: build with it, or use valueFrom")]
    NeedsFeature {
        /// What was asked for.
        field: String,
        /// The feature.
        feature: &'static str,
    },
    /// Two families of one name, for kinds that may be the same.
    #[error("the family {name} is there already, at {first}: {hint}")]
    DuplicateFamily {
        /// The family's full name.
        name: String,
        /// Where it was first.
        first: Place,
        /// Why that can't be, and what to do.
        hint: &'static str,
    },
    /// More families than one resource can have.
    #[error("{count} families are more than the {limit} that one resource can have: split the entry")]
    TooManyFamilies {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Nothing wrong, but most likely not what was meant. Only ever a warning.
    #[error("{field} {hint}")]
    Suspicious {
        /// What looks wrong.
        field: String,
        /// Why.
        hint: &'static str,
    },
}

/// All that is wrong with a configuration, so that it can be mended in one go. Prints a line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
