#![doc = include_str!("../README.md")]

pub mod cache;
pub mod clock;
pub mod fetch;
pub mod rates;
pub mod resources;
pub mod schema;
pub mod storage;
pub mod telemetry;

pub use cache::{Document, MissingReason, NodeAnswer, NodeOutcome, SummaryCache, SummaryCacheBuilder, SummaryChange};
pub use clock::Clock;
pub use fetch::{FetchError, Fetcher, NodeTarget};
pub use schema::{Decoded, Parts, SchemaError, Skipped, Summary};
