//! The options of kube-state-metrics: their syntaxes as pure functions, the flags as fields for a host's own command
//! line, and the options file.
//!
//! With the feature `clap`, [`FilterFlags`], [`ScopeFlags`] and [`ShardFlags`] are `clap::Args`, to be flattened into a host's own.
//! With the feature `options-file`, `OptionsFile` reads the file of kube-state-metrics' `--config`, and combines it with
//! the flags.
//!
//! ```
//! use ksm_core::options::FilterFlags;
//!
//! let flags = FilterFlags {
//!     resources: vec!["namespaces".into()],
//!     metric_labels_allowlist: Some("namespaces=[team,app.kubernetes.io/*]".into()),
//!     ..FilterFlags::default()
//! };
//! let selection = flags.resolve(&[])?;
//! assert_eq!(selection.resources.unwrap(), ["namespaces"]);
//! assert!(selection.settings.allow_lists("namespaces").labels.admits("app.kubernetes.io/name"));
//! # Ok::<(), ksm_core::options::OptionErrors>(())
//! ```

mod allowlist;
mod error;
#[cfg(feature = "options-file")]
mod file;
mod flags;
mod list;
#[cfg(feature = "options-file")]
mod merge;
mod shards;
mod text;

pub use allowlist::key_allowlists;
pub use error::{Given, OptionError, OptionErrors};
#[cfg(feature = "options-file")]
pub use file::OptionsFile;
pub use flags::{FilterFlags, ScopeFlags, Selection};
pub use list::{comma_list, resources};
pub use shards::{ShardChoice, ShardFlags};
pub use text::duration;
