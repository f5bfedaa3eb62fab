//! Tests of what the crate does for those who use it.
//!
//! One program: each of them would be linked with everything again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod churn;
mod driven;
mod kubectl;
#[cfg(feature = "tls")]
mod kubelet;
mod metadata;
mod population;
#[cfg(feature = "cli")]
mod program;
mod semantics;
mod server;
mod support;
