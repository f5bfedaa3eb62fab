//! Sources against simulated metadata services and a simulated API server: answers → values, faults → outcomes.
//!
//! Requests may take as long as they need: where one must time out, the clock is moved once it hangs.

mod aws;
mod azure;
mod bodies;
mod canned;
mod detect;
mod environment;
mod gce;
mod node;
mod proxies;
mod refusals;
mod support;
mod tokens;
