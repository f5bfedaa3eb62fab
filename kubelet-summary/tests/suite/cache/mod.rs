//! Who asks when, and what kubelets do meanwhile → what is served, and how often kubelets are asked.
#![allow(clippy::unchecked_time_subtraction, reason = "a nanosecond less than a TTL is no underflow")]

mod background;
mod changes;
mod freshness;
mod many;
mod rules;
mod script;
mod sharing;
mod stopping;
mod telemetry;
