#![doc = include_str!("../README.md")]

pub mod backoff;
mod builder;
pub mod cache;
mod causes;
pub mod clock;
pub mod exposition;
pub mod fetch;
mod follow;
pub mod inventory;
mod kubelet_summary;
pub mod query;
pub mod rates;
pub mod resources;
pub mod schema;
pub mod selector;
pub mod storage;
pub mod telemetry;

pub use builder::{BuildError, KubeletSummaryBuilder, Mode};
pub use cache::{Document, MissingReason, NodeAnswer, NodeOutcome, SummaryCache, SummaryCacheBuilder, SummaryChange};
pub use clock::Clock;
pub use fetch::{FetchError, Fetcher, NodeTarget};
pub use inventory::Inventory;
pub use kubelet_summary::KubeletSummary;
pub use query::{PodUsage, Usage, UsageError};
pub use schema::{Decoded, Parts, SchemaError, Skipped, Summary};
pub use selector::{PodSelector, Scope};
