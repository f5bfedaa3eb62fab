#![doc = include_str!("../README.md")]

mod mutation;
pub mod population;

pub use mutation::Mutation;
