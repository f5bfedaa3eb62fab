#![doc = include_str!("../README.md")]

pub mod api;
pub mod checkpoint;
pub mod clock;
pub mod delta;
pub mod event;
pub mod object;
mod pace;
pub mod route;
pub mod sink;
mod suggest;
pub mod telemetry;

pub use api::ApiError;
pub use clock::Clock;
