//! CEL expressions as value sources: an extension of kube-state-metrics' schema.

#[cfg(not(feature = "cel"))]
mod absent;
#[cfg(feature = "cel")]
mod bound;
#[cfg(feature = "cel")]
mod evaluate;

#[cfg(not(feature = "cel"))]
pub(super) use absent::{Expression, Scope};
#[cfg(feature = "cel")]
pub(super) use evaluate::{Expression, Scope};
