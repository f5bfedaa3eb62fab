//! One resource before it runs: its families, where its events come from, and what the host hangs into it.

use std::any::TypeId;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::ClusterResourceScope;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::error::BuildError;
use super::freshness::Freshness;
use super::hooks::{Change, ExtraLabels, SampleEdit};
use super::plan::{Enrich, OnChange, Plan, Table, Transform};
use super::resources::{Context, Keeping};
use super::scope::{Definition, Running, RunningResource};
use super::settings::Settings;
use super::source::Source;
use crate::families::Builtin;
use crate::family::Family;
use crate::samples::Samples;
use crate::store::{Retention, Store};
use crate::watch::WatchOptions;

/// Makes a store for one namespace, or for all of them.
pub(super) type StoreFactory = Arc<dyn Fn(Option<&str>) -> Arc<dyn Store> + Send + Sync>;

/// What a kind's own families read of an object.
#[derive(Debug, Clone, Copy, Default)]
struct Reads {
    annotations: bool,
    metadata_only: bool,
}

/// A resource to be watched: a built-in one with additions, or one of the host's.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use ksm_core::{Change, Family, FamilyIndex, ResourceBuilder};
///
/// let pods = ResourceBuilder::<Pod>::builtin()
///     // One more family, on the same watch.
///     .families(
///         [Family::gauge("my_pod_termination_grace_seconds", "How long the pod may take to stop.")],
///         |pod: &Pod, samples| {
///             let seconds = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
///             samples.put_some(FamilyIndex(0), &[], seconds.map(|seconds| seconds as f64));
///         },
///     )
///     // One family less.
///     .without(["kube_pod_tolerations"])
///     // The team's name on every series of the pod.
///     .enrich(|pod: &Pod, extra| {
///         if let Some(team) = pod.metadata.labels.as_ref().and_then(|labels| labels.get("team")) {
///             extra.add("team", team);
///         }
///     })
///     .on_change(|change: &Change<'_, Pod>| {
///         if let Change::Deleted(pod) = change {
///             println!("gone: {:?}", pod.metadata.name);
///         }
///     });
/// # drop(pods);
/// ```
pub struct ResourceBuilder<K: kube::Resource> {
    name: String,
    dynamic_type: K::DynamicType,
    cluster_scoped: bool,
    tables: Vec<Table<K>>,
    without: HashSet<String>,
    enrich: Vec<Enrich<K>>,
    transform: Vec<Transform<K>>,
    on_change: Vec<OnChange<K>>,
    source: Source<K>,
    watch: Option<WatchOptions>,
    label_selector: Option<String>,
    field_selector: Option<String>,
    unread: Vec<String>,
    reads: Reads,
    full_objects: bool,
    freshness: Option<Freshness>,
    retention: Option<Retention>,
    store: Option<StoreFactory>,
}

impl<K: kube::Resource> fmt::Debug for ResourceBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceBuilder")
            .field("name", &self.name)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl<K: Builtin> ResourceBuilder<K>
where
    K::Scope: 'static,
{
    /// A resource that this crate has families for.
    pub fn builtin() -> Self {
        let resource = K::RESOURCE;
        let mut builder = Self::new(resource.name, resource.families.to_vec(), resource.collect);
        builder.unread = resource.unread.iter().map(|path| (*path).to_owned()).collect();
        builder.reads = Reads { annotations: K::READS_ANNOTATIONS, metadata_only: K::METADATA_ONLY };
        builder
    }
}

