//! What goes over the network, against a simulated cluster in paused time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod checkpoint;
mod conformance;
mod faults;
mod leader;
mod lease_checkpoint;
mod object;
mod pipeline;
mod source;
mod support;
mod telemetry;
