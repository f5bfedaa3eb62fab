//! Where a node's metadata come from.
//!
//! | source | asks | needs |
//! |---|---|---|
//! | [`aws::Imds`] (feature `cloud`) | EC2's instance metadata service, version 2 | a hop limit of 2 in a pod without host network |
//! | [`gce::Gce`] (feature `cloud`) | Compute Engine's metadata server | |
//! | [`azure::Azure`] (feature `cloud`) | Azure's instance metadata service | |
//! | [`node::NodeObject`] | the Node in the API server: `providerID`, labels, addresses | `get` on `nodes` |
//! | [`Fixed`] | nothing: values that are given | |
//! | [`Layered`] | several, the first one's values first | |
//!
//! [`detect`](detect::Detector) (feature `cloud`) tells which cloud it is. A source of one's own implements
//! [`MetadataSource`].
//!
//! Nothing is fetched once and given up: what a source could not tell, it is asked for again, while what it could tell
//! is published already.

#[cfg(feature = "cloud")]
pub mod aws;
#[cfg(feature = "cloud")]
pub mod azure;
#[cfg(feature = "cloud")]
pub mod detect;
mod error;
#[cfg(feature = "cloud")]
pub mod gce;
#[cfg(feature = "cloud")]
mod http;
mod layered;
pub mod node;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use self::error::SourceError;
pub use self::layered::{Fixed, Layered};
use crate::metadata::{Attribute, BadValue, NodeMetadata};

/// Where the services of all three clouds are, in each of their machines.
#[cfg(feature = "cloud")]
pub const LINK_LOCAL: &str = "http://169.254.169.254";

/// What a source tells: all that it could find out, and why the rest is missing.
#[derive(Debug, Default)]
pub struct Fetched {
    /// What is known. Values that the machine does not have (a zone where there are none) are missing without a
    /// problem.
    pub metadata: NodeMetadata,
    /// What could not be found out, and may be the next time.
    pub problems: Vec<SourceError>,
}

impl Fetched {
    /// All that there is to know.
    pub fn complete(metadata: NodeMetadata) -> Self {
        Self { metadata, problems: Vec::new() }
    }

    /// Whether asking again would tell no more.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }

    /// The same, unless nothing was found out at all: then it is the first problem.
    fn if_anything(mut self) -> Result<Self, SourceError> {
        if self.metadata.is_empty() && !self.problems.is_empty() {
            return Err(self.problems.swap_remove(0));
        }
        Ok(self)
    }

    /// Notes what a part of the source answered.
    #[cfg(feature = "cloud")]
    fn note(&mut self, attribute: Attribute, answer: Result<Option<String>, SourceError>) {
        match answer {
            Ok(Some(value)) => self.take(attribute, &value),
            Ok(None) => {}
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Takes a value; an empty one is nothing, a malformed one a problem.
    fn take(&mut self, attribute: Attribute, value: &str) {
        if self.metadata.set(attribute, value) == Err(BadValue::Malformed) {
            self.problems.push(SourceError::BadValue { attribute });
        }
    }
}

/// Where a node's metadata come from.
///
/// ```
/// use futures::FutureExt;
/// use futures::future::BoxFuture;
/// use node_lease::{Attribute, Fetched, MetadataSource, NodeMetadata, SourceError};
///
/// struct Inventory;
///
/// impl MetadataSource for Inventory {
///     fn name(&self) -> &str {
///         "inventory"
///     }
///
///     fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
///         async { Ok(Fetched::complete(NodeMetadata::new().with(Attribute::HostType, "rack server"))) }.boxed()
///     }
/// }
/// ```
pub trait MetadataSource: Send + Sync + 'static {
    /// What it is called in messages.
    fn name(&self) -> &str;

    /// Asks for everything. An error means that nothing was found out. Whoever calls it bounds its time.
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>>;
}

impl<S: MetadataSource + ?Sized> MetadataSource for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        (**self).fetch()
    }
}
