//! The handle of what runs.

use std::sync::Arc;

use futures::stream::BoxStream;

use super::builder::{KsmBuilder, builtin_by_name};
use super::changes::{ChangeSet, Cursor};
use super::error::BuildError;
use super::freshness::{Mark, marks_snapshot};
use super::resource::{ResourceBuilder, Startable};
use super::resources::{Entry, Origin, ResourceChanges, Resources};
use super::settings::{Reconfigured, Settings};
use super::shards::{ReshardError, Resharding};
use super::state::ResourceStatus;
use crate::exposition::{Exposition, Format};
use crate::family::Family;
use crate::samples::Label;
use crate::selector::Query;
use crate::shard::Shard;
use crate::store::{MemoryStore, ObjectKey, SampleRef, Snapshot};

/// Resources that are being watched, and their samples.
///
/// Dropping it stops all its tasks; [`shutdown`](Self::shutdown) waits for their end.
pub struct Ksm {
    resources: Arc<Resources>,
}

impl std::fmt::Debug for Ksm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ksm").field("resources", &self.resources).finish()
    }
}

impl Drop for Ksm {
    fn drop(&mut self) {
        self.resources.cancel();
    }
}

impl Ksm {
    /// Begins a configuration.
    pub fn builder() -> KsmBuilder {
        KsmBuilder::default()
    }

    pub(super) fn new(resources: Resources) -> Self {
        Self { resources: Arc::new(resources) }
    }

    pub(super) fn start(&self, resource: Box<dyn Startable>, origin: Origin) -> Result<(), BuildError> {
        self.resources.add(resource, origin)
    }

    pub(super) fn check_joins(&self) -> Result<(), BuildError> {
        self.resources.check_joins()
    }

    pub(super) fn follow(&self, shards: BoxStream<'static, Shard>) {
        if let Some(own) = self.resources.shards() {
            own.follow(shards);
        }
    }

    /// The resources' names, in the order in which they were added.
    pub fn resources(&self) -> Vec<String> {
        self.resources.list().iter().map(|entry| entry.name().to_owned()).collect()
    }

    /// The families of a resource, on or off; none where it is not watched.
    pub fn families(&self, resource: &str) -> Option<Arc<[Family]>> {
        self.resources.find(resource).map(|running| running.families())
    }

    /// Watches one more resource, under the settings that hold now. Nobody else is touched.
    pub fn add<K>(&self, resource: ResourceBuilder<K>) -> Result<(), BuildError>
    where
        K: kube::Resource + serde::de::DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Send + Sync + Clone,
    {
        self.start(Box::new(resource), Origin::Host)
    }

    /// Watches one more built-in resource.
    pub fn add_named(&self, name: &str) -> Result<(), BuildError> {
        self.start(builtin_by_name(name)?, Origin::Name)
    }

    /// Ends the watch of a resource, whoever added it. Its series are gone with this call, its tasks soon after; nobody
    /// else is touched. Whether there was such a resource.
    pub fn remove(&self, resource: &str) -> bool {
        self.resources.remove(resource)
    }

    /// Makes the built-in resources those of `names`, by adding and removing only what differs: for a host that reads
    /// its configuration anew. Resources that were added by a [`ResourceBuilder`] stay as they are, and stand for the
    /// built-in ones of their names. With an unknown name, nothing is changed.
    pub fn set_resources<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<ResourceChanges, BuildError> {
        let names: Vec<S> = names.into_iter().collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        self.resources.set_builtin(&names)
    }

    /// Watches the custom resources of a configuration, in place of those of the former one; an empty configuration
    /// ends them. Only kinds for which the configurations say something else are listed anew. See
    /// [`engine::custom_resources`](crate::engine::custom_resources) for what is found how.
    #[cfg(feature = "custom-resource-state")]
    pub fn set_custom_resources(&self, config: crate::custom_resource::CustomResourceConfig) -> Result<(), BuildError> {
        self.resources.set_custom(config)
    }

    /// What a scrape shows. Lazy: nothing is written before its blocks are read.
    ///
    /// Counts as the reading that [`Retention::UntilRead`](crate::Retention::UntilRead) waits for, unless the query is
    /// for [part of the samples](Query::is_partial): such a reader does not take deleted objects from one that reads
    /// everything.
    pub fn exposition(&self, query: &Query, format: Format) -> Exposition {
        let read = if query.is_partial() { MemoryStore::snapshot } else { MemoryStore::read };
        Exposition::select(self.read(query, read), format, query)
    }

    /// The samples as they are now, a snapshot per resource and namespace that is watched on its own. Snapshots are
    /// whole: of the query, only what it says of resources applies.
    pub fn snapshots(&self, query: &Query) -> Vec<Arc<Snapshot>> {
        self.read(query, MemoryStore::snapshot)
    }

