//! The handle of what runs.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::builder::KsmBuilder;
use super::scope::{Effect, Running};
use super::settings::{Reconfigured, Settings};
use super::state::ResourceStatus;
use crate::exposition::{Exposition, Format};
use crate::family::Family;
use crate::samples::Label;
use crate::store::{ObjectKey, Snapshot, Store};

/// The longest that [`Ksm::shutdown`] waits for tasks; after it they are aborted.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Which resources a reader wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Only these; empty: all.
    pub resources: Vec<String>,
    /// But not these. Wins over [`resources`](Self::resources).
    pub exclude: Vec<String>,
}

impl Query {
    fn admits(&self, resource: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == resource);
        (self.resources.is_empty() || named(&self.resources)) && !named(&self.exclude)
    }
}

/// Resources that are being watched, and their samples.
///
/// Dropping it stops all its tasks; [`shutdown`](Self::shutdown) waits for their end.
pub struct Ksm {
    resources: Vec<Box<dyn Running>>,
    cancel: CancellationToken,
    /// One reconfiguration at a time.
    reconfiguring: Mutex<()>,
}

impl std::fmt::Debug for Ksm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ksm").field("resources", &self.resources().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Drop for Ksm {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Ksm {
    /// Begins a configuration.
    pub fn builder() -> KsmBuilder {
        KsmBuilder::default()
    }

    pub(super) fn new(resources: Vec<Box<dyn Running>>, cancel: CancellationToken) -> Self {
        Self { resources, cancel, reconfiguring: Mutex::new(()) }
    }

    /// The resources' names, in the order in which they were added.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().map(|resource| resource.name())
    }

    /// The families of a resource, on or off; none where it is not watched.
    pub fn families(&self, resource: &str) -> Option<&[Family]> {
        self.resources.iter().find(|running| running.name() == resource).map(|running| running.families())
    }

    /// What a scrape shows. Lazy: nothing is written before its blocks are read.
    ///
    /// Counts as the reading that [`Retention::UntilRead`](crate::Retention::UntilRead) waits for.
    pub fn exposition(&self, query: &Query, format: Format) -> Exposition {
        Exposition::new(self.wanted(query).flat_map(|resource| resource.snapshots(true)), format)
    }

    /// The samples as they are now, a snapshot per resource and namespace that is watched on its own.
    pub fn snapshots(&self, query: &Query) -> Vec<Arc<Snapshot>> {
        self.wanted(query).flat_map(|resource| resource.snapshots(false)).collect()
    }

    fn wanted<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = &'a dyn Running> {
        self.resources.iter().map(AsRef::as_ref).filter(|resource| query.admits(resource.name()))
    }

    /// How each resource is doing, an entry per namespace that is watched on its own.
    pub fn status(&self) -> Vec<ResourceStatus> {
        self.resources.iter().flat_map(|resource| resource.statuses()).collect()
    }

    /// Whether every resource has been listed completely at least once.
    pub fn is_synced(&self) -> bool {
        self.resources.iter().all(|resource| resource.is_synced())
    }

    /// Waits until every resource has been listed completely at least once.
    pub async fn synced(&self) {
        let signals = self.resources.iter().flat_map(|resource| resource.sync_signals());
        join_all(signals.map(|mut signal| async move {
            // An error is a scope that is watched no more: nothing to wait for.
            let _ = signal.wait_for(|synced| *synced).await;
        }))
        .await;
    }

    /// Replaces the extra labels of an object (those of [`ResourceBuilder::enrich`](crate::ResourceBuilder::enrich))
    /// without the object; whether it is there. For a host that learns something later: when a node's metadata come in,
    /// its pods' samples get them, and nothing is walked again. An update of the object takes the enricher's labels.
    pub fn set_extra_labels(&self, resource: &str, key: ObjectKey, labels: &[Label<'_>]) -> bool {
        let stores = self.resources.iter().filter(|running| running.name() == resource).flat_map(|r| r.stores());
        let mut found = false;
        for store in stores {
            if store.set_extra_labels(key, labels) {
                found = true;
                store.publish();
            }
        }
        found
    }

    /// Changes filters and scopes. Families that go off are hidden at once; only resources that need their objects
    /// again are listed again; a namespace that comes or goes does not touch the others.
    pub fn reconfigure(&self, settings: &Settings) -> Reconfigured {
        let _one_at_a_time = self.reconfiguring.lock();
        let mut result = Reconfigured::default();
        for resource in &self.resources {
            let name = resource.name().to_owned();
            match resource.apply_settings(settings) {
                Effect::None => {}
                Effect::Relisted => result.relisted.push(name),
                Effect::Stale => result.stale.push(name),
            }
        }
        result
    }

    /// Stops watching, and waits until all tasks have ended, 5 seconds at most. What was stored can still be read.
    pub async fn shutdown(&self) {
        self.cancel.cancel();
        let tasks: Vec<_> = self.resources.iter().flat_map(|resource| resource.stop()).collect();
        let aborts: Vec<_> = tasks.iter().map(tokio::task::JoinHandle::abort_handle).collect();
        if timeout(SHUTDOWN, join_all(tasks)).await.is_err() {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}
