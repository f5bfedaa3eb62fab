//! All nodes' metadata in memory, from one watch on their Leases.
//!
//! # Rights
//!
//! `list` and `watch` on `leases` in the namespace; none for a stream of the host's.
//!
//! # What happens when
//!
//! | | the cache |
//! |---|---|
//! | a Lease is not renewed in time | forgets its node; by whose clock is the [`ExpiryPolicy`]'s matter |
//! | a Lease is deleted, or made useless by an update | forgets its node |
//! | the API server can't be asked | keeps everything, also what is not renewed, for [`LeaseCacheBuilder::outage_grace`]; says so in [`LeaseCache::status`]; tries again by itself |
//! | more nodes come than it may hold | forgets those whose Leases would end first, and counts them |
//! | it is shut down | is empty, and stays so |

mod builder;
mod feed;
mod keep;
mod policy;
mod read;
mod table;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::runtime::watcher;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::builder::LeaseCacheBuilder;
use self::builder::Source;
use self::feed::{BoxError, Connection};
pub use self::policy::ExpiryPolicy;
use self::table::Table;
use crate::metadata::NodeMetadata;

/// How fresh a node's metadata are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// For how long the last renewal has been known here.
    pub seen: Duration,
    /// When that was, by the writer's clock.
    pub renewed: Timestamp,
    /// How far the writer's clock was behind this machine's when the renewal was seen, the way of the news included;
    /// none until one is seen, since the first list does not tell how old its Leases are.
    pub skew: Option<SignedDuration>,
    /// For how much longer the Lease is good; none if it is over, and kept because the API server can't be asked.
    pub remaining: Option<Duration>,
}

/// Why a node left the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalReason {
    /// Its Lease was deleted.
    Deleted,
    /// Its Lease was not renewed in time.
    Expired,
    /// Its Lease can't be read any more.
    Rejected,
    /// The cache was full.
    Full,
}

impl RemovalReason {
    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Full => "full",
        }
    }
}

/// What changed in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeChange {
    /// A node is new, or its metadata are others. Renewals alone are no change.
    Changed {
        /// Its name.
        node: Arc<str>,
        /// What is known now.
        metadata: Arc<NodeMetadata>,
    },
    /// A node is not known any more.
    Removed {
        /// Its name.
        node: Arc<str>,
        /// Why.
        reason: RemovalReason,
    },
    /// So many changes were missed by a consumer that was too slow: look at [`LeaseCache::nodes`] anew.
    Missed(u64),
}

/// How a cache is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheState {
    /// No list is complete yet.
    Starting,
    /// It has all Leases, and sees their changes.
    Synced,
    /// The API server can't be asked. What was known before is kept for a while.
    Degraded {
        /// Since when.
        since: Instant,
        /// Why, the last time.
        error: String,
    },
    /// It was shut down.
    Stopped,
}

/// A cache's status.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatus {
    /// How it is doing.
    pub state: CacheState,
    /// Since when it does so.
    pub since: Instant,
    /// Whether a list was complete once.
    pub synced: bool,
    /// The nodes in it.
    pub nodes: u64,
}

#[derive(Debug, Clone)]
struct Inner {
    state: CacheState,
    since: Instant,
    synced: bool,
}

impl Inner {
    /// Another state from now on.
    fn turn(&mut self, state: CacheState) {
        (self.state, self.since) = (state, Instant::now());
    }
}

/// All nodes' metadata in memory. Clones are handles of the same cache; it stops with the last of them.
///
/// ```no_run
/// use node_lease::{Attribute, LeaseCache};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// // The cache retries by itself, at its own pace.
/// let mut config = kube::Config::infer().await?;
/// config.default_retry = false;
/// let cache = LeaseCache::builder(kube::Client::try_from(config)?, "amazon-cloudwatch").spawn();
/// cache.synced().await;
/// if let Some(metadata) = cache.get("ip-10-0-0-1.ec2.internal") {
///     println!("{:?}", metadata.get(Attribute::HostType));
/// }
/// cache.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LeaseCache {
    table: Arc<Table>,
    status: watch::Receiver<Inner>,
    stop: CancellationToken,
    _drop: Arc<DropGuard>,
}

