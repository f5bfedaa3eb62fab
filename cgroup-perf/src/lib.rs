#![doc = include_str!("../README.md")]

pub mod mount;
pub mod output;
pub mod quality;
pub mod resolver;
pub mod sample;
pub mod totals;
pub mod tree;
