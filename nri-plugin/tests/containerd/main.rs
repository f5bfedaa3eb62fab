//! A plugin and the index, with a real containerd that runs real pods. Skipped, and said so, where there is none: see
//! `fetch` beside this file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cgroups;
mod churn;
mod config;
mod cri;
mod enforce;
mod found;
mod image;
mod installed;
mod launched;
mod node;
mod order;
mod plugin;
mod remains;
mod restart;
mod slow;
mod state;
