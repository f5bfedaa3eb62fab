//! Which pods are meant: by labels, namespace, owner and node.

mod error;
mod labels;
mod parse;
mod scope;

pub use self::error::SelectorError;
pub use self::labels::{PodSelector, Requirement};
pub use self::scope::{Scope, Workload};
