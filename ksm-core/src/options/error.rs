//! What can be wrong with flags.

use thiserror::Error;

use crate::filter::FilterError;
use crate::labels::PatternError;

/// A flag's value that can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// A resource that does not exist.
    #[error("--{flag}: there is no resource {name:?}: use one of {known}")]
    UnknownResource {
        /// The flag, without its dashes.
        flag: String,
        /// The name as it was given.
        name: String,
        /// All names.
        known: String,
    },
    /// Text that is no list of `resource=[key,key]`.
    #[error("--{flag}: {problem} at character {place}, in {entry:?}: write it like `pods=[app,team],nodes=[*]`")]
    Syntax {
        /// The flag, without its dashes.
        flag: String,
        /// The entry that is broken.
        entry: String,
        /// The place in the flag's value, in characters from 1.
        place: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A key pattern that can't be used.
    #[error("--{flag}: {resource}: {source}")]
    Pattern {
        /// The flag, without its dashes.
        flag: String,
        /// The resource whose entry it is.
        resource: String,
        /// What is wrong with the pattern.
        #[source]
        source: PatternError,
    },
    /// A metric list that can't be used.
    #[error("metric lists: {0}")]
    Filter(#[from] FilterError),
    /// Two flags that contradict each other.
    #[error("--{first} and --{second} exclude each other: give one of them")]
    Exclusive {
        /// One flag.
        first: &'static str,
        /// The other flag.
        second: &'static str,
    },
}

/// All that is wrong with a set of flags, so that it can be mended in one go. Prints a line for each.
#[derive(Debug)]
pub struct OptionErrors(pub Vec<OptionError>);

impl std::fmt::Display for OptionErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OptionErrors {}
