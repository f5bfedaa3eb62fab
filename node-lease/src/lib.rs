#![doc = include_str!("../README.md")]

pub mod api;
pub mod cache;
pub mod clock;
pub mod contract;
pub mod enrich;
pub mod metadata;
mod names;
mod pace;
pub mod source;
pub mod telemetry;
pub mod writer;

pub use api::ApiError;
pub use cache::{
    CacheState, CacheStatus, ExpiryPolicy, Freshness, LeaseCache, LeaseCacheBuilder, NodeChange, RemovalReason,
};
pub use clock::Clock;
pub use contract::{Contract, ContractError};
pub use enrich::{Attributes, Enriched, Enricher, NodeLookup};
pub use metadata::{Attribute, BadValue, NodeMetadata};
pub use source::{Fetched, MetadataSource, SourceError};
pub use writer::{
    LeaseWriter, LeaseWriterBuilder, OnStop, Owner, StopOutcome, WriterError, WriterHandle, WriterState, WriterStatus,
};
