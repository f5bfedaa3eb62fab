//! Objects → OTLP messages, and messages → receivers with faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod exporter;
mod grpc;
mod http;
mod messages;
mod receiver;
mod support;
