//! Kubelets, asked by a client that sees answers as they are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that fails, fails the test"
)]

mod contended;
mod direct;
mod document;
mod faults;
mod proxy;
mod rights;
mod speed;
mod support;
