//! The flags of kube-state-metrics: their syntaxes as pure functions, and the flags as fields for a host's own command
//! line.
//!
//! With the feature `clap`, [`FilterFlags`] and [`ScopeFlags`] are `clap::Args`, to be flattened into a host's own.
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
mod flags;
mod list;

pub use allowlist::key_allowlists;
pub use error::{OptionError, OptionErrors};
pub use flags::{FilterFlags, ScopeFlags, Selection};
pub use list::{comma_list, resources};
