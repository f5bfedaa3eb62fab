//! Snapshots → bytes, as those read them who did not write them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod compression;
mod families;
mod official_parser;
mod prometheus_server;
mod protobuf;
mod selectors;
mod support;
