#![doc = include_str!("../README.md")]

pub mod api;
pub mod checkpoint;
pub mod clock;
#[cfg(feature = "config")]
pub mod config;
pub mod delta;
pub mod event;
pub mod event_metrics;
#[cfg(feature = "layout")]
pub mod layout;
pub mod leader;
pub mod object;
mod pace;
pub mod pipeline;
pub mod route;
pub mod sink;
pub mod source;
mod suggest;
pub mod telemetry;

pub use api::ApiError;
pub use clock::Clock;
