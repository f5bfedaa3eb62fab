//! What has no equal on the other side.

use std::path::PathBuf;

use thiserror::Error;

/// A value that can't be converted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConversionError {
    /// A name or a number that the OCI runtime specification does not have.
    #[error("{field} can't be {value:?} in OCI: give a value of the runtime specification")]
    Unknown {
        /// What has the value.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// A number that the other side's type does not hold.
    #[error("{field} can't be {value} on the other side: give a number that both can hold, from {least} to {most}")]
    OutOfRange {
        /// What has the number.
        field: &'static str,
        /// The number.
        value: i128,
        /// The least that fits.
        least: i128,
        /// The most that fits.
        most: i128,
    },
    /// A path that is no UTF-8: messages have texts.
    #[error("{field} can't be {path:?} in a message of NRI: give a path that is UTF-8")]
    NotUtf8 {
        /// What has the path.
        field: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Something that is removed, which a specification can't say: it has to be applied.
    #[error("{field} {name:?} is a removal, which OCI does not have: apply the adjustment instead")]
    Removal {
        /// What is removed.
        field: &'static str,
        /// The name, with its mark.
        name: String,
    },
    /// A value that stands for none, which a specification says by leaving the field out.
    #[error("{field} {value} stands for none: leave the field out")]
    Cleared {
        /// What is taken away.
        field: &'static str,
        /// The value's name.
        value: &'static str,
    },
    /// A value that the types of OCI do not take; none is known to be so.
    #[error("{field} can't be built for OCI: {reason}")]
    Refused {
        /// What can't be built.
        field: &'static str,
        /// Why, by `oci-spec`.
        reason: String,
    },
}
