//! A container runtime, as a plugin of the Node Resource Interface (NRI) sees it: containerd or CRI-O, by the rules that
//! Go's adaptation keeps.
//!
//! Frames, streams, registration, subscription, the parts of the state, limits of time and the fallback to `StateChange`
//! are those of the real ones, in each [`Version`]. What breaks a rule ends as it does there, and says why.
//!
//! A [`Peer`] is a plugin that a test drives call by call.

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated: messages are described by the schema, fields by their names where no comment says more"
)]
#[rustfmt::skip]
pub mod api;
mod client;
mod connection;
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated from a schema")]
#[rustfmt::skip]
pub mod envelope;
mod event;
mod log;
mod peer;
mod register;
mod server;
mod synchronize;
mod trouble;
mod trunk;
mod updates;
mod version;

pub use envelope::Status;
pub use log::{Call, Log, Record};
pub use peer::Peer;
pub use synchronize::Parts;
pub use trouble::{Breach, Code, Trouble};
pub use trunk::{Stream, Trunk};
pub use updates::Updates;
pub use version::{Profile, Version};
