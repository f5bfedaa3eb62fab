//! Writers and readers of Leases against a simulated API server, in paused time: pauses are exact, and hours pass in
//! milliseconds.

mod cache;
mod faults;
mod outage;
mod publish;
mod stop;
mod support;
