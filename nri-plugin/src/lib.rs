#![doc = include_str!("../README.md")]

pub mod adjust;
pub mod api;
pub mod cgroup;
pub mod index;
pub mod mux;
#[cfg(feature = "oci-spec")]
pub mod oci;
pub mod plugin;
pub mod session;
pub mod telemetry;
pub mod ttrpc;

pub use adjust::{Adjustment, BadAdjustment, Update};
pub use plugin::{
    Answer, BadIdentity, Configuration, HandlerError, Identity, Plugin, Refusal, Role, SyncLimits, handled_events,
};
pub use session::{End, Runtime, Session, SessionBuilder, SessionError, UpdateError};