impl fmt::Debug for LeaseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseCache").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl LeaseCache {
    /// A cache of the Leases in `namespace`. The client must not retry by itself (`kube::Config::default_retry = false`):
    /// it would hide how long a server asks to wait.
    pub fn builder(client: Client, namespace: impl Into<String>) -> LeaseCacheBuilder {
        LeaseCacheBuilder::new(Source::Server(Connection::Ready(client)), namespace.into())
    }

    /// The same with a client that is made later: where the API server, or the configuration for it, may come after the
    /// host. `connect` is called again, with growing pauses, until it gives one.
    pub fn connecting<F, E>(
        connect: impl Fn() -> F + Send + Sync + 'static,
        namespace: impl Into<String>,
    ) -> LeaseCacheBuilder
    where
        F: Future<Output = Result<Client, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let connect = move || -> BoxFuture<'static, Result<Client, BoxError>> {
            let connecting = connect();
            Box::pin(async { connecting.await.map_err(Into::into) })
        };
        LeaseCacheBuilder::new(Source::Server(Connection::Lazy(Arc::new(connect))), namespace.into())
    }

    /// A cache of the Leases in `namespace`, from a watch that the host has: `kube::runtime::watcher` on Leases, or a part
    /// of a shared one. The stream must go on after its errors, as that with a back-off does; after one, the cache counts
    /// as [degraded](CacheState::Degraded) until the next event.
    pub fn from_stream(
        stream: impl Stream<Item = Result<watcher::Event<Lease>, watcher::Error>> + Send + 'static,
        namespace: impl Into<String>,
    ) -> LeaseCacheBuilder {
        LeaseCacheBuilder::new(Source::Stream(stream.boxed()), namespace.into())
    }

    /// What is known of a node; nothing if its Lease is over.
    pub fn get(&self, node: &str) -> Option<Arc<NodeMetadata>> {
        self.table.get(node)
    }

    /// How fresh that is.
    pub fn freshness(&self, node: &str) -> Option<Freshness> {
        self.table.freshness(node)
    }

    /// All nodes, in no order.
    pub fn nodes(&self) -> Vec<(Arc<str>, Arc<NodeMetadata>)> {
        self.table.nodes()
    }

    /// What changes from now on, until the cache is shut down. Take it before [`nodes`](Self::nodes), and no change is
    /// missed between the two.
    pub fn changes(&self) -> impl Stream<Item = NodeChange> + Send + Unpin + use<> {
        let changes = self.table.subscribe();
        futures::stream::unfold(changes, async |mut changes| match changes.recv().await {
            Ok(change) => Some((change, changes)),
            Err(RecvError::Lagged(missed)) => Some((NodeChange::Missed(missed), changes)),
            Err(RecvError::Closed) => None,
        })
        .take_until(self.stop.clone().cancelled_owned())
        .boxed()
    }

    /// How it is doing.
    pub fn status(&self) -> CacheStatus {
        let Inner { state, since, synced } = self.status.borrow().clone();
        CacheStatus { state, since, synced, nodes: self.table.len() }
    }

    /// Waits until all Leases were listed once, or the cache was shut down.
    pub async fn synced(&self) {
        self.wait(|status| status.synced || status.state == CacheState::Stopped).await;
    }

    /// Waits until its state is as wanted.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&CacheState) -> bool) {
        self.wait(|status| wanted(&status.state)).await;
    }

    async fn wait(&self, wanted: impl FnMut(&Inner) -> bool) {
        // An error is the end of the task, which says `Stopped` last.
        let _ = self.status.clone().wait_for(wanted).await;
    }

    /// Stops the watch and empties the cache; nothing comes back. Calling it again does no harm.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.wait(|status| status.state == CacheState::Stopped).await;
    }
}
