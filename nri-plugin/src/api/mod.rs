//! The messages of NRI, and which events a runtime knows.
//!
//! One schema, `proto/nri.proto`, serves every runtime from NRI 0.2 to 0.12: versions only added fields. An enum is a
//! number in its message, so that a value which is newer than the schema stays what it is.

mod events;
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated: messages are described by the schema, fields by their names where no comment says more"
)]
#[rustfmt::skip]
mod nri;
mod times;
mod version;

pub use events::{EventMask, UnknownEvent};
pub use nri::*;
pub use version::{NoVersion, RuntimeInfo, Version};

/// The service that the plugin serves and the runtime calls, on connection 1.
pub const PLUGIN_SERVICE: &str = "nri.pkg.api.v1alpha1.Plugin";

/// The service that the runtime serves and the plugin calls, on connection 2.
pub const RUNTIME_SERVICE: &str = "nri.pkg.api.v1alpha1.Runtime";
