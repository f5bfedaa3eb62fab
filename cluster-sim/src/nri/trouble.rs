//! What a plugin does wrong, and what a runtime makes of it.

use std::fmt;

use thiserror::Error;

use super::envelope::Status;

/// A code of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[expect(missing_docs, reason = "they are gRPC's")]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Status {
    /// A status of this code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code as i32, message: message.into(), details: Vec::new() }
    }

    /// Whether its code is this one.
    pub fn is(&self, code: Code) -> bool {
        self.code == code as i32
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {}: {}", self.code, self.message)
    }
}

/// A rule of frames that a plugin broke. Go closes the connection and says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Breach {
    /// A frame is longer than what Go reads it into: the buffer of 4096 bytes at the beginning of a message, or what is
    /// missing of it.
    #[error(
        "a frame of {length} bytes was read into room for {room}: write at most 4096 bytes first, then the rest of the \
         message"
    )]
    FrameTooLong {
        /// The length of the frame.
        length: usize,
        /// What it was to be read into.
        room: usize,
    },
    /// Frames came faster than they can be sure to be read: more than 256 for one message, or for a connection that is
    /// not read any more. Go survives the former when it is lucky.
    #[error("more than 256 frames waited to be read: write a message in fewer frames")]
    QueueOverrun,
    /// A message that is no answer came where an answer was due.
    #[error("a message of type {0} came instead of an answer")]
    NoAnswer(u8),
}

/// Why a runtime dropped a plugin, or what an answer was that fails a pod.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The plugin did not register in time.
    #[error("plugin registration timed out")]
    NotRegistered,
    /// The plugin closed the connection.
    #[error("the plugin closed the connection")]
    Closed,
    /// The connection was closed for a rule that the plugin broke.
    #[error("the connection was closed: {0}")]
    Breach(#[from] Breach),
    /// The plugin did not answer in time.
    #[error("the plugin did not answer in time")]
    Timeout,
    /// The name is none: empty, or since 0.12 not of `A-Z a-z 0-9 _ . + -`. The connection stays open, and nothing comes.
    #[error("invalid plugin name {0:?}")]
    InvalidName(String),
    /// The index is not two digits. The connection stays open, and nothing comes.
    #[error("invalid plugin index {0:?}, must be 2 digits")]
    InvalidIndex(String),
    /// The plugin wants events that the runtime does not know: these.
    #[error("invalid plugin events: {0:#x}")]
    InvalidEvents(i32),
    /// A part of the synchronization was answered as if it were the whole.
    #[error("plugin does not handle split sync requests")]
    NoSplitSync,
    /// A message is longer than the runtime can send: 16 MiB in a frame before NRI 0.7, or a state that can't be split.
    #[error("a message of {0} bytes is too long to be sent")]
    MessageTooLong(usize),
    /// An answer that is no message of its type.
    #[error("the answer can not be read: {0}")]
    Unreadable(String),
    /// The status that the plugin answered.
    #[error("the plugin answered {0}")]
    Status(Status),
}

impl Trouble {
    /// Whether the plugin is closed for it, and the pod goes on, as far as its
    /// [policy](super::Peer::failure_policy) says nothing else. Otherwise the plugin stays, and the pod fails.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Status(_) | Self::Unreadable(_))
    }
}
