//! What is answered to a question: pods, watches and documents → usage.

mod answers;
mod front_door;
mod support;
mod watched;
mod workloads;
