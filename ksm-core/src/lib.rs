#![doc = include_str!("../README.md")]

pub mod catalog;
#[cfg(feature = "custom-resource-state")]
pub mod custom_resource;
pub mod decode;
pub mod engine;
pub mod exposition;
pub mod families;
pub mod family;
pub mod filter;
pub mod joins;
pub mod labels;
pub mod options;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod render;
pub mod resource;
pub mod samples;
#[cfg(feature = "http")]
pub mod scrape;
pub mod selector;
pub mod shard;
pub mod store;
pub mod telemetry;
pub mod value;
pub mod watch;
#[cfg(any(feature = "custom-resource-state", feature = "options-file"))]
mod yaml;

pub use engine::{
    BadCursor, BuildError, Change, ChangeSet, Cursor, ExtraLabels, Freshness, Handover, Ksm, KsmBuilder, Reconfigured,
    ReshardError, Resharding, ResourceBuilder, ResourceChanges, ResourceStatus, SampleEdit, ScopeChanges, ScopeName,
    Settings,
};
pub use exposition::{Exposition, Format, GzipCache};
pub use families::Builtin;
pub use family::{Family, FamilyIndex, FamilySet, Gate, MetricType, Stability};
pub use filter::{FamilyFilter, FilterError};
pub use labels::{AllowLists, KeyAllowList};
pub use resource::Resource;
pub use samples::{Label, Reuse, SampleSink, Samples};
pub use selector::{Query, SelectorError, SeriesSelector};
pub use shard::{Assignment, Shard, ShardKey, Sharding};
pub use store::{
    Applied, Changes, Delta, MemoryStore, ObjectKey, ObjectRef, Removed, Retention, SampleRef, Snapshot, Store,
    StoreCursor, StoreStats, StoredObject,
};
pub use watch::{ListSemantic, ListStrategy, WatchOptions};
