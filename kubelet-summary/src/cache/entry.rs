//! A node, and what is known of it: what may be served, and when it may be asked.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::outcome::{Document, MissingReason, NodeOutcome, Uids};
use crate::fetch::{FetchError, NodeTarget};
use crate::schema::Summary;

/// Where the outcome of an attempt will be. It is closed without one where the node is removed, or the cache stopped.
pub(super) type Waiter = watch::Receiver<Option<NodeOutcome>>;

/// An attempt to be made.
pub(super) struct Job {
    pub(super) name: Arc<str>,
    /// Tells a node from a later one of the same name.
    pub(super) generation: u64,
    /// Whether the last attempt failed.
    pub(super) suspect: bool,
    /// Says that the node was removed.
    pub(super) stop: CancellationToken,
    pub(super) ended: watch::Sender<Option<NodeOutcome>>,
}

pub(super) struct Kept {
    pub(super) summary: Arc<Summary>,
    pub(super) uids: Uids,
    pub(super) requested: Instant,
    pub(super) requested_at: Timestamp,
}

/// A summary, in the memory of the one before it where nobody reads that any more.
pub(super) fn in_place_of(before: Option<Kept>, summary: Summary) -> Arc<Summary> {
    if let Some(Kept { summary: mut place, .. }) = before
        && let Some(before) = Arc::get_mut(&mut place)
    {
        before.replace(summary);
        return place;
    }
    Arc::new(summary)
}

pub(super) struct Failure {
    pub(super) error: Arc<FetchError>,
    pub(super) since: Instant,
}

pub(super) struct Entry {
    pub(super) target: Arc<NodeTarget>,
    pub(super) generation: u64,
    /// Whether the host named it, and will say when it is gone.
    pub(super) named: bool,
    /// When it came in, or somebody asked for it last.
    pub(super) used: Instant,
    pub(super) kept: Option<Kept>,
    /// When the request of the last success was sent, or else since when one is wanted: the node came in, or on demand was
    /// asked first.
    pub(super) succeeded: Result<Instant, Instant>,
    /// When the last attempt began.
    pub(super) attempted: Option<Instant>,
    /// How the last attempt failed, if it did.
    pub(super) failure: Option<Failure>,
    pub(super) flight: Option<Waiter>,
    pub(super) version: u64,
    pub(super) stop: CancellationToken,
    pub(super) _stop: DropGuard,
}

impl Entry {
    /// What may be served at that time.
    pub(super) fn served(&self, ttl: Duration, now: Instant, reason: MissingReason) -> NodeOutcome {
        let Some(kept) = &self.kept else {
            let last = self.succeeded.ok().map(|at| now.saturating_duration_since(at));
            return NodeOutcome::Missing { reason, last };
        };
        let age = now.saturating_duration_since(kept.requested);
        if age >= ttl.saturating_mul(2) {
            return NodeOutcome::Missing { reason, last: Some(age) };
        }
        let Kept { summary, uids, requested, requested_at } = kept;
        let (summary, uids) = (summary.clone(), uids.clone());
        let document = Document { summary, age, requested: *requested, requested_at: *requested_at, uids };
        if age < ttl { NodeOutcome::Fresh(document) } else { NodeOutcome::Stale { document, reason } }
    }

    /// What may be served without an attempt.
    pub(super) fn at_rest(&self, ttl: Duration, now: Instant) -> NodeOutcome {
        let reason = match &self.failure {
            Some(Failure { error, since }) => MissingReason::GateClosed { error: error.clone(), since: *since },
            None => MissingReason::NotAsked,
        };
        self.served(ttl, now, reason)
    }

    /// When another attempt may be made.
    pub(super) fn gate(&self, ttl: Duration) -> Option<Instant> {
        self.attempted.and_then(|at| at.checked_add(ttl))
    }

    pub(super) fn is_open(&self, ttl: Duration, now: Instant) -> bool {
        self.attempted.is_none_or(|at| now.saturating_duration_since(at) >= ttl)
    }

    /// The attempt that others may wait for. One whose task is gone, with the runtime that it was on, is none.
    pub(super) fn living_flight(&self) -> Option<&Waiter> {
        self.flight.as_ref().filter(|flight| flight.has_changed().is_ok())
    }

    pub(super) fn launch(&mut self, shared: bool) -> (Job, Waiter) {
        let (ended, waiter) = watch::channel(None);
        let job = Job {
            name: self.target.name.clone(),
            generation: self.generation,
            suspect: self.failure.is_some(),
            stop: self.stop.clone(),
            ended,
        };
        if shared {
            self.flight = Some(waiter.clone());
        }
        (job, waiter)
    }
}
