//! The nodes and what is known of them: which rule holds at which time. It neither waits nor asks anybody.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::entry::{Entry, Failure, Job, Kept, Waiter, in_place_of};
use super::outcome::{Document, MissingReason, NodeAnswer, NodeOutcome, SummaryChange, uids};
use super::pace::Pace;
use crate::fetch::{FetchError, NodeTarget};
use crate::schema::Summary;
use crate::telemetry;

/// Nodes that the host has not named itself are forgotten when nobody asked for so long (or for two TTLs, if that is
/// longer). Nothing of them could be served any more.
const IDLE: Duration = Duration::from_mins(10);
/// How often the age of the oldest document is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// What to do for a caller.
pub(super) enum Step {
    Answer(NodeOutcome),
    Join(Waiter),
    Launch(Job, Waiter),
}

/// What to do for a node whose time in the background has come.
pub(super) enum Due {
    Gone,
    Later(Instant),
    Launch(Job),
}

/// Nodes up to here were known at some time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u64);

impl Mark {
    /// All that are known.
    pub(super) const LAST: Self = Self(u64::MAX);
}

/// An event before it is looked up: a consumer that is late holds no old documents.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) node: Arc<str>,
    /// The node's version after the attempt; none if it was removed.
    pub(super) version: Option<u64>,
}

pub(super) struct Table {
    ttl: Duration,
    nodes: HashMap<Arc<str>, Entry, RandomState>,
    /// Cancelled for good when the cache stops.
    stop: CancellationToken,
    generations: u64,
    versions: u64,
    /// Nodes that the background has not heard of, where there is one.
    news: Option<Vec<(Arc<str>, u64)>>,
    events: broadcast::Sender<Event>,
    swept: Instant,
    looked: Option<Instant>,
}

