//! Tests of what the hosts have in common.
//!
//! One program: each of them would be linked with everything again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod auth;
mod cluster;
mod files;
mod server;
mod tls;
