//! A simulated runtime of NRI: bytes → outcome, and what is asked of the node → what plugins get to see.
//!
//! A program of its own: one of its tests counts the panics of all threads.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

mod bytes;
mod join;
mod merge;
mod node;
mod plug;
mod policy;
mod relay;
mod runtime;
