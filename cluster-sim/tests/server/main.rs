//! What only the simulator can be made to do: faults, denied rights, a restart, its own controllers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails is a test that fails")]

mod access;
mod faults;
mod handle;
mod history;
mod lifecycle;
mod memory;
mod rbac;
mod support;
#[cfg(feature = "tls")]
mod tls;
