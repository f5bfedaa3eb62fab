#![doc = include_str!("../README.md")]

pub mod api;
pub mod mux;
pub mod telemetry;
pub mod ttrpc;
