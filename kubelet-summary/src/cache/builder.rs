//! What a cache can be told.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pace::Pace;
use super::table::Table;
use super::{CacheError, Shared, SummaryCache, refresh};
use crate::clock::{Clock, WallClock};
use crate::fetch::Fetcher;

/// For how long a document is fresh, and how often a node is asked at most.
pub const DEFAULT_TTL: Duration = Duration::from_secs(55);
/// More is as good as for ever, and this can be added to any time.
const LONGEST_TTL: Duration = Duration::from_hours(10 * 365 * 24);
/// How long an attempt may take.
const DEFAULT_FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// How many kubelets are asked at once.
pub const DEFAULT_CONCURRENCY: usize = 64;

/// What a [`SummaryCache`] can be told. See [`SummaryCache::builder`].
#[must_use]
pub struct SummaryCacheBuilder {
    fetcher: Arc<dyn Fetcher>,
    ttl: Duration,
    concurrency: usize,
    suspects: Option<usize>,
    fetch_timeout: Option<Duration>,
    shutdown_timeout: Duration,
    backlog: usize,
    seed: Option<u64>,
    clock: WallClock,
}

impl std::fmt::Debug for SummaryCacheBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SummaryCacheBuilder")
            .field("ttl", &self.ttl)
            .field("concurrency", &self.concurrency)
            .field("fetch_timeout", &self.fetch_timeout)
            .finish_non_exhaustive()
    }
}

impl SummaryCacheBuilder {
    pub(super) fn new(fetcher: Arc<dyn Fetcher>) -> Self {
        Self {
            fetcher,
            ttl: DEFAULT_TTL,
            concurrency: DEFAULT_CONCURRENCY,
            suspects: None,
            fetch_timeout: None,
            shutdown_timeout: Duration::from_secs(5),
            backlog: 4096,
            seed: None,
            clock: WallClock::default(),
        }
    }

    /// For how long a document is fresh, and within which time a node is asked once at most; 55 s by default, for readers
    /// that come once a minute: it is to be a little less than their interval, else they find the document of the time before.
    /// Ten years at most. Zero turns the cache off: every call asks, and nothing is kept.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl.min(LONGEST_TTL);
        self
    }

    /// How many kubelets are asked at once; 64 by default, at least 1. Nodes whose last attempt failed have
    /// [places of their own](Self::suspects).
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How many nodes whose last attempt failed are asked at once, beside the others; 4 times the
    /// [concurrency](Self::concurrency) by default, at least 1.
    ///
    /// Such a node may hang again for all of the fetcher's deadline, and takes no place of a node that answers. It costs a
    /// connection until it answers. One that has recovered is asked within a TTL as long as no more than
    /// `suspects * ttl / deadline` others hang: 1,408 with the defaults.
    pub fn suspects(mut self, nodes: usize) -> Self {
        self.suspects = Some(nodes.clamp(1, Semaphore::MAX_PERMITS));
        self
    }

    /// How long an attempt may take, whatever the fetcher's own deadline is; by default 30 s, and no more than two TTLs: a
    /// document that took longer may be shown to nobody.
    ///
    /// Above the TTL, a document may be stale when it comes ([`MissingReason::Slow`](super::MissingReason::Slow)); above
    /// two TTLs it is cut to them, and a warning says so.
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = Some(timeout);
        self
    }

    /// The time that an attempt has, and that which was wanted in vain.
    fn attempt(&self) -> (Duration, Option<Duration>) {
        let wanted = self.fetch_timeout.unwrap_or(DEFAULT_FETCH_TIMEOUT);
        let most = self.ttl.saturating_mul(2);
        if most.is_zero() || wanted <= most {
            return (wanted, None);
        }
        (most, self.fetch_timeout)
    }

    /// How long [`SummaryCache::shutdown`] waits for attempts to end that it has cancelled; 5 s by default.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// How many changes a consumer of [`SummaryCache::changes`] may be behind; 4096 by default, at least 1. They are
    /// names, not documents.
    pub fn backlog(mut self, changes: usize) -> Self {
        self.backlog = changes.clamp(1, 1 << 24);
        self
    }

    /// Where in a round nodes are asked in the background follows from their names and this; random by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Another time of day. Ages and gates don't depend on it.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = WallClock(Arc::new(clock));
        self
    }

    /// A cache that asks when it is asked.
    pub fn build(self) -> SummaryCache {
        self.start(false).0
    }

    /// A cache that asks by itself too, every node once per TTL: those that the host names ([`SummaryCache::put`],
    /// [`SummaryCache::retain`]) and those that callers ask for. New nodes are asked at once, 100 a second, and when a
    /// caller asks; more than that come up in a TTL are asked within one. From then on each has a place of its own in a
    /// round, which it comes nearer to by a tenth of a TTL each time.
    ///
    /// It must be called within a tokio runtime. Without a TTL there is no pace to ask at.
    pub fn spawn(self) -> Result<SummaryCache, CacheError> {
        if self.ttl.is_zero() {
            return Err(CacheError::NoTtl);
        }
        let pace = Pace::new(self.ttl, self.seed.unwrap_or_else(rand::random));
        let (cache, stop) = self.start(true);
        let shared = cache.shared.clone();
        cache.shared.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = refresh::run(shared, pace) => {}
            }
        });
        Ok(cache)
    }

    pub(super) fn start(self, background: bool) -> (SummaryCache, CancellationToken) {
        let stop = CancellationToken::new();
        let suspects = self.concurrency.saturating_mul(4).min(Semaphore::MAX_PERMITS);
        let suspects = self.suspects.unwrap_or(suspects);
        let (fetch_timeout, in_vain) = self.attempt();
        if let Some(wanted) = in_vain {
            tracing::warn!(
                "an attempt ends after {fetch_timeout:?}, two TTLs, and not after {wanted:?}: what comes later could be \
                 shown to nobody; give a longer `ttl` or a shorter `fetch_timeout`"
            );
        }
        let shared = Arc::new(Shared {
            fetcher: self.fetcher,
            table: Mutex::new(Table::new(self.ttl, background, self.backlog, stop.clone())),
            permits: Semaphore::new(self.concurrency),
            suspects: Semaphore::new(suspects),
            fetch_timeout,
            shutdown_timeout: self.shutdown_timeout,
            clock: self.clock,
            news: tokio::sync::Notify::new(),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
        });
        let guard = Arc::new(stop.clone().drop_guard());
        (SummaryCache { shared, _drop: guard }, stop)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;
    use crate::fetch::{FetchError, NodeTarget};
    use crate::schema::Summary;

    struct Nothing;

    impl Fetcher for Nothing {
        fn fetch<'a>(&'a self, _: &'a NodeTarget) -> BoxFuture<'a, Result<Summary, FetchError>> {
            async { Ok(Summary::default()) }.boxed()
        }
    }

    #[test]
    fn an_attempt_has_two_ttls_at_most() {
        let seconds = Duration::from_secs;
        let builder = || SummaryCache::builder(Nothing);
        assert_eq!(builder().attempt(), (seconds(30), None));
        assert_eq!(builder().ttl(seconds(5)).attempt(), (seconds(10), None));
        let long = builder().ttl(seconds(5)).fetch_timeout(seconds(11));
        assert_eq!(long.attempt(), (seconds(10), Some(seconds(11))), "what was wanted in vain is told");
        assert_eq!(builder().ttl(seconds(5)).fetch_timeout(seconds(10)).attempt(), (seconds(10), None));
        assert_eq!(builder().ttl(Duration::ZERO).attempt(), (seconds(30), None), "nothing is kept, and all is shown");
    }
}
