//! One resource while it runs: a task, a store and a state for each namespace that is watched on its own.

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::Client;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::changes::ScopeName;
use super::feed::Feed;
use super::joining::{Joiner, Joins, Scratch};
use super::ownership::Ownership;
use super::plan::{Enabled, Plan};
use super::resource::StoreFactory;
use super::resources::{Context, Keeping};
use super::settings::Settings;
use super::shards::Shards;
use super::source::{ApiRequest, Source};
use super::state::{Batch, ResourceStatus, State};
use crate::decode::PathTree;
use crate::family::Family;
use crate::samples::Label;
use crate::store::{MemoryStore, ObjectKey, Store};
use crate::telemetry;
use crate::watch::{Collection, WatchOptions};

/// Everything that one resource needs to run, whatever its kind's Rust type is.
pub(super) trait Running: Send + Sync {
    fn name(&self) -> &str;
    fn families(&self) -> Arc<[Family]>;
    /// What readers may see at the moment.
    fn shown(&self) -> Vec<Shown>;
    fn set_extra_labels(&self, key: ObjectKey, labels: &[Label<'_>]) -> bool;
    fn statuses(&self) -> Vec<ResourceStatus>;
    fn is_synced(&self) -> bool;
    fn sync_signals(&self) -> Vec<watch::Receiver<bool>>;
    fn apply_settings(&self, settings: &Settings) -> Effect;
    /// Ends its tasks at their next pause.
    fn stop(&self);
    /// Ends its tasks wherever they are.
    fn abort(&self);
}

/// A scope as readers see it.
pub(super) struct Shown {
    pub(super) scope: ScopeName,
    /// None where it is withdrawn.
    pub(super) store: Option<Arc<MemoryStore>>,
    /// For how long its source has failed, where that is to be seen.
    pub(super) mark: Option<Duration>,
}

/// What new settings meant for a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Relisted,
    Stale,
}

/// The parts of a resource that don't change while it runs.
pub(super) struct Definition<K: kube::Resource> {
    pub(super) plan: Arc<Plan<K>>,
    pub(super) dynamic_type: K::DynamicType,
    pub(super) cluster_scoped: bool,
    pub(super) source: Source<K>,
    pub(super) client: Option<Client>,
    pub(super) options: WatchOptions,
    pub(super) unread: Vec<String>,
    /// Annotations are decoded only where somebody may read them.
    pub(super) needs_annotations: bool,
    /// Nobody reads more of an object than its metadata.
    pub(super) metadata_only: bool,
    pub(super) keeping: Keeping,
    pub(super) store: Option<StoreFactory>,
}

pub(super) struct RunningResource<K: kube::Resource> {
    definition: Definition<K>,
    enabled: Arc<RwLock<Arc<Enabled>>>,
    scopes: Mutex<Vec<Scope>>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    joins: Option<Arc<Joins>>,
    shards: Option<Arc<Shards>>,
}

#[derive(Clone)]
enum StoreHandle {
    Memory(Arc<MemoryStore>),
    Own(Arc<dyn Store>),
}

impl StoreHandle {
    fn as_store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => store.clone(),
            Self::Own(store) => store.clone(),
        }
    }

    fn memory(&self) -> Option<&Arc<MemoryStore>> {
        match self {
            Self::Memory(store) => Some(store),
            Self::Own(_) => None,
        }
    }
}

struct Scope {
    namespace: Option<String>,
    selector: Option<String>,
    store: StoreHandle,
    state: Arc<State>,
    walk_all: Arc<AtomicBool>,
    joiner: Option<Arc<Joiner>>,
    task: Task,
}

