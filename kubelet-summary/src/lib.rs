#![doc = include_str!("../README.md")]

pub mod schema;

pub use schema::{Decoded, Parts, SchemaError, Skipped, Summary};
