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

mod feed;
mod policy;
mod read;
mod table;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::runtime::watcher;
use metrics::counter;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::feed::{BoxError, Connection, Failure, Feed, FeedEvent, Scope};
pub use self::policy::ExpiryPolicy;
use self::table::{Keeper, Table};
use crate::clock::{Clock, WallClock};
use crate::contract::Contract;
use crate::metadata::NodeMetadata;
use crate::telemetry;

/// Leases between the feed and the table.
const QUEUE: usize = 64;

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

/// Where Leases come from.
enum Source {
    Server(Connection),
    Stream(BoxStream<'static, Result<watcher::Event<Lease>, watcher::Error>>),
}

/// What a cache is to be like.
#[must_use = "a builder does nothing until it is spawned"]
pub struct LeaseCacheBuilder {
    source: Source,
    namespace: String,
    by_label: bool,
    contract: Contract,
    policy: ExpiryPolicy,
    outage_grace: Duration,
    capacity: usize,
    clock: WallClock,
}

impl fmt::Debug for LeaseCacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseCacheBuilder")
            .field("namespace", &self.namespace)
            .field("contract", &self.contract)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl LeaseCacheBuilder {
    fn new(source: Source, namespace: String) -> Self {
        Self {
            source,
            namespace,
            by_label: false,
            contract: Contract::default(),
            policy: ExpiryPolicy::default(),
            outage_grace: Duration::from_hours(12),
            capacity: 50_000,
            clock: WallClock::default(),
        }
    }

    /// What writer and reader agree on; the CloudWatch agent's [contract](Contract::cloudwatch) by default.
    pub fn contract(mut self, contract: Contract) -> Self {
        self.contract = contract;
        self
    }

    /// Whether the server is asked for Leases with the contract's label only. Where every writer is this crate's, that
    /// keeps other Leases of the namespace out of the watch; the CloudWatch agent's Leases have no label. Off by
    /// default: Leases are told by their name's prefix.
    pub fn by_label(mut self, on: bool) -> Self {
        self.by_label = on;
        self
    }

    /// By whose clock Leases end.
    pub fn expiry(mut self, policy: ExpiryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long nodes stay after their Leases ended while the API server can't be asked, so that no writer could renew
    /// them either; 12 hours by default. Zero: an outage changes nothing.
    pub fn outage_grace(mut self, grace: Duration) -> Self {
        self.outage_grace = grace;
        self
    }

    /// The most nodes that are kept; 50,000 by default.
    pub fn capacity(mut self, nodes: usize) -> Self {
        self.capacity = nodes.max(1);
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = WallClock(Arc::new(clock));
        self
    }

    /// Starts it, on the runtime that this is called from.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> LeaseCache {
        let table = Arc::new(Table::new());
        let status =
            Arc::new(watch::Sender::new(Inner { state: CacheState::Starting, since: Instant::now(), synced: false }));
        let stop = CancellationToken::new();
        let (label, value) = self.contract.label_pair();
        let label = self.by_label.then(|| (label.to_owned(), value.to_owned()));
        let scope = Scope { namespace: self.namespace, label };
        let keeper =
            Keeper::new(table.clone(), self.contract, self.policy, self.outage_grace, self.clock, self.capacity);
        tokio::spawn(run(self.source, scope, keeper, status.clone(), stop.clone()));
        let receiver = status.subscribe();
        LeaseCache { table, status: receiver, stop: stop.clone(), _drop: Arc::new(stop.drop_guard()) }
    }
}

async fn run(source: Source, scope: Scope, keeper: Keeper, status: Arc<watch::Sender<Inner>>, stop: CancellationToken) {
    let (out, events) = mpsc::channel(QUEUE);
    let mut keeping = Keeping { keeper, status: &status };
    let feeding = async {
        match source {
            Source::Server(connection) => Feed::new(scope, out).run(connection).await,
            Source::Stream(stream) => forward(stream, &scope, out).await,
        }
    };
    let both = async { tokio::join!(feeding, keeping.keep(events)) };
    stop.run_until_cancelled(both).await;
    // Empty first, then said to be stopped.
    drop(keeping);
    status.send_modify(|status| status.turn(CacheState::Stopped));
}

/// The host's stream as a feed.
async fn forward(
    mut stream: BoxStream<'static, Result<watcher::Event<Lease>, watcher::Error>>,
    scope: &Scope,
    out: mpsc::Sender<FeedEvent>,
) {
    while let Some(event) = stream.next().await {
        let told = match event {
            // Anybody may write Leases somewhere: only those of one namespace are believed.
            Ok(watcher::Event::InitApply(lease) | watcher::Event::Apply(lease) | watcher::Event::Delete(lease))
                if !scope.has(&lease) =>
            {
                continue;
            }
            Ok(watcher::Event::Init) => FeedEvent::ListBegins,
            Ok(watcher::Event::InitApply(lease)) => FeedEvent::Listed(Box::new(lease)),
            Ok(watcher::Event::InitDone) => FeedEvent::ListEnds,
            Ok(watcher::Event::Apply(lease)) => FeedEvent::Changed(Box::new(lease)),
            Ok(watcher::Event::Delete(lease)) => FeedEvent::Deleted(lease.metadata.name.unwrap_or_default()),
            Err(error) => {
                let message = crate::api::with_causes(&error);
                FeedEvent::Failed(Failure { message, word: "stream".to_owned() })
            }
        };
        if out.send(told).await.is_err() {
            return;
        }
    }
    let ended = Failure { message: "the host's stream of Leases ended".to_owned(), word: "stream".to_owned() };
    // If nobody listens, nobody needs to know.
    let _ = out.send(FeedEvent::Failed(ended)).await;
    // The sender stays, so that expiry goes on.
    std::future::pending::<()>().await;
}

struct Keeping<'a> {
    keeper: Keeper,
    status: &'a watch::Sender<Inner>,
}

