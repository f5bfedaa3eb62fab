#![doc = include_str!("../README.md")]

pub mod api;
pub mod checkpoint;
pub mod clock;
pub mod event;
pub mod leader;
pub mod object;
mod pace;
pub mod source;
pub mod telemetry;

pub use api::ApiError;
pub use clock::Clock;
