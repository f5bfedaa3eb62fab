//! The nodes that are known: readers look them up, and one task writes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use metrics::{counter, gauge};
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::policy::ExpiryPolicy;
use super::read::{Reading, read};
use super::{Freshness, NodeChange, RemovalReason};
use crate::clock::WallClock;
use crate::contract::Contract;
use crate::metadata::{Attribute, Group, NodeMetadata};
use crate::telemetry;

/// Changes that a slow consumer may be behind.
const CHANGES: usize = 1024;

/// Clocks that differ by more are counted.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// So many are never too many to keep.
const GROUPS: usize = 64;

/// What is shorter is no outage.
const OUTAGE: Duration = Duration::from_mins(1);

/// After an outage, writers have so long to renew what ended meanwhile: they wait up to 30 s between attempts.
const RECOVERY: Duration = Duration::from_mins(2);

/// A node as it is known. Moments are milliseconds since the table was made: they are copied with each look-up.
#[derive(Debug, Clone)]
struct Known {
    metadata: Arc<NodeMetadata>,
    /// `renewTime`, by the writer's clock.
    renewed: Timestamp,
    /// When that renewal was first seen here.
    since: u64,
    /// Until when the Lease is good.
    until: u64,
    /// By how many seconds the writer's clock was behind when the renewal was seen; none at first sight.
    skew: Option<i32>,
    /// The list that it was last part of, or that was going on when it last changed.
    list: u32,
}

/// A map whose readers take no lock and write nothing that they share. Measured beside it, on two cores with eight readers
/// and a writer: a map behind a lock takes 330 ns for a look-up, of which the lock's counter, that all readers write, is the
/// half; moka notes down who was looked up, which takes 530 ns.
type Nodes = papaya::HashMap<Arc<str>, Known, foldhash::fast::RandomState>;

/// What readers share.
pub(super) struct Table {
    nodes: Nodes,
    began: Instant,
    /// When the outage began that goes on, or was the last. Leases that ended before it are not kept for it.
    outage: AtomicU64,
    /// Until when Leases stay that are over since, because they can't be renewed.
    kept_until: AtomicU64,
    changes: broadcast::Sender<NodeChange>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            nodes: Nodes::default(),
            began: Instant::now(),
            outage: AtomicU64::new(0),
            kept_until: AtomicU64::new(0),
            changes: broadcast::Sender::new(CHANGES),
        }
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn is_over(&self, known: &Known, now: u64) -> bool {
        known.until <= now
            && (known.until < self.outage.load(Ordering::Relaxed) || self.kept_until.load(Ordering::Relaxed) <= now)
    }

    /// Shows what is known of a node, and what time it is.
    fn look_up<T>(&self, node: &str, show: impl FnOnce(&Known, u64) -> T) -> Option<T> {
        let now = self.now();
        let nodes = self.nodes.pin();
        let known = nodes.get(node).filter(|known| !self.is_over(known, now))?;
        Some(show(known, now))
    }

    pub(super) fn get(&self, node: &str) -> Option<Arc<NodeMetadata>> {
        self.look_up(node, |known, _| known.metadata.clone())
    }

    pub(super) fn freshness(&self, node: &str) -> Option<Freshness> {
        self.look_up(node, |known, now| {
            let left = known.until.checked_sub(now).filter(|left| *left > 0);
            Freshness {
                seen: Duration::from_millis(now.saturating_sub(known.since)),
                renewed: known.renewed,
                skew: known.skew.map(|seconds| SignedDuration::from_secs(seconds.into())),
                remaining: left.map(Duration::from_millis),
            }
        })
    }

    /// The nodes that are known now.
    pub(super) fn nodes(&self) -> Vec<(Arc<str>, Arc<NodeMetadata>)> {
        let now = self.now();
        let nodes = self.nodes.pin();
        let all = nodes.iter().filter(|(_, known)| !self.is_over(known, now));
        all.map(|(node, known)| (node.clone(), known.metadata.clone())).collect()
    }

    pub(super) fn len(&self) -> u64 {
        self.nodes.len() as u64
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<NodeChange> {
        self.changes.subscribe()
    }
}

/// Without a division of 128 bits, which a look-up would notice.
fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(u64::from(duration.subsec_millis()))
}

/// By how many seconds a writer's clock is behind.
fn skew(renewed: Timestamp, wall: Timestamp) -> i32 {
    let behind = wall.duration_since(renewed);
    if behind.abs() > SKEW {
        counter!(telemetry::SKEWED).increment(1);
    }
    i32::try_from(behind.as_secs()).unwrap_or(if behind.is_negative() { i32::MIN } else { i32::MAX })
}

fn removed(changes: &broadcast::Sender<NodeChange>, node: Arc<str>, reason: RemovalReason) {
    counter!(telemetry::REMOVED, "reason" => reason.as_str()).increment(1);
    // Without a subscriber there is nobody to tell.
    let _ = changes.send(NodeChange::Removed { node, reason });
}

