//! What the parts of a running simulator share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::access::Access;
use crate::chores::Chores;
use crate::clock::Clock;
use crate::fault::Rules;
use crate::kubelet::core::Core;
use crate::requests::Requests;
use crate::store::Store;

/// A simulated API server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) access: RwLock<Access>,
    pub(crate) faults: Rules,
    pub(crate) requests: Requests,
    pub(crate) settings: Settings,
    pub(crate) chores: Chores,
    pub(crate) clock: Clock,
    pub(crate) kubelets: Core,
}

/// How the server behaves where real servers differ.
#[derive(Debug)]
pub(crate) struct Settings {
    /// As `/version` tells it, for instance `v1.36.0`.
    pub(crate) version: String,
    pub(crate) page_token_ttl: Duration,
    pub(crate) bookmark_interval: Duration,
    pub(crate) watch_timeout: Duration,
    /// How long a pod with a grace period takes to end; `None`: until the test says so.
    pub(crate) pod_termination: Option<Duration>,
    pub(crate) rbac: AtomicBool,
    pub(crate) streaming_lists: AtomicBool,
    pub(crate) sharded_lists: AtomicBool,
    pub(crate) expired_watch_as_status: AtomicBool,
}

impl Settings {
    /// Users may do only what roles allow them.
    pub(crate) fn rbac(&self) -> bool {
        self.rbac.load(Ordering::Relaxed)
    }

    pub(crate) fn streaming_lists(&self) -> bool {
        self.streaming_lists.load(Ordering::Relaxed)
    }

    pub(crate) fn sharded_lists(&self) -> bool {
        self.sharded_lists.load(Ordering::Relaxed)
    }

    pub(crate) fn expired_watch_as_status(&self) -> bool {
        self.expired_watch_as_status.load(Ordering::Relaxed)
    }

    pub(crate) fn page_token_ttl_millis(&self) -> u64 {
        u64::try_from(self.page_token_ttl.as_millis()).unwrap_or(u64::MAX)
    }
}
