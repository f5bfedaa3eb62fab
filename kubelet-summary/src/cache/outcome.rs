//! What a caller gets for a node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::fetch::FetchError;
use crate::inventory::PodUid;
use crate::schema::Summary;

/// A node's summary, and how old it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Document {
    /// What the kubelet said. Its samples carry their own times, which are older than the document: the kubelet looks
    /// every 10 to 15 s, at volumes every minute.
    pub summary: Arc<Summary>,
    /// How long ago the request was sent.
    pub age: Duration,
    /// When the request was sent, by the clock that ages are counted by.
    pub requested: Instant,
    /// When the request was sent, by the time of day. It may jump, and no age is counted by it.
    pub requested_at: Timestamp,
    pub(crate) uids: Uids,
}

/// The uids of a summary's pods, in their order: read once, and close to one another, for questions that look through
/// thousands of documents.
pub(crate) type Uids = Arc<[PodUid]>;

/// See [`Uids`]. Where they are the ones of the document before, which is the rule, they stay where they are: thousands
/// of new ones would come to lie anywhere in the room that questions have left, and leave none for the next.
pub(crate) fn uids(summary: &Summary, before: Option<&Uids>) -> Uids {
    let uids = || summary.pods.iter().map(|pod| PodUid::new(pod.pod_ref.uid()));
    match before {
        Some(before) if uids().eq(before.iter().cloned()) => before.clone(),
        _ => uids().collect(),
    }
}

/// Why there is no document, or none that is newer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum MissingReason {
    /// The attempt that this call made, or joined, failed.
    Failed {
        /// Why.
        error: Arc<FetchError>,
        /// When the first attempt failed of those since the last success.
        since: Instant,
    },
    /// No attempt was made, since the last one is less than a TTL ago. It failed.
    GateClosed {
        /// Why it failed.
        error: Arc<FetchError>,
        /// When the first attempt failed of those since the last success.
        since: Instant,
    },
    /// The call's deadline came first. The attempt goes on, for whoever asks next; with a TTL of zero it ends with its
    /// caller.
    Deadline,
    /// The attempt succeeded, and took longer than a TTL.
    Slow {
        /// How long it took.
        took: Duration,
    },
    /// An attempt would be due, and nobody has asked for one.
    NotAsked,
    /// The node was removed while it was being asked.
    Removed,
    /// The cache was shut down.
    Stopped,
}

impl MissingReason {
    /// The error of the last attempt, if that is the reason.
    pub fn error(&self) -> Option<&Arc<FetchError>> {
        match self {
            Self::Failed { error, .. } | Self::GateClosed { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for MissingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { error, .. } => error.fmt(f),
            Self::GateClosed { error, .. } => {
                write!(f, "the last attempt failed, and it is too early for another: {error}")
            }
            Self::Deadline => f.write_str("no answer within the call's deadline; the attempt goes on"),
            Self::Slow { took } => write!(f, "the attempt took {took:?}, longer than documents are fresh"),
            Self::NotAsked => f.write_str("it was not asked"),
            Self::Removed => f.write_str("the node was removed"),
            Self::Stopped => f.write_str("the cache was shut down"),
        }
    }
}

/// What a caller gets for a node.
#[derive(Debug, Clone)]
pub enum NodeOutcome {
    /// A document that is younger than the TTL.
    Fresh(Document),
    /// A document that is younger than twice the TTL, since there is none that is newer.
    Stale {
        /// The document.
        document: Document,
        /// Why there is none that is newer.
        reason: MissingReason,
    },
    /// Nothing that may be used.
    Missing {
        /// Why.
        reason: MissingReason,
        /// The age of the last document, which is twice the TTL or more; none if the node never answered.
        last: Option<Duration>,
    },
}

impl NodeOutcome {
    /// The document, fresh or stale.
    pub fn document(&self) -> Option<&Document> {
        match self {
            Self::Fresh(document) | Self::Stale { document, .. } => Some(document),
            Self::Missing { .. } => None,
        }
    }

    /// The summary, fresh or stale.
    pub fn summary(&self) -> Option<&Arc<Summary>> {
        self.document().map(|document| &document.summary)
    }

    /// How old the document is.
    pub fn age(&self) -> Option<Duration> {
        self.document().map(|document| document.age)
    }

    /// Why there is no document, or none that is newer.
    pub fn reason(&self) -> Option<&MissingReason> {
        match self {
            Self::Fresh(_) => None,
            Self::Stale { reason, .. } | Self::Missing { reason, .. } => Some(reason),
        }
    }

    /// Whether the document is younger than the TTL.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_))
    }

    /// Whether there is a document, but none that is younger than the TTL.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Stale { .. })
    }

    /// Whether there is nothing that may be used.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// The word for metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Fresh(_) => "fresh",
            Self::Stale { .. } => "stale",
            Self::Missing { .. } => "missing",
        }
    }

    pub(super) fn missing(reason: MissingReason) -> Self {
        Self::Missing { reason, last: None }
    }
}

/// A node's name, and what a caller gets for it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeAnswer {
    /// The node.
    pub node: Arc<str>,
    /// What there is.
    pub outcome: NodeOutcome,
}

/// What changed in the cache.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SummaryChange {
    /// An attempt ended: with a new document, or a failure and what is left to serve.
    Attempted(NodeAnswer),
    /// A node is not known any more.
    Removed {
        /// Its name.
        node: Arc<str>,
    },
    /// So many changes were missed by a consumer that was too slow: look at
    /// [`SummaryCache::known`](super::SummaryCache::known) anew.
    Missed(u64),
}
