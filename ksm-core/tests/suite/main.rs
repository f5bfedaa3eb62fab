//! Tests of what the crate does for those who use it.
//!
//! One program: each of them would be linked with everything again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod changes;
mod conformance;
mod convergence;
#[cfg(feature = "custom-resource-state")]
mod custom_resource;
#[cfg(feature = "custom-resource-state")]
mod custom_resource_discovery;
mod engine;
mod exposition;
mod families;
mod freshness;
mod joins;
mod metadata_only;
mod options;
#[cfg(all(feature = "otlp-http", feature = "otlp-grpc"))]
mod otlp;
mod resources;
#[cfg(feature = "http")]
mod scrape;
mod sharding;
mod store;
mod telemetry;
mod versions;
mod watch;
