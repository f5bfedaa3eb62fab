#![doc = include_str!("../README.md")]

pub mod exposition;
pub mod rates;
pub mod resources;
pub mod schema;
pub mod storage;

pub use schema::{Decoded, Parts, SchemaError, Skipped, Summary};