impl<K> ResourceBuilder<K>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static,
    K::Scope: 'static,
{
    /// A custom resource of a Rust type. `name` is its word in queries and status, the plural by convention; the
    /// families' indexes in `walk` are their places in `families`.
    pub fn new(
        name: impl Into<String>,
        families: impl IntoIterator<Item = Family>,
        walk: impl Fn(&K, &mut Samples<'_>) + Send + Sync + 'static,
    ) -> Self {
        let cluster_scoped = TypeId::of::<K::Scope>() == TypeId::of::<ClusterResourceScope>();
        Self::with_type(name.into(), (), cluster_scoped, families, walk)
    }
}

impl ResourceBuilder<DynamicObject> {
    /// A custom resource without a Rust type. It is watched in the version that `api` names, and in no other.
    pub fn dynamic(
        name: impl Into<String>,
        api: ApiResource,
        cluster_scoped: bool,
        families: impl IntoIterator<Item = Family>,
        walk: impl Fn(&DynamicObject, &mut Samples<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self::with_type(name.into(), api, cluster_scoped, families, walk)
    }
}

impl<K> ResourceBuilder<K>
where
    K: kube::Resource + DeserializeOwned + Send + Sync + 'static,
{
    pub(super) fn with_type(
        name: String,
        dynamic_type: K::DynamicType,
        cluster_scoped: bool,
        families: impl IntoIterator<Item = Family>,
        walk: impl Fn(&K, &mut Samples<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            dynamic_type,
            cluster_scoped,
            tables: vec![Table { families: families.into_iter().collect(), walk: Arc::new(walk) }],
            without: HashSet::new(),
            enrich: Vec::new(),
            transform: Vec::new(),
            on_change: Vec::new(),
            source: Source::api(),
            watch: None,
            label_selector: None,
            field_selector: None,
            unread: Vec::new(),
            reads: Reads::default(),
            full_objects: false,
            freshness: None,
            retention: None,
            store: None,
        }
    }

    /// Adds families, fed by another walk over the same objects of the same watch. The families' indexes in `walk` are
    /// their places in this call's `families`. To replace a built-in family, leave it out [`without`](Self::without).
    pub fn families(
        mut self,
        families: impl IntoIterator<Item = Family>,
        walk: impl Fn(&K, &mut Samples<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.tables.push(Table { families: families.into_iter().collect(), walk: Arc::new(walk) });
        self
    }

    /// Leaves families of the resource's own table out, by name.
    pub fn without<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.without.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds labels to all samples of an object. They are taken when the object changes; a host that learns more later
    /// sets them by [`Ksm::set_extra_labels`](crate::Ksm::set_extra_labels).
    pub fn enrich(mut self, enrich: impl Fn(&K, &mut ExtraLabels) + Send + Sync + 'static) -> Self {
        self.enrich.push(Arc::new(enrich));
        self
    }

    /// Shows every sample to `transform`, which may change its labels or value, or drop it. Costs an allocation per
    /// label: use [`enrich`](Self::enrich) for labels that all samples of an object get.
    pub fn transform(mut self, transform: impl Fn(&K, &mut SampleEdit<'_>) + Send + Sync + 'static) -> Self {
        self.transform.push(Arc::new(transform));
        self
    }

    /// Calls `hook` after an object was added, updated or deleted. It runs on the resource's task: send what takes long
    /// elsewhere.
    pub fn on_change(mut self, hook: impl Fn(&Change<'_, K>) + Send + Sync + 'static) -> Self {
        self.on_change.push(Arc::new(hook));
        self
    }

    /// Takes events from a stream that the host has, instead of watching: a shared watch feeds several consumers so.
    /// Namespaces, selectors and watch options don't apply to it.
    pub fn stream<E: fmt::Display>(
        mut self,
        stream: impl Stream<Item = Result<watcher::Event<K>, E>> + Send + 'static,
    ) -> Self {
        let stream = stream.map(|event| event.map_err(|error| error.to_string())).boxed();
        self.source = Source::Once(Arc::new(Mutex::new(Some(stream))));
        self
    }

    /// Watches only objects with these labels.
    pub fn label_selector(mut self, selector: impl Into<String>) -> Self {
        self.label_selector = Some(selector.into());
        self
    }

    /// Watches only objects with these fields.
    pub fn field_selector(mut self, selector: impl Into<String>) -> Self {
        self.field_selector = Some(selector.into());
        self
    }

    /// How this resource is listed and watched, instead of as all are.
    pub fn watch_options(mut self, options: WatchOptions) -> Self {
        self.watch = Some(options);
        self
    }

    /// Decodes objects in full, for hooks that read what no family does (environment variables, managed fields, …).
    /// Without it, built-in resources leave out what their families don't read; of ConfigMaps, Roles and ClusterRoles
    /// the server is asked for the metadata alone, unless there is a hook.
    pub fn full_objects(mut self) -> Self {
        self.full_objects = true;
        self
    }

    /// Keeps deleted objects, for instance until they have been read once, instead of what holds for all resources
    /// ([`KsmBuilder::retention`](crate::KsmBuilder::retention)).
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// What becomes of the series while their source fails, instead of what holds for all resources
    /// ([`KsmBuilder::freshness`](crate::KsmBuilder::freshness)). Not for a [store](Self::store) of the host's.
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = Some(freshness);
        self
    }

    /// Keeps samples in a store of the host's, instead of in a [`MemoryStore`](crate::MemoryStore). The factory is
    /// called with each namespace that is watched on its own, or with `None`.
    pub fn store(mut self, factory: impl Fn(Option<&str>) -> Arc<dyn Store> + Send + Sync + 'static) -> Self {
        self.store = Some(Arc::new(factory));
        self
    }
}

/// A [`ResourceBuilder`] of any kind.
pub(super) trait Startable: Send {
    fn name(&self) -> &str;
    fn start(self: Box<Self>, context: &Context, settings: &Settings) -> Result<Box<dyn Running>, BuildError>;
}

impl<K> Startable for ResourceBuilder<K>
where
    K: kube::Resource + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Send + Sync + Clone,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn start(self: Box<Self>, context: &Context, settings: &Settings) -> Result<Box<dyn Running>, BuildError> {
        if context.client.is_none() && matches!(self.source, Source::Api { .. }) {
            return Err(BuildError::NoClient { resource: self.name });
        }
        let has_host_code = self.tables.len() > 1
            || !self.enrich.is_empty()
            || !self.transform.is_empty()
            || !self.on_change.is_empty();
        let mut options = self.watch.unwrap_or_else(|| context.watch.clone());
        options.label_selector = self.label_selector.or(options.label_selector);
        options.field_selector = self.field_selector.or(options.field_selector);
        let plan = Plan::new(&self.name, self.tables, &self.without, self.enrich, self.transform, self.on_change)?;
        let definition = Definition {
            plan: Arc::new(plan),
            dynamic_type: self.dynamic_type,
            cluster_scoped: self.cluster_scoped,
            source: self.source,
            client: context.client.clone(),
            options,
            unread: if self.full_objects { Vec::new() } else { self.unread },
            needs_annotations: has_host_code || self.reads.annotations,
            metadata_only: self.reads.metadata_only && !has_host_code && !self.full_objects,
            keeping: Keeping {
                freshness: self.freshness.unwrap_or(context.keeping.freshness),
                retention: self.retention.unwrap_or(context.keeping.retention),
                ..context.keeping
            },
            store: self.store,
        };
        Ok(Box::new(RunningResource::start(definition, settings, context)))
    }
}
