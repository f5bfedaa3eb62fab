#![doc = include_str!("../README.md")]

#[allow(dead_code, unreachable_pub, reason = "the kernel's side includes the file, and has more use for it")]
mod abi;
mod btf;
mod collector;
mod cpus;
pub mod events;
pub mod loader;
pub mod mount;
pub mod output;
pub mod quality;
pub mod resolver;
pub mod sample;
mod sys;
pub mod telemetry;
pub mod totals;
pub mod tree;
pub mod watched;

pub use btf::BtfError;
pub use collector::{Builder, CgroupPerf, ReadError, Samples, StartError, Status};
