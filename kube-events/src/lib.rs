#![doc = include_str!("../README.md")]

pub mod delta;
pub mod event;
pub mod route;

mod suggest;
