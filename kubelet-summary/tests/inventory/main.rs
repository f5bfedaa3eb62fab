//! Which pods and nodes are known, whatever the watches do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod faults;
mod own_watch;
mod streams;
mod support;
