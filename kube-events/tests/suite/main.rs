//! Tests of what the crate does for those who use it.
//!
//! One program: each of them would be linked with everything again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[cfg(feature = "config")]
mod config;
#[cfg(feature = "config")]
mod configurations;
mod crash;
mod event;
mod io;
#[cfg(feature = "layout")]
mod layout;
mod outlet;
mod route;
mod sinks;
