//! Kubelets of all kinds on loopback → summaries and errors.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod kubelet;
mod tls;
