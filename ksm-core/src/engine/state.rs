//! How a resource is doing, for a host that asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::StoreStats;

/// The state of one resource in one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceStatus {
    /// The resource's name.
    pub resource: String,
    /// The namespace that it is watched in; `None`: all of them.
    pub namespace: Option<String>,
    /// How long ago a list was complete for the first time; `None`: not yet.
    pub synced_for: Option<Duration>,
    /// How long ago the last event came in, listed objects included.
    pub last_event: Option<Duration>,
    /// How long ago the last list was complete.
    pub last_list: Option<Duration>,
    /// The last failure, and how long ago it was. It stays after recovery.
    pub last_error: Option<(String, Duration)>,
    /// Whether the cluster lacks this resource, in all versions that can be read. It counts as synced then, and is asked
    /// for again from time to time.
    pub not_served: bool,
    /// The version that is watched, as `batch/v1beta1`, where the cluster lacks the newest one.
    pub api_version: Option<String>,
    /// Whether the last thing that happened between us and the source was a failure.
    pub failing: bool,
    /// Complete lists.
    pub lists: u64,
    /// Objects of a list that has not ended yet.
    pub listing: u64,
    /// Events.
    pub events: u64,
    /// Failed lists and watches.
    pub errors: u64,
    /// Objects that could not be read, or have neither uid nor name.
    pub skipped: u64,
    /// The store's size; `None` for a store of the host's.
    pub store: Option<StoreStats>,
}

/// What a feed notes down.
#[derive(Debug)]
pub(super) struct State {
    times: Mutex<Times>,
    pub(super) lists: AtomicU64,
    pub(super) listing: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) skipped: AtomicU64,
    synced: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Times {
    synced: Option<Instant>,
    last_event: Option<Instant>,
    last_list: Option<Instant>,
    last_error: Option<(String, Instant)>,
    failing: bool,
    not_served: bool,
    api_version: Option<String>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            times: Mutex::default(),
            lists: AtomicU64::new(0),
            listing: AtomicU64::new(0),
            events: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            synced: watch::Sender::new(false),
        }
    }

    pub(super) fn listed(&self) {
        let now = Instant::now();
        {
            let mut times = self.times.lock();
            times.synced.get_or_insert(now);
            times.last_list = Some(now);
            times.failing = false;
            times.not_served = false;
        }
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.listing.store(0, Ordering::Relaxed);
        self.synced.send_replace(true);
    }

    /// Events came in; noted per batch, not per event.
    pub(super) fn saw_events(&self, count: u64) {
        self.events.fetch_add(count, Ordering::Relaxed);
        let mut times = self.times.lock();
        times.last_event = Some(Instant::now());
        times.failing = false;
    }

    pub(super) fn answered(&self) {
        self.times.lock().failing = false;
    }

    pub(super) fn failed(&self, message: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut times = self.times.lock();
        times.last_error = Some((message, Instant::now()));
        times.failing = true;
    }

    /// The cluster was asked which version it serves.
    pub(super) fn resolved(&self, api_version: Option<&str>) {
        {
            let mut times = self.times.lock();
            times.failing = false;
            times.not_served = api_version.is_none();
            times.api_version = api_version.map(str::to_owned);
        }
        if api_version.is_none() {
            self.synced.send_replace(true);
        }
    }

    pub(super) fn is_served(&self) -> bool {
        !self.times.lock().not_served
    }

    pub(super) fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.synced.subscribe()
    }

    pub(super) fn status(&self, resource: &str, namespace: Option<&str>, store: Option<StoreStats>) -> ResourceStatus {
        let times = self.times.lock();
        let ago = |at: Option<Instant>| at.map(|at| at.elapsed());
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ResourceStatus {
            resource: resource.to_owned(),
            namespace: namespace.map(str::to_owned),
            synced_for: ago(times.synced),
            last_event: ago(times.last_event),
            last_list: ago(times.last_list),
            last_error: times.last_error.as_ref().map(|(message, at)| (message.clone(), at.elapsed())),
            not_served: times.not_served,
            api_version: times.api_version.clone(),
            failing: times.failing,
            lists: load(&self.lists),
            listing: load(&self.listing),
            events: load(&self.events),
            errors: load(&self.errors),
            skipped: load(&self.skipped),
            store,
        }
    }
}
