#![doc = include_str!("../README.md")]

pub mod delta;
pub mod event;
#[cfg(feature = "layout")]
pub mod layout;
pub mod route;

mod suggest;