/// The one that writes. When it is dropped, the table is empty, and stays so: nobody else can fill it.
pub(super) struct Keeper {
    table: Arc<Table>,
    contract: Contract,
    policy: ExpiryPolicy,
    outage_grace: Duration,
    clock: WallClock,
    capacity: usize,
    /// The number of the list that is going on, or was last.
    list: u32,
    /// The earliest end of a Lease, or an earlier moment.
    earliest: Option<u64>,
    failing: Option<Failing>,
    /// Renewals that ended here, of Leases that are still in the API server, and the list that had them: to see them
    /// again is no renewal.
    over: HashMap<Arc<str>, (Timestamp, u32)>,
    /// What the gauges count of this cache.
    told_nodes: u64,
    told_connected: bool,
    /// What many nodes have alike, kept once.
    groups: HashSet<Arc<Group>>,
    /// How many of them were held, when that was last looked at.
    groups_kept: usize,
}

/// Since when the API server can't be asked, and until when Leases were kept for an outage before that.
struct Failing {
    since: u64,
    kept_until: u64,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.table.nodes.pin().clear();
        self.tell_nodes(0);
        self.tell_connected(false);
    }
}

impl Keeper {
    pub(super) fn new(
        table: Arc<Table>,
        contract: Contract,
        policy: ExpiryPolicy,
        outage_grace: Duration,
        clock: WallClock,
        capacity: usize,
    ) -> Self {
        Self {
            table,
            contract,
            policy,
            outage_grace,
            clock,
            capacity,
            list: 0,
            earliest: None,
            failing: None,
            over: HashMap::new(),
            told_nodes: 0,
            told_connected: false,
            groups: HashSet::new(),
            groups_kept: 0,
        }
    }

    pub(super) fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// Nodes whose Leases the list did not have are gone.
    pub(super) fn end_list(&mut self) {
        self.remove_all(|known| known.list != self.list, RemovalReason::Deleted);
        let list = self.list;
        self.over.retain(|_, (_, seen)| *seen == list);
        self.tidy();
    }

    /// A Lease that is new or changed; `listed`: nobody knows since when.
    pub(super) fn put(&mut self, lease: &Lease, listed: bool) {
        let Some(node) = lease.metadata.name.as_deref().and_then(|name| self.contract.node_of(name)) else { return };
        let reading = read(&self.contract, lease, |_, why| {
            counter!(telemetry::BAD_ANNOTATIONS, "reason" => why.as_str()).increment(1);
        });
        match reading {
            Ok(reading) => self.take(node, reading, listed),
            Err(why) => {
                tracing::debug!(node, reason = why.as_str(), "a Lease can't be taken");
                counter!(telemetry::REJECTED, "reason" => why.as_str()).increment(1);
                self.remove(node, RemovalReason::Rejected);
            }
        }
    }

    fn take(&mut self, node: &str, reading: Reading, listed: bool) {
        let now = self.table.now();
        let wall = self.clock.now();
        let Reading { metadata, renewed, duration } = reading;
        let good =
            |first_sight| now.saturating_add(millis(self.policy.remaining(renewed, duration, wall, first_sight)));
        let before = self.table.nodes.pin().get(node).cloned();
        let (since, until, skew) = match (&before, self.over.get(node)) {
            // Nothing is longer good than it was, whoever tells it again.
            (Some(known), _) if known.renewed == renewed => (known.since, known.until, known.skew),
            (None, Some((over, _))) if *over == renewed => (0, 0, None),
            (None, None) => (now, good(true), None),
            // A list does not tell how long ago that was.
            _ => (now, good(false), (!listed).then(|| skew(renewed, wall))),
        };
        let node: Arc<str> = node.into();
        let metadata = match &before {
            Some(known) if *known.metadata == metadata => known.metadata.clone(),
            _ => Arc::new(self.sharing(&node, metadata)),
        };
        let changed = before.as_ref().is_none_or(|known| !Arc::ptr_eq(&known.metadata, &metadata));
        let known = Known { metadata: metadata.clone(), renewed, since, until, skew, list: self.list };
        // What is kept for an outage was known before it.
        if self.table.is_over(&known, now) || (until <= now && before.is_none()) {
            counter!(telemetry::REJECTED, "reason" => "expired").increment(1);
            self.remove(&node, RemovalReason::Expired);
            self.remember_over(node, renewed);
            return;
        }
        self.over.remove(&node);
        self.earliest = Some(self.earliest.map_or(until, |earliest| earliest.min(until)));
        if before.is_none() && self.table.len() >= self.capacity as u64 {
            self.make_room();
        }
        self.table.nodes.pin().insert(node.clone(), known);
        if changed {
            // Without a subscriber there is nobody to tell.
            let _ = self.table.changes.send(NodeChange::Changed { node, metadata });
        }
    }

    fn remember_over(&mut self, node: Arc<str>, renewed: Timestamp) {
        if self.over.len() < self.capacity || self.over.contains_key(&node) {
            self.over.insert(node, (renewed, self.list));
        }
    }

