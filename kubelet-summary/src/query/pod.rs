//! What one pod uses.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Figures;
use crate::cache::{Document, MissingReason};
use crate::inventory::KnownPod;
use crate::resources::{ContainerKind, Resources};
use crate::schema::{ContainerStats, PodStats};
use crate::storage::{Attribution, PodStorage, pod_storage};

/// A node's document, as an answer refers to it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) node: Arc<str>,
    pub(super) document: Document,
    /// Why there is none that is newer, if it is stale.
    pub(super) stale: Option<MissingReason>,
}

impl Part {
    fn pod(&self, place: u32) -> &PodStats {
        static NONE: std::sync::OnceLock<PodStats> = std::sync::OnceLock::new();
        // The place is one of this document's, which never changes.
        self.document.summary.pods.get(place as usize).unwrap_or_else(|| NONE.get_or_init(PodStats::default))
    }
}

/// A pod with what it uses. It refers to its node's document, and keeps that alive.
#[derive(Debug, Clone)]
pub struct PodUsage {
    pub(super) pod: Arc<KnownPod>,
    pub(super) part: Arc<Part>,
    pub(super) place: u32,
}

impl PodUsage {
    /// Which pod it is: names, labels, owner, and what its containers ask for.
    pub fn pod(&self) -> &Arc<KnownPod> {
        &self.pod
    }

    /// What the kubelet says of it. Each group of figures has the time of its own sample.
    pub fn stats(&self) -> &PodStats {
        self.part.pod(self.place)
    }

    /// The node that said it.
    pub fn node(&self) -> &str {
        &self.part.node
    }

    /// The node's whole document, which this is a part of.
    pub fn document(&self) -> &Document {
        &self.part.document
    }

    /// How long ago the node was asked.
    pub fn age(&self) -> Duration {
        self.part.document.age
    }

    /// When that was, by the time of day.
    pub fn requested_at(&self) -> Timestamp {
        self.part.document.requested_at
    }

    /// Whether the node's document is younger than the TTL.
    pub fn is_fresh(&self) -> bool {
        self.part.stale.is_none()
    }

    /// Why there is no document that is newer, if it is stale.
    pub fn stale_reason(&self) -> Option<&MissingReason> {
        self.part.stale.as_ref()
    }

    /// What the pod asks for, its overhead included.
    pub fn requests(&self) -> Resources {
        self.pod.resources().pod_requests()
    }

    /// What the pod may take; absent where nothing holds it.
    pub fn limits(&self) -> Resources {
        self.pod.resources().pod_limits()
    }

    /// Its main figures.
    pub fn figures(&self) -> Figures {
        Figures::of_pod(self.stats())
    }

    /// Its ephemeral storage, spread over its containers; none where the kubelet has no figure of it.
    pub fn storage(&self, attribution: Attribution) -> Option<PodStorage<'_>> {
        pod_storage(self.stats(), attribution)
    }

    /// Its containers: those of its spec, in their order, then others that its kubelet has figures of (ephemeral ones).
    pub fn containers(&self) -> Vec<ContainerUsage<'_>> {
        let stats = &*self.stats().containers;
        let specs = &self.pod.resources().containers;
        let of_spec = specs.iter().map(|spec| ContainerUsage {
            name: &spec.name,
            kind: Some(spec.kind),
            stats: stats.iter().find(|stats| *stats.name == *spec.name),
            requests: spec.requests,
            limits: spec.limits,
        });
        let others = stats.iter().filter(|stats| !specs.iter().any(|spec| *spec.name == *stats.name));
        let others = others.map(|stats| ContainerUsage {
            name: &stats.name,
            kind: None,
            stats: Some(stats),
            requests: Resources::default(),
            limits: Resources::default(),
        });
        of_spec.chain(others).collect()
    }
}

/// A container with what it uses.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ContainerUsage<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is to its pod; none for an ephemeral one, which the pod's spec in the inventory doesn't have.
    pub kind: Option<ContainerKind>,
    /// What the kubelet says of it; none where it says nothing: the container has not begun, or has ended.
    pub stats: Option<&'a ContainerStats>,
    /// What it asks for.
    pub requests: Resources,
    /// What it may take.
    pub limits: Resources,
}

impl ContainerUsage<'_> {
    /// Its main figures.
    pub fn figures(&self) -> Figures {
        self.stats.map(Figures::of_container).unwrap_or_default()
    }
}

/// A pod that a kubelet knows and the watch doesn't: made or ended a moment ago, or a static pod without its mirror.
#[derive(Debug, Clone)]
pub struct UnknownPod {
    pub(super) part: Arc<Part>,
    pub(super) place: u32,
}

impl UnknownPod {
    /// What the kubelet says of it, its names among that.
    pub fn stats(&self) -> &PodStats {
        self.part.pod(self.place)
    }

    /// The node that said it.
    pub fn node(&self) -> &str {
        &self.part.node
    }
}
