//! What several suites need.
#![allow(dead_code, reason = "each suite uses its part")]

pub(crate) mod decode;
pub(crate) mod store;