    /// The same metadata, without what is kept already: nodes are many, and differ in little. Many are called in
    /// Kubernetes as by their cloud.
    fn sharing(&mut self, node: &Arc<str>, mut metadata: NodeMetadata) -> NodeMetadata {
        if metadata.get(Attribute::HostName) == Some(node) {
            metadata.put(Attribute::HostName, node.clone());
        }
        match self.groups.get(metadata.group()) {
            Some(known) => metadata.set_group(known.clone()),
            None => drop(self.groups.insert(metadata.group().clone())),
        }
        metadata
    }

    /// A Lease that was deleted.
    pub(super) fn delete(&mut self, lease_name: &str) {
        if let Some(node) = self.contract.node_of(lease_name) {
            self.over.remove(node);
            self.remove(node, RemovalReason::Deleted);
        }
    }

    fn remove(&self, node: &str, reason: RemovalReason) {
        if self.table.nodes.pin().remove(node).is_some() {
            removed(&self.table.changes, node.into(), reason);
        }
    }

    /// Removes all that are so; which, and the renewals that they had.
    fn remove_all(&self, so: impl Fn(&Known) -> bool, reason: RemovalReason) -> Vec<(Arc<str>, Timestamp)> {
        let nodes = self.table.nodes.pin();
        let all: Vec<_> =
            nodes.iter().filter(|(_, known)| so(known)).map(|(node, known)| (node.clone(), known.renewed)).collect();
        for (node, _) in &all {
            self.remove(node, reason);
        }
        all
    }

    /// Removes the node whose Lease would end first: the one that is dead the most likely.
    fn make_room(&self) {
        let first = self.table.nodes.pin().iter().min_by_key(|(_, known)| known.until).map(|(node, _)| node.clone());
        if let Some(node) = first {
            self.remove(&node, RemovalReason::Full);
        }
    }

    /// The API server can't be asked.
    pub(super) fn failed(&mut self) {
        if self.failing.is_none() {
            let now = self.table.now();
            let kept_until = self.table.kept_until.load(Ordering::Relaxed);
            self.failing = Some(Failing { since: now, kept_until });
            // One that follows the recovery from another goes on with it: what ended in between could not be renewed.
            if kept_until <= now {
                self.table.outage.store(now, Ordering::Relaxed);
            }
            self.keep_until(now.saturating_add(millis(self.outage_grace)));
        }
        self.tell_connected(false);
    }

    /// It answers.
    pub(super) fn connected(&mut self) {
        if let Some(Failing { since, kept_until }) = self.failing.take() {
            let now = self.table.now();
            let outage = now.saturating_sub(since) >= millis(OUTAGE);
            // A connection that broke kept nobody from renewing.
            let recovery = now.saturating_add(millis(RECOVERY.min(self.outage_grace)));
            self.keep_until(if outage { recovery } else { kept_until });
        }
        self.tell_connected(true);
    }

    fn keep_until(&self, moment: u64) {
        self.table.kept_until.store(moment, Ordering::Relaxed);
    }

    fn tell_connected(&mut self, connected: bool) {
        if std::mem::replace(&mut self.told_connected, connected) != connected {
            let gauge = gauge!(telemetry::CONNECTED);
            if connected { gauge.increment(1.0) } else { gauge.decrement(1.0) }
        }
    }

    fn tell_nodes(&mut self, nodes: u64) {
        let before = std::mem::replace(&mut self.told_nodes, nodes);
        if before != nodes {
            gauge!(telemetry::NODES).increment(nodes as f64 - before as f64);
        }
    }

    /// When [`sweep`](Self::sweep) has something to do, perhaps.
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        let earliest = self.earliest?;
        let kept = earliest >= self.table.outage.load(Ordering::Relaxed);
        let at = if kept { earliest.max(self.table.kept_until.load(Ordering::Relaxed)) } else { earliest };
        Some(self.table.began + Duration::from_millis(at))
    }

    /// Removes the nodes whose Leases are over.
    pub(super) fn sweep(&mut self) {
        let now = self.table.now();
        for (node, renewed) in self.remove_all(|known| self.table.is_over(known, now), RemovalReason::Expired) {
            self.remember_over(node, renewed);
        }
        let ends = self.table.nodes.pin().values().map(|known| known.until).min();
        // What is over and still there is kept, until another moment.
        self.earliest = ends.map(|until| until.max(now.saturating_add(1)));
        self.tidy();
    }

    /// Lets go of what only the keeper still holds.
    pub(super) fn tidy(&mut self) {
        // Not with each event: what nobody holds any more is at most as much as what is held.
        if self.groups.len() > 2 * self.groups_kept.max(GROUPS) {
            self.groups.retain(|group| Arc::strong_count(group) > 1);
            self.groups_kept = self.groups.len();
        }
        self.tell_nodes(self.table.len());
    }
}
