//! Objects → OTLP messages, and messages → receivers with faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod exporter;
mod messages;
mod support;
