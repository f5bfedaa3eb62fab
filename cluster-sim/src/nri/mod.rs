//! A container runtime, as a plugin of the Node Resource Interface (NRI) sees it: containerd or CRI-O, by the rules that
//! Go's adaptation keeps.
//!
//! Frames, streams, registration, subscription, the parts of the state, limits of time and the fallback to `StateChange`
//! are those of the real ones, in each [`Version`]. What breaks a rule ends as it does there, and says why.
//!
//! A [`Runtime`] has pods and containers, and the plugins that joined it: what the kubelet would ask of it becomes events,
//! in their order and with what is to be seen at each, and ends as the plugins' answers together say. A [`Peer`] is one
//! plugin, which a test may also drive call by call, without a node.

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated: messages are described by the schema, fields by their names where no comment says more"
)]
#[rustfmt::skip]
pub mod api;
mod cgroups;
mod client;
mod connection;
mod creation;
mod drive;
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated from a schema")]
#[rustfmt::skip]
pub mod envelope;
mod event;
mod failure;
mod lifecycle;
mod log;
mod malformed;
mod owners;
mod peer;
mod register;
mod relay;
mod relayed;
mod resources;
mod runtime;
mod server;
mod state;
mod synchronize;
mod trouble;
mod trunk;
mod updates;
mod updating;
mod version;

pub use cgroups::CgroupDriver;
pub use drive::Driven;
pub use envelope::Status;
pub use failure::{Failure, ListenError};
pub use lifecycle::{Created, Updated};
pub use log::{Call, Log, Record};
pub use malformed::Malformed;
pub use peer::Peer;
pub use relayed::Relay;
pub use runtime::{Runtime, RuntimeBuilder};
pub use synchronize::Parts;
pub use trouble::{Breach, Code, Trouble};
pub use trunk::{Stream, Trunk};
pub use updates::Updates;
pub use version::{Profile, UnknownVersion, Version};
