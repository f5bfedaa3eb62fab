//! Tests of the program, as its users see it.
//!
//! One program: each of them would be linked with everything again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod exporter;
#[path = "../../../host/tests/support/manifest_files.rs"]
mod manifest_files;
mod manifests;
#[path = "../../../host/tests/support/mod.rs"]
mod support;
