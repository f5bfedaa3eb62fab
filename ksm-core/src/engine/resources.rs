//! The resources that run, and how they come and go.
//!
//! Readers take the list as it is and go on with that; whoever changes it makes a new one. So a resource that starts or
//! ends holds up nobody.

#[cfg(feature = "custom-resource-state")]
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::Client;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::builder::builtin_by_name;
use super::custom_resources::CustomResources;
use super::error::BuildError;
use super::freshness::Freshness;
use super::joining::Joins;
use super::resource::Startable;
use super::scope::{Effect, Running};
use super::settings::{Reconfigured, Settings};
use super::shards::Shards;
use super::state::ResourceStatus;
#[cfg(feature = "custom-resource-state")]
use crate::custom_resource::CustomResourceConfig;
use crate::store::Retention;
use crate::watch::WatchOptions;

/// The longest that [`Resources::shutdown`] waits for tasks; after it they are aborted.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What every resource starts with.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) client: Option<Client>,
    pub(super) watch: WatchOptions,
    pub(super) keeping: Keeping,
    pub(super) joins: Option<Arc<Joins>>,
    pub(super) cancel: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) shards: Option<Arc<Shards>>,
}

/// For how long samples stay that nothing backs any more.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keeping {
    pub(super) freshness: Freshness,
    pub(super) retention: Retention,
    /// Removals that are remembered, if not the store's own number of them.
    pub(super) removals: Option<usize>,
}

/// Who wants a resource, and so may take it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The host, by a `ResourceBuilder`.
    Host,
    /// A built-in one, by its name.
    Name,
    /// The configuration of custom resources.
    #[cfg(feature = "custom-resource-state")]
    Custom,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) running: Arc<dyn Running>,
    origin: Origin,
}

impl Entry {
    pub(super) fn name(&self) -> &str {
        self.running.name()
    }
}

/// What [`Ksm::set_resources`](crate::Ksm::set_resources) changed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceChanges {
    /// Resources that are watched from now on.
    pub added: Vec<String>,
    /// Resources that are watched no more.
    pub removed: Vec<String>,
}

pub(super) struct Resources {
    list: RwLock<Arc<[Entry]>>,
    /// The settings that hold now. Whoever changes them, or the list, holds this lock meanwhile.
    settings: Mutex<Settings>,
    context: Context,
    custom: Mutex<Option<CustomResources>>,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list().iter().map(Entry::name)).finish()
    }
}

impl Resources {
    pub(super) fn new(context: Context, settings: Settings) -> Self {
        Self { list: RwLock::default(), settings: Mutex::new(settings), context, custom: Mutex::default() }
    }

