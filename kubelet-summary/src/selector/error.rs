use thiserror::Error;

/// A text or an object that is no label selector.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// Something else than the syntax allows at that place.
    #[error("label selector `{selector}`, character {at}: expected {expected}, found {found}")]
    Syntax {
        /// The selector.
        selector: String,
        /// Which character, from 1 on.
        at: usize,
        /// What could stand there.
        expected: &'static str,
        /// What stands there: a word or a character in back-quotes, or `the end`.
        found: String,
    },
    /// A key that no label can have.
    #[error(
        "`{key}` is no label key: a name of at most 63 letters, digits, `-`, `_` and `.`, which begins and ends with a \
         letter or digit, perhaps after a DNS name and `/`"
    )]
    Key {
        /// The key.
        key: String,
    },
    /// A value that no label can have.
    #[error(
        "`{value}` is no label value: empty, or at most 63 letters, digits, `-`, `_` and `.`, which begins and ends \
         with a letter or digit"
    )]
    Value {
        /// The value.
        value: String,
    },
    /// An operator that needs values has none, or one that takes none has some.
    #[error("the operator `{operator}` on label `{key}` {problem}")]
    Values {
        /// The label's key.
        key: String,
        /// The operator.
        operator: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// An operator of a `LabelSelector` that does not exist.
    #[error("unknown operator `{operator}` on label `{key}`: use In, NotIn, Exists or DoesNotExist")]
    Operator {
        /// The label's key.
        key: String,
        /// The operator.
        operator: String,
    },
    /// A selector that is longer than any sensible one.
    #[error("a label selector of {bytes} bytes: at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The greatest length.
        limit: usize,
    },
}
