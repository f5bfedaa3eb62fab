//! What a cache is to be like.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::feed::{Connection, Scope};
use super::policy::ExpiryPolicy;
use super::table::{Keeper, Table};
use super::{CacheState, Inner, LeaseCache, keep};
use crate::clock::{Clock, WallClock};
use crate::contract::Contract;

/// Where Leases come from.
pub(super) enum Source {
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
    pub(super) fn new(source: Source, namespace: String) -> Self {
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
        tokio::spawn(keep::run(self.source, scope, keeper, status.clone(), stop.clone()));
        let receiver = status.subscribe();
        LeaseCache { table, status: receiver, stop: stop.clone(), _drop: Arc::new(stop.drop_guard()) }
    }
}
