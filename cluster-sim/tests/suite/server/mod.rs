//! What only the simulator can be made to do: faults, denied rights, a restart, its own controllers.

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
