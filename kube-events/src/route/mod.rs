//! Which receivers an event goes to.
//!
//! A [`Route`] is as the configuration has it; [`Router::compile`] checks it and makes what events are judged by.

mod compile;
mod pattern;
mod rule;
mod spec;

pub use compile::{InvalidPatterns, ReceiverId, RouteError, RouteProblem, Router};
pub use spec::{Route, Rule};
