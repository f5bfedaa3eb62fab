//! Tests of what the crate does for those who use it.
//!
//! One program: each of them would be linked with everything again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cache;
#[cfg(feature = "direct")]
mod direct;
#[cfg(feature = "direct")]
mod end_to_end;
mod exposition;
mod faults;
#[path = "../generate/mod.rs"]
mod generate;
mod inventory;
#[cfg(feature = "lean-client")]
mod lean;
mod proxy;
mod query;
mod rates;
mod schema;
mod servers;
mod storage;
