//! What goes over the network, against a simulated cluster in paused time.

mod checkpoint;
mod conformance;
mod faults;
mod leader;
mod lease_checkpoint;
mod object;
mod pipeline;
mod source;
mod support;
mod telemetry;