impl Keeping<'_> {
    async fn keep(&mut self, mut events: mpsc::Receiver<FeedEvent>) {
        loop {
            let next = self.keeper.next_sweep();
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => self.keeper.sweep(),
            }
            if events.is_empty() {
                self.keeper.tidy();
            }
        }
    }

    fn take(&mut self, event: FeedEvent) {
        let counted = |kind: &'static str| counter!(telemetry::EVENTS, "kind" => kind).increment(1);
        match event {
            FeedEvent::ListBegins => self.keeper.begin_list(),
            FeedEvent::Listed(lease) => {
                counted("listed");
                self.keeper.put(&lease, true);
            }
            FeedEvent::ListEnds => {
                self.keeper.end_list();
                self.connected(true);
            }
            FeedEvent::Changed(lease) => {
                counted("changed");
                self.keeper.put(&lease, false);
                self.connected(false);
            }
            FeedEvent::Deleted(name) => {
                counted("deleted");
                self.keeper.delete(&name);
                self.connected(false);
            }
            FeedEvent::Undecodable(error) => {
                tracing::warn!(error, "a Lease can't be read, and is left out");
                counter!(telemetry::REJECTED, "reason" => "undecodable").increment(1);
            }
            FeedEvent::Connected => self.connected(false),
            FeedEvent::Failed(failure) => self.failed(failure),
        }
    }

    fn connected(&mut self, listed: bool) {
        self.keeper.connected();
        self.status.send_if_modified(|status| {
            let synced = status.synced || listed;
            let state = if synced { CacheState::Synced } else { CacheState::Starting };
            let news = status.state != state || status.synced != synced;
            if news && matches!(status.state, CacheState::Degraded { .. }) {
                tracing::info!("Leases are seen again");
            }
            if status.state != state {
                status.turn(state);
            }
            status.synced = synced;
            news
        });
    }

    fn failed(&mut self, Failure { message: error, word }: Failure) {
        counter!(telemetry::FAILURES, "reason" => word).increment(1);
        self.keeper.failed();
        self.status.send_modify(|status| match &status.state {
            CacheState::Degraded { since, error: before } => {
                if *before != error {
                    tracing::warn!(error, "Leases still can't be seen");
                }
                status.state = CacheState::Degraded { since: *since, error };
            }
            _ => {
                tracing::warn!(error, "Leases can't be seen; what is known is kept, and it is tried again");
                status.turn(CacheState::Degraded { since: Instant::now(), error });
            }
        });
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