    /// What every resource starts with.
    #[cfg(feature = "custom-resource-state")]
    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// The resources as they are now, in the order in which they were added.
    pub(super) fn list(&self) -> Arc<[Entry]> {
        self.list.read().clone()
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<dyn Running>> {
        self.list().iter().find(|entry| entry.name() == name).map(|entry| entry.running.clone())
    }

    /// Starts a resource beside the others.
    pub(super) fn add(&self, resource: Box<dyn Startable>, origin: Origin) -> Result<(), BuildError> {
        let settings = self.settings.lock();
        self.start(resource, origin, &settings)
    }

    fn check_running(&self) -> Result<(), BuildError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BuildError::NoRuntime);
        }
        if self.context.cancel.is_cancelled() {
            return Err(BuildError::Stopped);
        }
        Ok(())
    }

    fn start(&self, resource: Box<dyn Startable>, origin: Origin, settings: &Settings) -> Result<(), BuildError> {
        self.check_running()?;
        let list = self.list();
        if list.iter().any(|entry| entry.name() == resource.name()) {
            return Err(BuildError::DuplicateResource { name: resource.name().to_owned() });
        }
        let running: Arc<dyn Running> = resource.start(&self.context, settings)?.into();
        *self.list.write() = list.iter().cloned().chain([Entry { running, origin }]).collect();
        Ok(())
    }

    /// Ends a resource; whether there was one.
    pub(super) fn remove(&self, name: &str) -> bool {
        let _changing = self.settings.lock();
        !self.end(|entry| entry.name() == name).is_empty()
    }

    fn end(&self, unwanted: impl Fn(&Entry) -> bool) -> Vec<String> {
        let (gone, kept): (Vec<Entry>, Vec<Entry>) = self.list().iter().cloned().partition(unwanted);
        if !gone.is_empty() {
            *self.list.write() = kept.into();
        }
        gone.iter()
            .map(|entry| {
                entry.running.stop();
                entry.name().to_owned()
            })
            .collect()
    }

    /// Makes the built-in resources those of `names`; the host's own stay as they are.
    pub(super) fn set_builtin(&self, names: &[&str]) -> Result<ResourceChanges, BuildError> {
        let settings = self.settings.lock();
        let list = self.list();
        let mut missing: Vec<Box<dyn Startable>> = Vec::new();
        for name in names {
            let known = list.iter().any(|entry| entry.name() == *name);
            if !known && !missing.iter().any(|resource| resource.name() == *name) {
                missing.push(builtin_by_name(name)?);
            }
        }
        let mut changes = ResourceChanges::default();
        for resource in missing {
            let name = resource.name().to_owned();
            self.start(resource, Origin::Name, &settings)?;
            changes.added.push(name);
        }
        changes.removed = self.end(|entry| entry.origin == Origin::Name && !names.contains(&entry.name()));
        Ok(changes)
    }

    /// Watches the custom resources of a configuration, in place of those of the former one.
    #[cfg(feature = "custom-resource-state")]
    pub(super) fn set_custom(self: &Arc<Self>, config: CustomResourceConfig) -> Result<(), BuildError> {
        let mut custom = self.custom.lock();
        if config.resources().is_empty() {
            *custom = None;
            let _changing = self.settings.lock();
            self.end(|entry| entry.origin == Origin::Custom);
            return Ok(());
        }
        match &*custom {
            Some(running) => running.set(config),
            None => {
                self.check_running()?;
                *custom = Some(CustomResources::start(self, config)?);
            }
        }
        Ok(())
    }

    /// Ends and starts custom resources, unless `cancel` says that they are wanted no more; those that were refused.
    #[cfg(feature = "custom-resource-state")]
    pub(super) fn replace_custom(
        &self,
        cancel: &CancellationToken,
        ended: &BTreeSet<String>,
        started: Vec<(String, Box<dyn Startable>)>,
    ) -> BTreeMap<String, BuildError> {
        let settings = self.settings.lock();
        if cancel.is_cancelled() {
            return BTreeMap::new();
        }
        self.end(|entry| entry.origin == Origin::Custom && ended.contains(entry.name()));
        let start = |(name, resource)| self.start(resource, Origin::Custom, &settings).err().map(|error| (name, error));
        started.into_iter().filter_map(start).collect()
    }

    pub(super) fn statuses(&self) -> Vec<ResourceStatus> {
        let mut statuses: Vec<_> = self.list().iter().flat_map(|entry| entry.running.statuses()).collect();
        statuses.extend(self.custom.lock().as_ref().map(CustomResources::status));
        statuses
    }

    pub(super) fn reconfigure(&self, settings: &Settings) -> Reconfigured {
        let mut current = self.settings.lock();
        let mut result = Reconfigured::default();
        for entry in self.list().iter() {
            let name = entry.name().to_owned();
            match entry.running.apply_settings(settings) {
                Effect::None => {}
                Effect::Relisted => result.relisted.push(name),
                Effect::Stale => result.stale.push(name),
            }
        }
        *current = settings.clone();
        result
    }

    pub(super) fn is_synced(&self) -> bool {
        if self.custom.lock().as_ref().is_some_and(|custom| !custom.is_complete()) {
            return false;
        }
        self.list().iter().all(|entry| entry.running.is_synced())
    }

    fn sync_signals(&self) -> Vec<watch::Receiver<bool>> {
        let mut signals: Vec<_> = self.list().iter().flat_map(|entry| entry.running.sync_signals()).collect();
        signals.extend(self.custom.lock().as_ref().map(CustomResources::completion));
        signals
    }

    /// Waits until all are synced, those that come meanwhile included, or everything has stopped.
    pub(super) async fn synced(&self) {
        let all = async {
            while !self.is_synced() {
                join_all(self.sync_signals().into_iter().map(|mut signal| async move {
                    // An error is a scope that is watched no more: nothing to wait for.
                    let _ = signal.wait_for(|synced| *synced).await;
                }))
                .await;
                // A scope that just came may not have been among them.
                tokio::task::yield_now().await;
            }
        };
        self.context.cancel.run_until_cancelled(all).await;
    }

    /// Refuses label joins that no resource gives labels for.
    pub(super) fn check_joins(&self) -> Result<(), BuildError> {
        let Some(joins) = &self.context.joins else { return Ok(()) };
        let list = self.list();
        let has = |name: &str, entry: &Entry| entry.running.families().iter().any(|family| family.name == name);
        let custom = self.custom.lock();
        let configured = |name: &str| custom.as_ref().is_some_and(|custom| custom.has_family(name));
        joins.check(|name| list.iter().any(|entry| has(name, entry)) || configured(name))
    }

    pub(super) fn shards(&self) -> Option<&Arc<Shards>> {
        self.context.shards.as_ref()
    }

    pub(super) fn cancel(&self) {
        self.context.cancel.cancel();
    }

    pub(super) async fn shutdown(&self) {
        self.cancel();
        self.context.tasks.close();
        if timeout(SHUTDOWN, self.context.tasks.wait()).await.is_err() {
            for entry in self.list().iter() {
                entry.running.abort();
            }
        }
    }
}
