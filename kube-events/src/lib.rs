#![doc = include_str!("../README.md")]

#[cfg(feature = "config")]
pub mod config;
pub mod delta;
pub mod event;
pub mod event_metrics;
#[cfg(feature = "layout")]
pub mod layout;
pub mod route;

mod suggest;