/// A task that ends with its owner.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<K> RunningResource<K>
where
    K: kube::Resource + Send + Sync + 'static,
    K::DynamicType: Send + Sync + Clone,
{
    pub(super) fn start(definition: Definition<K>, settings: &Settings, context: &Context) -> Self {
        let enabled = Self::enabled_by(&definition, settings);
        let running = Self {
            enabled: Arc::new(RwLock::new(Arc::new(enabled))),
            definition,
            scopes: Mutex::default(),
            cancel: context.cancel.child_token(),
            tasks: context.tasks.clone(),
            joins: context.joins.clone(),
            shards: context.shards.clone(),
        };
        let scopes =
            running.wanted_scopes(settings).into_iter().map(|namespace| running.new_scope(namespace, settings));
        let scopes: Vec<Scope> = scopes.collect();
        if matches!(running.definition.source, Source::Api { .. }) {
            telemetry::begin_requests(running.name());
        }
        *running.scopes.lock() = scopes;
        running
    }

    fn enabled_by(definition: &Definition<K>, settings: &Settings) -> Enabled {
        let plan = &definition.plan;
        let allow = settings.allow_lists(&plan.resource);
        Enabled { families: plan.enabled(&settings.families, &allow), allow }
    }

    fn wanted_scopes(&self, settings: &Settings) -> Vec<Option<String>> {
        match self.definition.source {
            Source::Api { .. } => settings.scopes(self.definition.cluster_scoped),
            // The host's stream is what it is.
            Source::Once(_) => vec![None],
        }
    }

    fn new_scope(&self, namespace: Option<String>, settings: &Settings) -> Scope {
        let plan = &self.definition.plan;
        let store = match &self.definition.store {
            Some(factory) => StoreHandle::Own(factory(namespace.as_deref())),
            None => {
                let keeping = self.definition.keeping;
                let mut store = MemoryStore::with_retention(&plan.families, keeping.retention);
                if let Some(limit) = keeping.removals {
                    store = store.remember_removals(limit);
                }
                store.set_visible(self.enabled.read().families.clone());
                StoreHandle::Memory(Arc::new(store))
            }
        };
        let state = Arc::new(State::new());
        let walk_all = Arc::new(AtomicBool::new(false));
        let selector = self.selector(settings, namespace.as_deref());
        let joiner = self.joins.as_ref().map(|joins| Arc::new(joins.member(&plan.families, store.memory())));
        let task = self.spawn(namespace.as_deref(), selector.clone(), &store, &state, &walk_all, joiner.as_ref());
        Scope { namespace, selector, store, state, walk_all, joiner, task }
    }

    fn selector(&self, settings: &Settings, namespace: Option<&str>) -> Option<String> {
        let definition = &self.definition;
        let own = definition.options.field_selector.as_deref();
        settings.field_selector(&definition.plan.resource, own, definition.cluster_scoped, namespace)
    }

    fn annotations_wanted(&self, joiner: Option<&Arc<Joiner>>) -> bool {
        self.definition.needs_annotations
            || joiner.is_some_and(|joiner| joiner.needs_annotations())
            || !self.enabled.read().allow.annotations.is_empty()
    }

    fn spawn(
        &self,
        namespace: Option<&str>,
        field_selector: Option<String>,
        store: &StoreHandle,
        state: &Arc<State>,
        walk_all: &Arc<AtomicBool>,
        joiner: Option<&Arc<Joiner>>,
    ) -> Task {
        let definition = &self.definition;
        let mut unread = definition.unread.clone();
        if !self.annotations_wanted(joiner) && !unread.is_empty() {
            unread.push("metadata.annotations".to_owned());
        }
        if let Some(shards) = &self.shards {
            unread.retain(|path| !shards.key().reads(path));
        }
        let unread = PathTree::new(unread);
        // Whoever names a type at run time names its version too.
        let collection = if TypeId::of::<K::DynamicType>() == TypeId::of::<()>() {
            Collection::of::<K>(&definition.dynamic_type, namespace)
        } else {
            Collection::exactly::<K>(&definition.dynamic_type, namespace)
        };
        let options = WatchOptions { field_selector, ..definition.options.clone() };
        let (source, client, plan) = (definition.source.clone(), definition.client.clone(), definition.plan.clone());
        let (enabled, store, state, walk_all) =
            (self.enabled.clone(), store.as_store(), state.clone(), walk_all.clone());
        let metadata_only = definition.metadata_only;
        let request = client.map(|client| ApiRequest { client, collection, options, unread, metadata_only });
        let joiner = joiner.cloned();
        let ownership = self.shards.as_ref().map(|shards| Ownership::new(shards.join(), definition.cluster_scoped));
        let feed = Feed {
            plan,
            enabled,
            store,
            state,
            walk_all,
            ownership,
            joiner,
            scratch: Scratch::default(),
            batch: Batch::default(),
        };
        let cancel = self.cancel.clone();
        let task = self.tasks.spawn(async move {
            cancel.run_until_cancelled(source.run(request, feed)).await;
        });
        Task(task.abort_handle())
    }
}

