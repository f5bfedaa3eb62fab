//! Which part of an object a sample is of, and why it has none.

use std::fmt;

use thiserror::Error;

use super::number::NumberError;

/// The element of what a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element<'a> {
    Whole,
    Index(usize),
    Key(&'a str),
}

impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("path"),
            Self::Index(index) => write!(f, "path[{index}]"),
            Self::Key(key) => write!(f, "path[{key}]"),
        }
    }
}

/// Why an element yields no sample.
#[derive(Debug, Error)]
pub(super) enum Bad {
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error("[{at}]: {source}")]
    Part { at: String, source: Box<Bad> },
    #[error("a state is a text: this is none")]
    NotAText,
    #[error("only a list or a map can be aggregated")]
    NotAList,
    #[error("the expression gives neither a map of labels nor a list of such maps")]
    NotLabels,
    #[cfg(feature = "cel")]
    #[error("{0}")]
    Expression(String),
}

impl Bad {
    pub(super) fn at(self, element: Element<'_>) -> Self {
        Self::Part { at: element.to_string(), source: Box::new(self) }
    }
}
