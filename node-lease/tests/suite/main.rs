//! Tests of what the crate does for those who use it.
//!
//! One program: each of them would be linked with everything again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[cfg(feature = "cloud")]
mod end_to_end;
#[cfg(feature = "otlp")]
mod enrich;
mod lease;
#[cfg(feature = "cloud")]
mod sources;
mod telemetry;