impl Table {
    pub(super) fn new(ttl: Duration, background: bool, backlog: usize, stop: CancellationToken) -> Self {
        Self {
            ttl,
            nodes: HashMap::default(),
            stop,
            generations: 0,
            versions: 0,
            news: background.then(Vec::new),
            events: broadcast::Sender::new(backlog),
            swept: Instant::now(),
            looked: None,
        }
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is kept and nobody shares an attempt.
    fn is_off(&self) -> bool {
        self.ttl.is_zero()
    }

    /// For a caller that wants the node's document.
    pub(super) fn ask(&mut self, node: &NodeTarget, now: Instant) -> Step {
        if self.stop.is_cancelled() {
            return Step::Answer(NodeOutcome::missing(MissingReason::Stopped));
        }
        let (ttl, off) = (self.ttl, self.is_off());
        let entry = self.entry(node, now, false);
        entry.used = now;
        if let Some(kept) = &entry.kept
            && now.saturating_duration_since(kept.requested) < ttl
        {
            return Step::Answer(entry.at_rest(ttl, now));
        }
        if let Some(flight) = entry.living_flight() {
            return Step::Join(flight.clone());
        }
        if entry.is_open(ttl, now) {
            let (job, waiter) = entry.launch(!off);
            return Step::Launch(job, waiter);
        }
        Step::Answer(entry.at_rest(ttl, now))
    }

    /// What there is, without an attempt.
    pub(super) fn peek(&self, name: &str, now: Instant) -> Option<NodeOutcome> {
        self.nodes.get(name).map(|entry| entry.at_rest(self.ttl, now))
    }

    /// What there is for a caller who can't wait for the attempt.
    pub(super) fn at_deadline(&self, name: &str, now: Instant) -> Option<NodeOutcome> {
        self.nodes.get(name).map(|entry| entry.served(self.ttl, now, MissingReason::Deadline))
    }

    pub(super) fn known(&self, now: Instant) -> Vec<NodeAnswer> {
        let answer = |(name, entry): (&Arc<str>, &Entry)| NodeAnswer {
            node: name.clone(),
            outcome: entry.at_rest(self.ttl, now),
        };
        self.nodes.iter().map(answer).collect()
    }

    /// A change, if it is still the newest of its node.
    pub(super) fn look_up(&self, event: &Event, now: Instant) -> Option<SummaryChange> {
        let node = event.node.clone();
        match (event.version, self.nodes.get(&node)) {
            (None, _) => Some(SummaryChange::Removed { node }),
            (Some(version), Some(entry)) if entry.version == version => {
                Some(SummaryChange::Attempted(NodeAnswer { node, outcome: entry.at_rest(self.ttl, now) }))
            }
            _ => None,
        }
    }

    /// An attempt begins now. Whom to ask, unless the node is gone.
    pub(super) fn begin(&mut self, name: &str, generation: u64, now: Instant) -> Option<Arc<NodeTarget>> {
        let entry = self.nodes.get_mut(name).filter(|entry| entry.generation == generation)?;
        if entry.attempted.is_none() && self.news.is_none() {
            // On demand, a node owes nothing until somebody asks.
            entry.succeeded = Err(now);
        }
        entry.attempted = Some(now);
        Some(entry.target.clone())
    }

    /// The attempt that began at `began` ended. What its callers get, unless the node is gone.
    pub(super) fn finish(
        &mut self,
        name: &str,
        generation: u64,
        (began, began_at): (Instant, Timestamp),
        result: Result<Summary, FetchError>,
        now: Instant,
    ) -> Option<NodeOutcome> {
        let (ttl, off) = (self.ttl, self.is_off());
        let entry = self.nodes.get_mut(name).filter(|entry| entry.generation == generation)?;
        entry.flight = None;
        let outcome = match result {
            Ok(summary) => {
                if entry.failure.take().is_some() {
                    tracing::info!(node = name, "the kubelet's summary is there again");
                }
                entry.succeeded = Ok(began);
                let uids = uids(&summary, entry.kept.as_ref().map(|kept| &kept.uids));
                let summary = in_place_of(entry.kept.take(), summary);
                let kept = Kept { summary, uids, requested: began, requested_at: began_at };
                let took = now.saturating_duration_since(began);
                if off {
                    let Kept { summary, uids, requested, requested_at } = kept;
                    NodeOutcome::Fresh(Document { summary, age: took, requested, requested_at, uids })
                } else {
                    entry.kept = Some(kept);
                    entry.served(ttl, now, MissingReason::Slow { took })
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                let since = entry.failure.as_ref().map_or(began, |failure| failure.since);
                if entry.failure.is_none() {
                    tracing::warn!(node = name, %error, "no summary from the kubelet");
                } else {
                    tracing::debug!(node = name, %error, "still no summary from the kubelet");
                }
                entry.failure = Some(Failure { error: error.clone(), since });
                let outcome = entry.served(ttl, now, MissingReason::Failed { error, since });
                if outcome.is_missing() {
                    entry.kept = None;
                }
                outcome
            }
        };
        self.versions += 1;
        entry.version = self.versions;
        // Nobody listens, perhaps.
        _ = self.events.send(Event { node: entry.target.name.clone(), version: Some(entry.version) });
        self.look(now);
        self.sweep(now);
        Some(outcome)
    }

    /// The host names a node, or where it is now.
    pub(super) fn put(&mut self, node: &NodeTarget, now: Instant) {
        if !self.stop.is_cancelled() {
            self.entry(node, now, true).named = true;
        }
    }

    /// What has come in by now.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.generations)
    }

    /// The host tells all nodes that there were at the mark, and names some of them.
    pub(super) fn retain(
        &mut self,
        nodes: &[NodeTarget],
        mark: Mark,
        now: Instant,
        is_named: impl Fn(&NodeTarget) -> bool,
    ) {
        let names: HashSet<&str, RandomState> = nodes.iter().map(|node| &*node.name).collect();
        self.forget("gone", |name, entry| names.contains(name) || entry.generation > mark.0);
        for node in nodes.iter().filter(|node| is_named(node)) {
            self.put(node, now);
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some((name, _)) = self.nodes.remove_entry(name) else { return false };
        // Nobody listens, perhaps.
        _ = self.events.send(Event { node: name, version: None });
        telemetry::removed(1, "gone");
        true
    }

    /// Forgets all nodes, and takes no others.
    pub(super) fn stop(&mut self) {
        self.stop.cancel();
        self.forget("stopped", |_, _| false);
    }

    /// Whether nodes came in that the background has not heard of.
    pub(super) fn has_news(&self) -> bool {
        self.news.as_ref().is_some_and(|news| !news.is_empty())
    }

    /// Nodes that came in since this was asked last.
    pub(super) fn news(&mut self) -> Vec<(Arc<str>, u64)> {
        self.news.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// For a node whose time in the background has come.
    pub(super) fn due(&mut self, name: &str, generation: u64, now: Instant, pace: &Pace) -> Due {
        let ttl = self.ttl;
        let Some(entry) = self.nodes.get_mut(name).filter(|entry| entry.generation == generation) else {
            return Due::Gone;
        };
        if entry.living_flight().is_some() {
            return Due::Later(now + pace.recheck());
        }
        if entry.is_open(ttl, now) {
            Due::Launch(entry.launch(true).0)
        } else {
            Due::Later(pace.next(name, entry.gate(ttl).unwrap_or(now)))
        }
    }

    fn entry(&mut self, node: &NodeTarget, now: Instant, named: bool) -> &mut Entry {
        if !self.nodes.contains_key(&node.name) {
            self.sweep(now);
            self.generations += 1;
            telemetry::added();
            if let Some(news) = &mut self.news {
                news.push((node.name.clone(), self.generations));
            }
        }
        let (generation, stop) = (self.generations, &self.stop);
        let entry = self.nodes.entry(node.name.clone()).or_insert_with(|| {
            let stop = stop.child_token();
            Entry {
                target: Arc::new(node.clone()),
                generation,
                named: false,
                used: now,
                kept: None,
                succeeded: Err(now),
                attempted: None,
                failure: None,
                flight: None,
                version: 0,
                _stop: stop.clone().drop_guard(),
                stop,
            }
        });
        // Whoever knows only the name takes no address away.
        if (named || !node.addresses.is_empty()) && *entry.target != *node {
            entry.target = Arc::new(node.clone());
        }
        entry
    }

    /// Forgets nodes that nobody asks for, and documents that can't be served any more.
    fn sweep(&mut self, now: Instant) {
        let served = self.ttl.saturating_mul(2);
        let idle = IDLE.max(served);
        if now.saturating_duration_since(self.swept) < LOOK {
            return;
        }
        self.swept = now;
        for entry in self.nodes.values_mut() {
            // What comes next takes the old one's place in memory.
            if entry.living_flight().is_none() {
                entry.kept.take_if(|kept| now.saturating_duration_since(kept.requested) >= served);
            }
        }
        self.forget("idle", |_, entry| {
            entry.named || entry.living_flight().is_some() || now.saturating_duration_since(entry.used) < idle
        });
    }

    fn forget(&mut self, why: &'static str, mut keep: impl FnMut(&str, &Entry) -> bool) -> usize {
        let events = &self.events;
        let before = self.nodes.len();
        self.nodes.retain(|name, entry| {
            let kept = keep(name, entry);
            if !kept {
                // Nobody listens, perhaps.
                _ = events.send(Event { node: name.clone(), version: None });
            }
            kept
        });
        let gone = before - self.nodes.len();
        telemetry::removed(gone, why);
        gone
    }

    /// Tells the age of the oldest document, now and then.
    fn look(&mut self, now: Instant) {
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK) {
            return;
        }
        self.looked = Some(now);
        let (idle, background) = (self.ttl.saturating_mul(2), self.news.is_some());
        let wanted = self.nodes.values().filter(|it| {
            let is_used = it.attempted.is_some() && now.saturating_duration_since(it.used) <= idle;
            if background { it.named || is_used } else { is_used }
        });
        let age = |entry: &Entry| now.saturating_duration_since(entry.succeeded.unwrap_or_else(|since| since));
        telemetry::oldest(wanted.map(age).max().unwrap_or_default());
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.forget("stopped", |_, _| false);
    }
}
