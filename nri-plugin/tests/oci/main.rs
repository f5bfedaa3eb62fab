//! Messages and types of OCI, both ways, and what is applied to a specification.
#![cfg(feature = "oci-spec")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod apply;
mod from_nri;
mod from_oci;
mod loss;
mod update;
