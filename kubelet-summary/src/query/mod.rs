//! What the pods in scope use: inventory and documents, joined by uid.
//!
//! Only nodes are asked that run pods in scope. A pod's figures are taken from the document of the node that it is bound
//! to, and from nowhere else, so that none is counted twice; they stay in that document, which is shared.
//!
//! | a pod | is |
//! |---|---|
//! | that its node's document has | in [`Usage::values`] |
//! | whose node gave no document, or is not among the nodes | in [`Usage::missing`], with its node and the reason |
//! | that its node's document lacks | in [`Usage::absent`]: the kubelet doesn't know it yet, or any more |
//! | that has no node | in [`Usage::absent`] |
//! | that a document has and the watch doesn't | in [`Usage::unknown`], where the scope is of places: who doesn't know its labels can't say whether it is meant |
//! | that is over | left out, unless the scope says [`with_finished`](crate::Scope::with_finished) |

mod figures;
mod join;
mod pod;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use self::figures::{Aggregate, Figures, ResourceTallies, Tally, WorkloadKey};
pub(crate) use self::join::plan;
pub use self::pod::{ContainerUsage, PodUsage, UnknownPod};
use crate::cache::MissingReason;
use crate::inventory::{KnownPod, NotReady};

/// What the pods in scope use. Where something is missing it says what, and the rest is an answer all the same.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Pods with figures, in no order.
    pub values: Vec<PodUsage>,
    /// The age of the oldest document that was looked into, be there pods in scope in it or not; none where no node gave
    /// one.
    pub age: Option<Duration>,
    /// Nodes that run pods in scope and gave nothing that may be used.
    pub missing: Vec<MissingNode>,
    /// Pods without figures, on nodes that gave a document or on none.
    pub absent: Vec<AbsentPod>,
    /// Pods that kubelets know and the watch doesn't.
    pub unknown: Vec<UnknownPod>,
    /// What of the question nobody watches, in words: `namespace db`. What is here is of the rest.
    pub unwatched: Vec<String>,
    /// For how long not all changes of pods and nodes have been seen; none while they are. What is here is from what was
    /// known before.
    pub behind: Option<Duration>,
}

/// A node that gave nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MissingNode {
    /// Its name.
    pub node: Arc<str>,
    /// Why.
    pub reason: NodeGap,
    /// The pods in scope that run on it.
    pub pods: Vec<Arc<KnownPod>>,
}

/// Why a node gave nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NodeGap {
    /// It is not among the nodes: it was removed, or is out of what the inventory watches. It was not asked.
    Unknown,
    /// It was asked.
    NoDocument {
        /// Why there is none.
        reason: MissingReason,
        /// The age of the last document, which is too old to be used; none if the node never answered.
        last: Option<Duration>,
    },
}

impl fmt::Display for NodeGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("it is not among the nodes that are watched"),
            Self::NoDocument { reason, .. } => reason.fmt(f),
        }
    }
}

/// A pod without figures.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AbsentPod {
    /// The pod.
    pub pod: Arc<KnownPod>,
    /// Why.
    pub reason: PodGap,
}

impl AbsentPod {
    fn uses_nothing(&self) -> bool {
        self.reason == PodGap::Unscheduled
    }
}

/// Why a pod has no figures although its node gave a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PodGap {
    /// It is bound to no node.
    Unscheduled,
    /// Its kubelet doesn't know it: it has just begun or ended, or the document is older than it.
    Unreported,
}

impl PodGap {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unscheduled => "unscheduled",
            Self::Unreported => "unreported",
        }
    }
}

impl Usage {
    /// Whether all pods in scope have figures, of documents that are fresh, and the watches see all of them and all
    /// changes. Pods that are bound to no node use nothing, and lack nothing. A scope that names no namespaces, nodes or
    /// labels is about those that the inventory watches.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
            && self.unwatched.is_empty()
            && self.absent.iter().all(AbsentPod::uses_nothing)
            && self.behind.is_none()
            && self.values.iter().all(PodUsage::is_fresh)
    }

    /// Whether there are pods in scope that should have figures, and none has any.
    pub fn is_without_data(&self) -> bool {
        self.values.is_empty() && !(self.missing.is_empty() && self.absent.iter().all(AbsentPod::uses_nothing))
    }

    fn gaps(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        if let Some(first) = self.missing.first() {
            let more = self.missing.len() - 1;
            let more = if more == 0 { String::new() } else { format!(" (and {more} more nodes)") };
            parts.push(format!("node {}: {}{more}", first.node, first.reason));
        }
        for gap in [PodGap::Unscheduled, PodGap::Unreported] {
            let pods = self.absent.iter().filter(|absent| absent.reason == gap).count();
            if pods > 0 {
                parts.push(format!("{pods} pods {}", gap.as_str()));
            }
        }
        parts.join("; ")
    }
}

/// Why a question has no answer at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UsageError {
    /// Nobody knows yet which pods or nodes there are.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// Nothing of what was asked for is watched: that there are no such pods can't be said.
    #[error(
        "nobody watches {scope}: the inventory has {watched}; ask for those, or widen what it watches (`namespaces`, \
         `pod_labels`, `pod_fields`)"
    )]
    NotWatched {
        /// What was asked for.
        scope: String,
        /// What is watched.
        watched: String,
    },
    /// There are pods in scope, and not one of them has figures.
    #[error("no figures of {scope}: {}", .usage.gaps())]
    NoData {
        /// What was asked for.
        scope: String,
        /// Which nodes and pods are missing, and why.
        usage: Box<Usage>,
    },
    /// The same question failed a moment ago.
    #[error("asking for {scope} failed a moment ago: ask again in {left:?}, or build without `backoff`")]
    BackingOff {
        /// What was asked for.
        scope: String,
        /// The time that is left.
        left: Duration,
    },
}

impl UsageError {
    /// Whether something failed, so that the same question had better not be asked again at once: no list can be had, or
    /// no node that was asked gave figures. Others cost nothing: that the first list is on its way, that all is shut down,
    /// that nobody watches what is asked for, what a back-off says itself, and that kubelets which answer don't know the
    /// pods yet: they may in their next document.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::NotReady(NotReady::Failing { .. }) => true,
            Self::NoData { usage, .. } => !usage.missing.is_empty(),
            _ => false,
        }
    }
}
