//! How a resource is doing, for a host that asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::freshness::Outage;
use crate::store::StoreStats;
use crate::watch::Request;

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
    /// How long the outage has lasted that its source is in; see [`Freshness`](crate::Freshness). `None`: there is none.
    pub stale_for: Option<Duration>,
    /// Whether its series are not shown, because the outage lasts too long.
    pub withdrawn: bool,
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
    /// The time that was spent on making samples of objects so far.
    pub generating: Duration,
    /// Listed objects and events that were for other shards.
    pub not_owned: u64,
    /// The store's size; `None` for a store of the host's.
    pub store: Option<StoreStats>,
}

/// What came in since it was noted down last.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: u64,
    /// Objects and events that were for other shards.
    pub(super) foreign: u64,
    /// The time that walks and encoding took.
    pub(super) generating: Duration,
    /// A list is being read.
    pub(super) of_list: bool,
}

impl Batch {
    /// What came in, to be noted down; the next batch begins.
    pub(super) fn take(&mut self) -> Self {
        let next = Self { of_list: self.of_list, ..Self::default() };
        std::mem::replace(self, next)
    }
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
    /// Nanoseconds.
    generating: AtomicU64,
    not_owned: AtomicU64,
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
    outage: Outage,
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
            generating: AtomicU64::new(0),
            not_owned: AtomicU64::new(0),
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
            times.outage.over();
        }
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.listing.store(0, Ordering::Relaxed);
        self.synced.send_replace(true);
    }

    /// Events came in; noted per batch, not per event.
    pub(super) fn saw_events(&self, batch: &Batch) {
        self.events.fetch_add(batch.events, Ordering::Relaxed);
        self.not_owned.fetch_add(batch.foreign, Ordering::Relaxed);
        let generating = u64::try_from(batch.generating.as_nanos()).unwrap_or(u64::MAX);
        self.generating.fetch_add(generating, Ordering::Relaxed);
        let mut times = self.times.lock();
        times.last_event = Some(Instant::now());
        times.failing = false;
        // A part of a list is no state that anybody sees.
        if !batch.of_list {
            times.outage.over();
        }
    }

    /// A request was answered.
    pub(super) fn answered(&self, request: Request) {
        let mut times = self.times.lock();
        times.failing = false;
        if request == Request::Watch {
            times.outage.watching(Instant::now());
        }
    }

    /// A request ended well.
    pub(super) fn completed(&self, request: Request) {
        if request == Request::Watch {
            self.times.lock().outage.over();
        }
    }

    /// A request beside the source's own failed, which says nothing of the source.
    pub(super) fn failed_beside(&self, message: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.times.lock().last_error = Some((message, Instant::now()));
    }

    pub(super) fn failed(&self, message: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut times = self.times.lock();
        let now = Instant::now();
        times.last_error = Some((message, now));
        times.failing = true;
        times.outage.failed(now);
    }

    /// How long the outage has lasted that its source is in.
    pub(super) fn stale_for(&self) -> Option<Duration> {
        self.times.lock().outage.lasts(Instant::now())
    }

    /// The cluster was asked which version it serves.
    pub(super) fn resolved(&self, api_version: Option<&str>) {
        {
            let mut times = self.times.lock();
            times.failing = false;
            times.not_served = api_version.is_none();
            times.api_version = api_version.map(str::to_owned);
            if times.not_served {
                times.outage.over();
            }
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
            stale_for: times.outage.lasts(Instant::now()),
            withdrawn: false,
            lists: load(&self.lists),
            listing: load(&self.listing),
            events: load(&self.events),
            errors: load(&self.errors),
            skipped: load(&self.skipped),
            generating: Duration::from_nanos(load(&self.generating)),
            not_owned: load(&self.not_owned),
            store,
        }
    }
}
