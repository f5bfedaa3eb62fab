#![doc = include_str!("../README.md")]

pub mod adjust;
pub mod api;
pub mod cgroup;
pub mod connector;
pub mod index;
pub mod launch;
pub mod mux;
#[cfg(feature = "oci-spec")]
pub mod oci;
pub mod plugin;
pub mod session;
pub mod telemetry;
pub mod ttrpc;

pub use adjust::{Adjustment, BadAdjustment, Update};
pub use connector::{AttemptError, Connector, ConnectorBuilder, ConnectorError};
pub use launch::{Endpoint, Launch, LaunchError};
pub use plugin::{
    Answer, BadIdentity, Configuration, HandlerError, Identity, Plugin, Refusal, Role, SyncLimits, Vanished,
    handled_events,
};
pub use session::{End, Runtime, Session, SessionBuilder, SessionError, UpdateError};
