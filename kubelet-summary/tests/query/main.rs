//! What is answered to a question: pods, watches and documents → usage.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod front_door;
mod support;
mod watched;
mod workloads;
