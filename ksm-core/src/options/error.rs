//! What can be wrong with options.

use std::fmt;

use thiserror::Error;

use crate::filter::FilterError;
use crate::labels::PatternError;
use crate::shard::ShardError;

/// Where an option was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// By a flag; its name, without its dashes.
    Flag(String),
    /// By a key in a file.
    Key {
        /// The file's name.
        file: String,
        /// The line of the value, from 1.
        line: u64,
        /// The column of the value, from 1.
        column: u64,
        /// The key.
        key: String,
    },
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Key { file, line, column, key } => write!(f, "{file}:{line}:{column}: {key}"),
        }
    }
}

impl From<&str> for Given {
    /// A flag.
    fn from(flag: &str) -> Self {
        Self::Flag(flag.to_owned())
    }
}

/// An option that can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OptionError {
    /// A resource that does not exist.
    #[error("{given}: there is no resource {name:?}: use one of {known}")]
    UnknownResource {
        /// Where it was given.
        given: Given,
        /// The name as it was given.
        name: String,
        /// All names.
        known: String,
    },
    /// Text that is no list of `resource=[key,key]`.
    #[error("{given}: {problem} at character {place}, in {entry:?}: write it like `pods=[app,team],nodes=[*]`")]
    Syntax {
        /// Where it was given.
        given: Given,
        /// The entry that is broken.
        entry: String,
        /// The place in the flag's value, in characters from 1.
        place: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A key pattern that can't be used.
    #[error("{given}: {resource}: {source}")]
    Pattern {
        /// Where it was given.
        given: Given,
        /// The resource whose entry it is.
        resource: String,
        /// What is wrong with the pattern.
        #[source]
        source: PatternError,
    },
    /// A metric list that can't be used.
    #[error("{given}: {source}")]
    Filter {
        /// Where it was given.
        given: Given,
        /// What is wrong with it.
        #[source]
        source: FilterError,
    },
    /// Two options that contradict each other.
    #[error("{first} and {second} exclude each other: give one of them")]
    Exclusive {
        /// One option.
        first: Given,
        /// The other.
        second: Given,
    },
    /// An option that says nothing without another.
    #[error("{given} needs {needs}")]
    Needs {
        /// The option that was given.
        given: Given,
        /// What is missing.
        needs: &'static str,
    },
    /// A shard that there is not.
    #[error("{given}: {source}")]
    Shard {
        /// Where it was given.
        given: Given,
        /// What is wrong with it.
        #[source]
        source: ShardError,
    },
    /// A value of the wrong type, or out of its range.
    #[error("{given}: expected {expected}, found {found}")]
    Value {
        /// Where it was given.
        given: Given,
        /// What is taken.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A key that is none of the options'.
    #[error("{given}: there is no such option{}", nearest.map(|key| format!(": did you mean {key:?}?")).unwrap_or_default())]
    UnknownKey {
        /// Where it was given.
        given: Given,
        /// The key that resembles it most, where one does.
        nearest: Option<&'static str>,
    },
    /// A key that was given twice, under two spellings.
    #[error("{given} is {key:?} again: keep one of them")]
    Repeated {
        /// Where it was given for the second time.
        given: Given,
        /// The key's first spelling.
        key: &'static str,
    },
    /// An option of kube-state-metrics that there is not.
    #[error("{given} is not supported: {instead}")]
    Unsupported {
        /// Where it was given.
        given: Given,
        /// What to do instead.
        instead: &'static str,
    },
    /// A file that is no YAML, or holds no options.
    #[error("{file}:{line}:{column}: {problem}")]
    Yaml {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong.
        problem: String,
    },
}

/// All that is wrong with a set of options, so that it can be mended in one go. Prints a line for each.
#[derive(Debug)]
pub struct OptionErrors(pub Vec<OptionError>);

impl fmt::Display for OptionErrors {
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

impl std::error::Error for OptionErrors {}

/// Collects errors while what is right is still read.
#[derive(Debug, Default)]
pub(super) struct Errors(pub(super) Vec<OptionError>);

impl Errors {
    pub(super) fn note<T: Default>(&mut self, result: Result<T, Vec<OptionError>>) -> T {
        result.unwrap_or_else(|errors| {
            self.0.extend(errors);
            T::default()
        })
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, OptionErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(OptionErrors(self.0)) }
    }
}
