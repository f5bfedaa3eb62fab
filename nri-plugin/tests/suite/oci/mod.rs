//! Messages and types of OCI, both ways, and what is applied to a specification.
#![cfg(feature = "oci-spec")]

mod apply;
mod from_nri;
mod from_oci;
mod loss;
mod update;
