//! Watches resources and keeps their samples: [`KsmBuilder`] starts it, [`Ksm`] is the handle of what runs.

mod builder;
mod changes;
#[cfg(feature = "custom-resource-state")]
pub mod custom_resources;
#[cfg(not(feature = "custom-resource-state"))]
#[path = "without_custom_resources.rs"]
mod custom_resources;
mod error;
mod feed;
mod freshness;
mod handle;
mod hooks;
mod joining;
mod ownership;
mod plan;
mod resource;
mod resources;
mod scope;
mod settings;
mod shards;
mod source;
mod state;

pub use builder::{KsmBuilder, builtin_names, default_names};
pub use changes::{BadCursor, ChangeSet, Cursor, ScopeChanges, ScopeName};
pub use error::BuildError;
pub use freshness::Freshness;
pub use handle::Ksm;
pub use hooks::{Change, ExtraLabels, SampleEdit};
pub use resource::ResourceBuilder;
pub use resources::ResourceChanges;
pub use settings::{Reconfigured, Settings};
pub use shards::{Handover, ReshardError, Resharding};
pub use state::ResourceStatus;