    /// What readers see of some resources, and the marks of those that are marked.
    fn read(&self, query: &Query, read: impl Fn(&MemoryStore) -> Arc<Snapshot>) -> Vec<Arc<Snapshot>> {
        let mut snapshots = Vec::new();
        let mut marks = Vec::new();
        for shown in self.wanted(query).iter().flat_map(|entry| entry.running.shown()) {
            snapshots.extend(shown.store.map(|store| read(&store)));
            marks.extend(shown.mark.map(|stale| Mark { scope: shown.scope, stale }));
        }
        snapshots.extend(marks_snapshot(&marks));
        snapshots
    }

    /// What a reader that was at `cursor` has to take over to have what is shown now: for a host that sends on only what
    /// changed. The default cursor stands for a reader that has nothing; each answer brings the next.
    ///
    /// Of each resource, in each namespace that is watched on its own, it tells the objects that changed and that are
    /// gone. Where that can't be told any more, it is the whole: after a long time without a call, and when filters
    /// were changed. See [`MemoryStore::changes_since`], which it is made of. Only what the query says of resources
    /// applies; the resources that it leaves out keep their places in the cursor. Marks of outages are not among the
    /// changes, since they change all the time: see [`ResourceStatus::stale_for`].
    ///
    /// ```no_run
    /// use ksm_core::{Changes, Cursor, Ksm, Query};
    ///
    /// # fn send(_: &str, _: ksm_core::ObjectRef<'_>) {}
    /// # fn forget(_: &ksm_core::ScopeName) {}
    /// # fn forget_object(_: &str, _: ksm_core::ObjectKey) {}
    /// fn send_changes(ksm: &Ksm, cursor: &mut Cursor) {
    ///     let changes = ksm.changes_since(&Query::default(), cursor);
    ///     changes.gone.iter().for_each(forget);
    ///     for entry in &changes.scopes {
    ///         match &entry.changes {
    ///             Changes::Resync(_) => forget(&entry.scope),
    ///             Changes::Delta(delta) => {
    ///                 delta.removed().iter().for_each(|gone| forget_object(&entry.scope.resource, gone.key));
    ///             }
    ///         }
    ///         entry.changes.updated().for_each(|object| send(&entry.scope.resource, object));
    ///     }
    ///     *cursor = changes.cursor;
    /// }
    /// ```
    pub fn changes_since(&self, query: &Query, cursor: &Cursor) -> ChangeSet {
        let wanted = self.wanted(query);
        let shown = wanted.iter().flat_map(|entry| entry.running.shown());
        let stores = shown.filter_map(|shown| Some((shown.scope, shown.store?)));
        cursor.changes(stores, |scope| query.admits(&scope.resource))
    }

    /// Visits every sample that the query admits, as it is now.
    pub fn visit(&self, query: &Query, mut f: impl FnMut(SampleRef<'_>)) {
        let selection = query.selection();
        for snapshot in self.snapshots(query) {
            match &selection {
                None => snapshot.visit(|_| true, &mut f),
                Some(selection) => selection.visit(&snapshot, &mut f),
            }
        }
    }

    fn wanted(&self, query: &Query) -> Vec<Entry> {
        self.resources.list().iter().filter(|entry| query.admits(entry.name())).cloned().collect()
    }

    /// How each resource is doing, an entry per namespace that is watched on its own.
    pub fn status(&self) -> Vec<ResourceStatus> {
        self.resources.statuses()
    }

    /// Whether every resource has been listed completely at least once.
    pub fn is_synced(&self) -> bool {
        self.resources.is_synced()
    }

    /// Waits until every resource has been listed completely at least once, or everything has been stopped.
    pub async fn synced(&self) {
        self.resources.synced().await;
    }

    /// Replaces the extra labels of an object (those of [`ResourceBuilder::enrich`](crate::ResourceBuilder::enrich))
    /// without the object; whether it is there. For a host that learns something later: when a node's metadata come in,
    /// its pods' samples get them, and nothing is walked again. An update of the object takes the enricher's labels.
    pub fn set_extra_labels(&self, resource: &str, key: ObjectKey, labels: &[Label<'_>]) -> bool {
        self.resources.find(resource).is_some_and(|running| running.set_extra_labels(key, labels))
    }

    /// Changes filters and scopes. Families that go off are hidden at once; only resources that need their objects
    /// again are listed again; a namespace that comes or goes does not touch the others. Resources that are added later
    /// start with these settings.
    pub fn reconfigure(&self, settings: &Settings) -> Reconfigured {
        self.resources.reconfigure(settings)
    }

    /// Which shard this is; none where it is not sharded.
    pub fn shard(&self) -> Option<Shard> {
        self.resources.shards().map(|shards| shards.shard())
    }

    /// Becomes another shard while everything runs, without a gap: see [`crate::shard`] for how. Returns at once; the
    /// handle says when the new objects are here, and can let the old ones go before their time. Becoming the shard that
    /// it is already (or is about to be) changes nothing.
    pub fn reshard(&self, shard: Shard) -> Result<Resharding, ReshardError> {
        Ok(self.resources.shards().ok_or(ReshardError::NotSharded)?.reshard(shard))
    }

    /// Stops watching, and waits until all tasks have ended, 5 seconds at most. What was stored can still be read.
    pub async fn shutdown(&self) {
        self.resources.shutdown().await;
    }
}
