//! How a kubelet's summary is got.
//!
//! | | asks | right | needs |
//! |---|---|---|---|
//! | `Direct` (feature `direct`) | `https://NODE:10250/stats/summary` | `get` on `nodes/stats` | a way to the node, and trust in its certificate |
//! | [`NodeProxy`] | `/api/v1/nodes/NODE/proxy/stats/summary` | `get` on `nodes/proxy` | a way to the API server |
//! | `Direct`'s read-only port | `http://NODE:10255/stats/summary` | none | a kubelet that has it on |
//!
//! Prefer the direct way: `nodes/proxy` is also the right to run commands in containers. A way of one's own implements
//! [`Fetcher`].

mod answer;
mod bodies;
#[cfg(feature = "direct")]
mod direct;
mod error;
#[cfg(feature = "lean-client")]
mod lean;
mod proxy;
pub mod rbac;
mod target;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

#[cfg(feature = "direct")]
pub use self::direct::{Direct, DirectBuilder, DirectError, Token, Trust};
pub use self::error::{Access, BoxError, FetchError, Peer, Phase, TlsProblem};
#[cfg(feature = "lean-client")]
pub use self::lean::lean_client;
pub use self::proxy::NodeProxy;
pub use self::target::{AddressType, KUBELET_PORT, NoNodeName, NodeAddress, NodeTarget, READ_ONLY_PORT};
use crate::schema::Summary;

/// How long a request may take by default, the document included.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// The longest document by default: a node of 250 pods has about 1 MB.
pub const DEFAULT_MAX_BYTES: usize = 8 << 20;

/// Where a service account finds what it needs, in each pod.
#[cfg(feature = "direct")]
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The path of the summary at a kubelet, the light form or the whole.
const fn path(only_cpu_and_memory: bool) -> &'static str {
    if only_cpu_and_memory { "/stats/summary?only_cpu_and_memory=true" } else { "/stats/summary" }
}

/// Gets a kubelet's summary.
///
/// ```
/// use futures::FutureExt;
/// use futures::future::BoxFuture;
/// use kubelet_summary::Summary;
/// use kubelet_summary::fetch::{FetchError, Fetcher, NodeTarget};
///
/// /// Documents in files, one for each node.
/// struct Files;
///
/// impl Fetcher for Files {
///     fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
///         async move {
///             let text = tokio::fs::read(format!("{}.json", node.name)).await;
///             let text = text.map_err(|error| FetchError::Other(error.into()))?;
///             let decoded = Summary::from_slice(&text);
///             Ok(decoded.map_err(|error| FetchError::Malformed { source: error.into() })?.summary)
///         }
///         .boxed()
///     }
/// }
/// ```
pub trait Fetcher: Send + Sync + 'static {
    /// Asks the node's kubelet once. It does not try again by itself: whoever calls it paces it. The future may be
    /// dropped at any time.
    fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>>;
}

impl<F: Fetcher + ?Sized> Fetcher for Arc<F> {
    fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
        (**self).fetch(node)
    }
}

impl<F: Fetcher + ?Sized> Fetcher for Box<F> {
    fn fetch<'a>(&'a self, node: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
        (**self).fetch(node)
    }
}