impl<K> Running for RunningResource<K>
where
    K: kube::Resource + Send + Sync + 'static,
    K::DynamicType: Send + Sync + Clone,
{
    fn name(&self) -> &str {
        &self.definition.plan.resource
    }

    fn families(&self) -> Arc<[Family]> {
        self.definition.plan.families.clone()
    }

    fn shown(&self) -> Vec<Shown> {
        let freshness = self.definition.keeping.freshness;
        let scopes = self.scopes.lock();
        let shown = scopes.iter().filter_map(|scope| {
            let store = scope.store.memory()?;
            let outage = scope.state.stale_for();
            Some(Shown {
                scope: ScopeName { resource: self.name().to_owned(), namespace: scope.namespace.clone() },
                store: (!freshness.withdraws(outage)).then(|| store.clone()),
                mark: freshness.marks(outage),
            })
        });
        shown.collect()
    }

    fn set_extra_labels(&self, key: ObjectKey, labels: &[Label<'_>]) -> bool {
        let mut found = false;
        for scope in self.scopes.lock().iter() {
            let Some(store) = scope.store.memory() else { continue };
            let is_there = match &scope.joiner {
                Some(joiner) => {
                    let owned = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
                    joiner.set_extra_labels(store, key, owned.collect())
                }
                None => store.set_extra_labels(key, labels),
            };
            if is_there {
                found = true;
                store.publish();
            }
        }
        found
    }

    fn statuses(&self) -> Vec<ResourceStatus> {
        let scopes = self.scopes.lock();
        scopes
            .iter()
            .map(|scope| {
                let stats = scope.store.memory().map(|store| store.stats());
                let mut status = scope.state.status(self.name(), scope.namespace.as_deref(), stats);
                status.withdrawn = stats.is_some() && self.definition.keeping.freshness.withdraws(status.stale_for);
                status
            })
            .collect()
    }

    fn is_synced(&self) -> bool {
        self.scopes.lock().iter().all(|scope| scope.state.is_synced())
    }

    fn sync_signals(&self) -> Vec<watch::Receiver<bool>> {
        self.scopes.lock().iter().map(|scope| scope.state.subscribe()).collect()
    }

    fn apply_settings(&self, settings: &Settings) -> Effect {
        let new = Self::enabled_by(&self.definition, settings);
        let old = std::mem::replace(&mut *self.enabled.write(), Arc::new(new.clone()));
        let mut scopes = self.scopes.lock();
        // Samples must be made again where a family comes on, or an allowlist is another one.
        let allow_changed = old.allow != new.allow;
        let needs_objects = !new.families.is_subset(&old.families) || allow_changed;
        for store in scopes.iter().filter_map(|scope| scope.store.memory()) {
            if old.families != new.families {
                store.set_visible(new.families.clone());
            }
        }
        let can_list = matches!(self.definition.source, Source::Api { .. });
        if !can_list {
            return if needs_objects { Effect::Stale } else { Effect::None };
        }
        let wanted = self.wanted_scopes(settings);
        scopes.retain(|scope| wanted.contains(&scope.namespace));
        let mut effect = Effect::None;
        for scope in scopes.iter_mut() {
            let selector = self.selector(settings, scope.namespace.as_deref());
            // A store of the host's shows what it is given: it must be given anew what is left.
            let own_store = scope.store.memory().is_none() && old.families != new.families;
            if !needs_objects && !own_store && selector == scope.selector {
                continue;
            }
            effect = Effect::Relisted;
            scope.selector = selector;
            scope.walk_all.store(needs_objects || own_store, Ordering::Relaxed);
            scope.task = self.spawn(
                scope.namespace.as_deref(),
                scope.selector.clone(),
                &scope.store,
                &scope.state,
                &scope.walk_all,
                scope.joiner.as_ref(),
            );
        }
        for namespace in wanted {
            if !scopes.iter().any(|scope| scope.namespace == namespace) {
                scopes.push(self.new_scope(namespace, settings));
                effect = Effect::Relisted;
            }
        }
        effect
    }

    fn stop(&self) {
        self.cancel.cancel();
    }

    fn abort(&self) {
        self.scopes.lock().iter().for_each(|scope| scope.task.0.abort());
    }
}
