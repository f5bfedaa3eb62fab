//! How an inventory is doing.

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

/// Pods or nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The pods.
    Pods,
    /// The nodes.
    Nodes,
}

impl Kind {
    /// Its name in an API server's paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Nodes => "nodes",
        }
    }
}

/// How a kind's sources are doing, all together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SourceStatus {
    /// Whether each of them has told a complete list once. Until then nothing is answered from it.
    pub listed: bool,
    /// Since when one of them fails, and why. What was known before is kept.
    pub failing: Option<Failing>,
}

/// A source that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failing {
    /// Since when.
    pub since: Instant,
    /// Why, the last time.
    pub error: String,
}

/// How an inventory is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InventoryStatus {
    /// The sources of pods.
    pub pods: SourceStatus,
    /// The sources of nodes.
    pub nodes: SourceStatus,
    /// How many pods are known.
    pub known_pods: usize,
    /// How many nodes are known.
    pub known_nodes: usize,
    /// Whether it was shut down.
    pub stopped: bool,
}

impl InventoryStatus {
    /// Since how long not all changes are seen; none while they are.
    pub fn behind(&self) -> Option<Duration> {
        let failing = [&self.pods.failing, &self.nodes.failing];
        failing.into_iter().flatten().map(|failing| failing.since.elapsed()).max()
    }
}

/// Why an inventory can't answer. No list is not the same as an empty one: of pods that nobody has listed, none lacks a
/// label.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotReady {
    /// No complete list has come yet.
    #[error("no complete list of {} has come yet: wait for it (`ready`)", .0.as_str())]
    NotListed(Kind),
    /// No complete list has come yet, since listing fails.
    #[error(
        "no complete list of {} has come yet: {error}; grant `list` and `watch` on them, and look at the API server's \
         health", kind.as_str()
    )]
    Failing {
        /// Which.
        kind: Kind,
        /// Why, the last time.
        error: String,
    },
    /// It was shut down.
    #[error("the inventory was shut down: ask before that")]
    Stopped,
}

/// What one source has told of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub(super) listed: bool,
    pub(super) failing: Option<Failing>,
}

/// All sources of an inventory.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    pub(super) pods: Vec<Source>,
    pub(super) nodes: Vec<Source>,
    pub(super) stopped: bool,
}

impl Sources {
    pub(super) fn of(&self, kind: Kind) -> &[Source] {
        match kind {
            Kind::Pods => &self.pods,
            Kind::Nodes => &self.nodes,
        }
    }

    pub(super) fn get_mut(&mut self, kind: Kind, feed: u16) -> Option<&mut Source> {
        let sources = match kind {
            Kind::Pods => &mut self.pods,
            Kind::Nodes => &mut self.nodes,
        };
        sources.get_mut(usize::from(feed))
    }

    pub(super) fn status(&self, kind: Kind) -> SourceStatus {
        let sources = self.of(kind);
        let failing = sources.iter().filter_map(|source| source.failing.as_ref()).min_by_key(|failing| failing.since);
        SourceStatus { listed: sources.iter().all(|source| source.listed), failing: failing.cloned() }
    }

    pub(super) fn check(&self, kind: Kind) -> Result<(), NotReady> {
        if self.stopped {
            return Err(NotReady::Stopped);
        }
        let waiting = self.of(kind).iter().filter(|source| !source.listed);
        // Of those that are waited for, one that fails says why.
        let waiting: Vec<_> = waiting.map(|source| source.failing.as_ref()).collect();
        match waiting.iter().flatten().next() {
            Some(failing) => Err(NotReady::Failing { kind, error: failing.error.clone() }),
            None if waiting.is_empty() => Ok(()),
            None => Err(NotReady::NotListed(kind)),
        }
    }
}
