//! ttrpc: calls and answers over one connection of the [multiplexer](crate::mux).
//!
//! A message is a header of 10 bytes (length of the data, stream, type, flags) and its data, a [`Request`] or a
//! [`Response`]. NRI makes unary calls only: one message each way, no flags (containerd/ttrpc, `PROTOCOL.md`).
//!
//! # Why not the `ttrpc` crate
//!
//! - It gives out stream ids before it queues messages, so that concurrent calls can be on the wire out of order; Go's
//!   server refuses those. Here a stream id is given under the lock under which its message is queued.
//! - A method that a plugin does not have is answered with `NOT_FOUND`; a runtime falls back only on `UNIMPLEMENTED`, and
//!   takes the other for an error of the pod.
//! - It takes no more than 4 MiB, and runtimes before NRI 0.7 send more. Here the limit for what is received is an option.
//! - Requests are handled in no particular order. Here a handler is begun before the next request is looked at.
//! - It serves listeners, while a plugin serves one connection and must notice its end; and it takes part in the choice
//!   of a protobuf library.

mod client;
#[allow(unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
#[rustfmt::skip]
mod envelope;
mod server;
mod status;
mod wire;

pub use self::client::{CallError, CallOptions, Client};
pub use self::envelope::{Any, KeyValue, Request, Response, Status};
pub use self::server::{Call, Service, serve};
pub use self::status::Code;

/// The longest data that Go's ttrpc takes: 4 MiB.
pub const MAX_DATA: usize = 4 << 20;

/// Bounds of a client or server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The longest data that is sent; [`MAX_DATA`] by default.
    pub max_send: usize,
    /// The longest data that is taken. 16 MiB by default: runtimes before NRI 0.7 send the state of a node in one
    /// message, of 6 MB on a busy one.
    pub max_receive: usize,
    /// How many requests a server handles at once; further ones wait in the connection's queue. 16 by default: runtimes
    /// wait for each answer, but for those of validators.
    pub concurrency: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_send: MAX_DATA, max_receive: 16 << 20, concurrency: 16 }
    }
}
