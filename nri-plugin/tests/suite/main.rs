//! Tests of what the crate does for those who use it.
//!
//! One program: each of them would be linked with everything again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod adjust;
mod cgroup_fs;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod index_life;
mod index_look;
mod index_telemetry;
mod mux;
mod oci;
mod session;
mod telemetry;
mod ttrpc;
