//! Tests of the program, as its users see it.
//!
//! One program: each of them would be linked with everything again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod configuration;
mod image;
#[path = "../../../host/tests/support/manifest_files.rs"]
mod manifest_files;
mod manifests;
mod node_metadata;
mod parts;
mod prometheus;
#[path = "../../../host/tests/support/prometheus_server.rs"]
mod prometheus_server;
mod push;
#[path = "../../../host/tests/support/mod.rs"]
mod support;
