#![doc = include_str!("../README.md")]

pub mod cache;
pub mod clock;
pub mod fetch;
pub mod inventory;
pub mod schema;
pub mod selector;
pub mod telemetry;

pub use cache::{Document, MissingReason, NodeAnswer, NodeOutcome, SummaryCache, SummaryCacheBuilder, SummaryChange};
pub use clock::Clock;
pub use fetch::{FetchError, Fetcher, NodeTarget};
pub use inventory::Inventory;
pub use schema::{Decoded, Parts, SchemaError, Skipped, Summary};
pub use selector::{PodSelector, Scope};
