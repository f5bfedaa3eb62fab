//! How calls end.

use std::error::Error;
use std::fmt;

use super::Status;

/// The codes of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Code {
    /// All went well.
    Ok = 0,
    /// The caller gave it up.
    Cancelled = 1,
    /// An error that has no other code.
    Unknown = 2,
    /// The request is wrong by itself.
    InvalidArgument = 3,
    /// It took longer than the caller waits.
    DeadlineExceeded = 4,
    /// What was asked for is not there.
    NotFound = 5,
    /// What was to be made is there.
    AlreadyExists = 6,
    /// The caller may not do this.
    PermissionDenied = 7,
    /// It is too much, or too long.
    ResourceExhausted = 8,
    /// The state of things does not allow it.
    FailedPrecondition = 9,
    /// It was given up for another operation.
    Aborted = 10,
    /// Past the end.
    OutOfRange = 11,
    /// There is no such service or method. NRI 0.12 then sends events as `StateChange`.
    Unimplemented = 12,
    /// Something broke.
    Internal = 13,
    /// Not now.
    Unavailable = 14,
    /// Data was lost.
    DataLoss = 15,
    /// Nobody knows who the caller is.
    Unauthenticated = 16,
}

impl Status {
    /// A status, and why.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code as i32, message: message.into(), details: Vec::new() }
    }

    /// Whether it has this code.
    pub fn is(&self, code: Code) -> bool {
        self.code == code as i32
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.message, self.code)
    }
}

impl Error for Status {}
