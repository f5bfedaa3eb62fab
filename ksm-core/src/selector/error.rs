use thiserror::Error;

/// A text that is no series selector.
#[derive(Debug, Error)]
pub enum SelectorError {
    /// Something else than the syntax allows at that place.
    #[error("series selector `{selector}`, character {at}: expected {expected}, found {found}")]
    Syntax {
        /// The selector.
        selector: String,
        /// Which character, from 1 on.
        at: usize,
        /// What could stand there.
        expected: &'static str,
        /// What stands there: a character in back-quotes, or `the end`.
        found: String,
    },
    /// The metric's name stands before the braces and within them, or twice within them.
    #[error("series selector `{selector}`, character {at}: the metric's name is given a second time")]
    NameTwice {
        /// The selector.
        selector: String,
        /// Which character, from 1 on.
        at: usize,
    },
    /// A pattern that is no regular expression, or one that takes too much memory.
    #[error("series selector `{selector}`, character {at}: no regular expression of RE2's dialect: {source}")]
    Pattern {
        /// The selector.
        selector: String,
        /// Where the pattern begins, from 1 on.
        at: usize,
        /// What is wrong with it.
        #[source]
        source: Box<regex::Error>,
    },
    /// A selector that is longer than any sensible one.
    #[error("a series selector of {bytes} bytes: at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The greatest length.
        limit: usize,
    },
}
