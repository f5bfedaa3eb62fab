//! What the whole is to be like.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff::Backoff;
use crate::cache::{CacheError, DEFAULT_CONCURRENCY, DEFAULT_TTL, SummaryCache};
use crate::clock::{Clock, WallClock};
use crate::fetch::{Fetcher, NodeProxy};
use crate::follow::{AllRates, follow};
use crate::inventory::InventoryBuilder;
use crate::kubelet_summary::{KubeletSummary, keep_nodes};
use crate::schema::Parts;

/// When kubelets are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// When somebody asks a question that their nodes have part in, once per TTL at most.
    #[default]
    OnDemand,
    /// Each node once per TTL, whether somebody asks or not, and [`subscribe`](KubeletSummary::subscribe) tells of all
    /// nodes. Nodes that are new are asked at once, 100 a second: a host with one of them waits for no round, and 5,000
    /// are asked within 50 s.
    ///
    /// A question waits for a node whose document has just become too old and is being asked;
    /// [`usage_within`](KubeletSummary::usage_within) a deadline of nothing takes what there is.
    ///
    /// All nodes are asked that the inventory has, also those without a pod that is watched. An agent on each node must
    /// narrow it to its own, by [`pod_fields`](crate::inventory::InventoryBuilder::pod_fields) `spec.nodeName=…`, or each
    /// kubelet is asked by all of them.
    Background,
}

/// Why it can't be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no way to the kubelets.
    #[error(
        "there is no way to the kubelets: without a client, give a `fetcher` (`fetch::Direct`, or one of your own)"
    )]
    NoFetcher,
    /// There is no client.
    #[error("no client can be made from the configuration: {source}; look at its URL, certificates and user")]
    Client {
        /// Why not.
        #[source]
        source: kube::Error,
    },
    /// Rates would never come: they are between documents that the cache keeps.
    #[error("rates need a TTL above zero: without one no document is kept to compare the next one with")]
    RatesWithoutTtl,
    /// The cache can't be what it is told to be.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// What the whole is to be like. See [`KubeletSummary`].
#[must_use = "a builder does nothing until it is spawned"]
pub struct KubeletSummaryBuilder {
    client: Option<kube::Client>,
    inventory: InventoryBuilder,
    fetcher: Option<Arc<dyn Fetcher>>,
    parts: Parts,
    ttl: Duration,
    concurrency: usize,
    suspects: Option<usize>,
    fetch_timeout: Option<Duration>,
    deadline: Duration,
    mode: Mode,
    rates: bool,
    backoff: Option<Backoff>,
    clock: WallClock,
}

impl fmt::Debug for KubeletSummaryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeletSummaryBuilder")
            .field("inventory", &self.inventory)
            .field("ttl", &self.ttl)
            .field("concurrency", &self.concurrency)
            .field("deadline", &self.deadline)
            .field("mode", &self.mode)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

impl KubeletSummaryBuilder {
    pub(crate) fn new(client: Option<kube::Client>, inventory: InventoryBuilder) -> Self {
        Self {
            client,
            inventory,
            fetcher: None,
            parts: Parts::default(),
            ttl: DEFAULT_TTL,
            concurrency: DEFAULT_CONCURRENCY,
            suspects: None,
            fetch_timeout: None,
            deadline: Duration::from_secs(15),
            mode: Mode::default(),
            rates: false,
            backoff: None,
            clock: WallClock::default(),
        }
    }

    /// How kubelets are asked. By default through the API server's node proxy, which needs a wide right
    /// ([`rbac::NODE_PROXY`](crate::fetch::rbac::NODE_PROXY)): prefer `fetch::Direct` where nodes can be reached.
    pub fn fetcher(mut self, fetcher: impl Fetcher) -> Self {
        self.fetcher = Some(Arc::new(fetcher));
        self
    }

    /// Which parts of documents are kept, where no [fetcher](Self::fetcher) is given, which has its own setting;
    /// [`Parts::USAGE`] by default, which lacks swap and pressure among others. What is kept is most of what this takes in
    /// memory.
    pub fn parts(mut self, parts: Parts) -> Self {
        self.parts = parts;
        self
    }

    /// Which pods and nodes are watched, and by which streams.
    pub fn inventory(mut self, change: impl FnOnce(InventoryBuilder) -> InventoryBuilder) -> Self {
        self.inventory = change(self.inventory);
        self
    }

    /// For how long a document is fresh, and within which time a node is asked once at most; 55 s by default. See
    /// [`SummaryCacheBuilder::ttl`](crate::SummaryCacheBuilder::ttl).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many kubelets are asked at once; 64 by default.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// How many nodes whose last attempt failed are asked at once, beside the others; 4 times the concurrency by default.
    /// See [`SummaryCacheBuilder::suspects`](crate::SummaryCacheBuilder::suspects).
    pub fn suspects(mut self, nodes: usize) -> Self {
        self.suspects = Some(nodes);
        self
    }

    /// How long asking a kubelet may take, whatever the fetcher's own deadline is; 30 s by default, and two TTLs at most.
    /// See [`SummaryCacheBuilder::fetch_timeout`](crate::SummaryCacheBuilder::fetch_timeout).
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = Some(timeout);
        self
    }

    /// How long a question may take; 15 s by default. Nodes that did not answer until then are served from their stale
    /// documents, or missing.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// When kubelets are asked; on demand by default.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Whether [rates](KubeletSummary::rates) of counters are worked out from the documents as they come; off by default,
    /// since they take some 800 bytes per pod of two containers. They need documents in a row: [`Mode::Background`], or
    /// questions that are asked regularly; and a TTL above zero.
    pub fn rates(mut self, on: bool) -> Self {
        self.rates = on;
        self
    }

    /// After a question that [failed](crate::UsageError::is_failure), the same one fails at once for a while. Off by default: the cache asks no node more
    /// than once per TTL as it is.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Another time of day. Ages don't depend on it.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = WallClock(Arc::new(clock));
        self
    }

    /// Starts it, on the runtime that this is called from.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> Result<KubeletSummary, BuildError> {
        let fetcher = match (self.fetcher, self.client) {
            (Some(fetcher), _) => fetcher,
            (None, Some(client)) => Arc::new(NodeProxy::new(client).parts(self.parts)),
            (None, None) => return Err(BuildError::NoFetcher),
        };
        if self.rates && self.ttl.is_zero() {
            return Err(BuildError::RatesWithoutTtl);
        }
        let clock = self.clock;
        let mut cache =
            SummaryCache::builder(fetcher).ttl(self.ttl).concurrency(self.concurrency).clock(move || clock.now());
        if let Some(suspects) = self.suspects {
            cache = cache.suspects(suspects);
        }
        if let Some(timeout) = self.fetch_timeout {
            cache = cache.fetch_timeout(timeout);
        }
        let cache = match self.mode {
            Mode::OnDemand => cache.build(),
            Mode::Background => cache.spawn()?,
        };
        // Taken before anything is asked, so that none is missed.
        let followed = self.rates.then(|| (cache.changes(), Arc::new(AllRates::default())));
        let inventory = self.inventory.spawn();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let keeping = keep_nodes(inventory.clone(), cache.clone());
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(keeping).await });
        let rates = followed.map(|(changes, rates)| {
            let (stopped, following) = (stop.clone(), follow(changes, cache.clone(), rates.clone()));
            tasks.spawn(async move { stopped.run_until_cancelled(following).await });
            rates
        });
        tasks.close();
        Ok(KubeletSummary::new(inventory, cache, rates, self.backoff, self.deadline, stop, tasks))
    }
}
