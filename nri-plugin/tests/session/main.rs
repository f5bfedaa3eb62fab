//! A plugin and runtimes of each version of NRI, over a trunk in memory. Time is paused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod connector;
mod ends;
mod events;
mod failures;
mod join;
mod node;
mod plugins;
mod sim;
mod updates;
