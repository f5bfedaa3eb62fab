//! What is watched, and how it starts.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::Client;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::BuildError;
use super::freshness::Freshness;
use super::handle::Ksm;
use super::joining::Joins;
use super::resource::{ResourceBuilder, Startable};
use super::resources::{Context, Keeping, Origin, Resources};
use super::settings::Settings;
use super::shards::Shards;
use crate::families::{Builtin, BuiltinVisitor, for_each_builtin};
use crate::joins::LabelJoins;
use crate::shard::{Shard, Sharding};
use crate::store::Retention;
use crate::watch::WatchOptions;

/// Collects what is to be watched, and starts it.
///
/// ```no_run
/// use k8s_openapi::api::core::v1::Pod;
/// use ksm_core::{Format, Ksm, Query, ResourceBuilder};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = kube::Client::try_default().await?;
/// let ksm = Ksm::builder()
///     .client(client)
///     .resource(ResourceBuilder::<Pod>::builtin().label_selector("app=web"))
///     .resources(["nodes", "deployments"])?
///     .spawn()?;
/// ksm.synced().await;
/// print!("{}", ksm.exposition(&Query::default(), Format::Text).to_text());
/// ksm.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct KsmBuilder {
    client: Option<Client>,
    resources: Vec<(Box<dyn Startable>, Origin)>,
    settings: Settings,
    watch: WatchOptions,
    joins: LabelJoins,
    keeping: Keeping,
    cancel: Option<CancellationToken>,
    #[cfg(feature = "custom-resource-state")]
    custom: crate::custom_resource::CustomResourceConfig,
    sharding: Option<Sharding>,
    follow: Option<BoxStream<'static, Shard>>,
}

impl std::fmt::Debug for KsmBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.resources.iter().map(|(resource, _)| resource.name()).collect();
        f.debug_struct("KsmBuilder")
            .field("resources", &names)
            .field("settings", &self.settings)
            .field("sharding", &self.sharding)
            .finish_non_exhaustive()
    }
}

impl KsmBuilder {
    /// The API client to watch with. The client's own retries hide errors from [`Ksm::status`]: switch them off
    /// (`kube::Config::default_retry`), this crate retries by itself.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Adds a resource.
    pub fn resource<K>(mut self, resource: ResourceBuilder<K>) -> Self
    where
        K: kube::Resource + serde::de::DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Send + Sync + Clone,
    {
        self.resources.push((Box::new(resource), Origin::Host));
        self
    }

    /// Adds built-in resources by name, but for those that were added already.
    pub fn resources<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self, BuildError> {
        for name in names {
            let name = name.as_ref();
            if !self.resources.iter().any(|(resource, _)| resource.name() == name) {
                self.resources.push((builtin_by_name(name)?, Origin::Name));
            }
        }
        Ok(self)
    }

    /// Adds all built-in resources that are on by default.
    pub fn default_resources(self) -> Result<Self, BuildError> {
        self.resources(default_names())
    }

    /// Watches the custom resources of a configuration; see
    /// [`engine::custom_resources`](crate::engine::custom_resources). It can be changed later by
    /// [`Ksm::set_custom_resources`].
    #[cfg(feature = "custom-resource-state")]
    pub fn custom_resources(mut self, config: crate::custom_resource::CustomResourceConfig) -> Self {
        self.custom = config;
        self
    }

    /// Filters and scopes; they can be changed later by [`Ksm::reconfigure`].
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// How all resources are listed and watched.
    pub fn watch_options(mut self, options: WatchOptions) -> Self {
        self.watch = options;
        self
    }

    /// What becomes of the series of all resources while their sources fail; see [`ResourceBuilder::freshness`].
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.keeping.freshness = freshness;
        self
    }

    /// Keeps deleted objects of all resources, for instance until they have been read once; see
    /// [`ResourceBuilder::retention`].
    pub fn retention(mut self, retention: Retention) -> Self {
        self.keeping.retention = retention;
        self
    }

    /// How many removed objects each store remembers for [`Ksm::changes_since`]; see
    /// [`MemoryStore::remember_removals`](crate::MemoryStore::remember_removals).
    pub fn remember_removals(mut self, limit: usize) -> Self {
        self.keeping.removals = Some(limit);
        self
    }

    /// Gives series labels of other objects; see [`crate::joins`].
    pub fn label_joins(mut self, joins: LabelJoins) -> Self {
        self.joins = joins;
        self
    }

    /// Stops everything when the host's token is cancelled, too.
    pub fn cancel_with(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Shows one shard's part of the objects; see [`crate::shard`]. [`Ksm::reshard`] changes it later.
    pub fn sharding(mut self, sharding: Sharding) -> Self {
        self.sharding = Some(sharding);
        self
    }

    /// Becomes each shard of a stream in turn, for instance of [`AutoShard`](crate::shard::auto::AutoShard). With its
    /// end, the last one stays.
    pub fn follow_shards(mut self, shards: impl Stream<Item = Shard> + Send + 'static) -> Self {
        self.follow = Some(shards.boxed());
        self
    }

    /// Starts a task per resource and namespace on the current tokio runtime.
    pub fn spawn(self) -> Result<Ksm, BuildError> {
        let cancel = self.cancel.map_or_else(CancellationToken::new, |token| token.child_token());
        let joins = if self.joins.is_empty() { None } else { Some(Arc::new(Joins::new(&self.joins)?)) };
        let tasks = TaskTracker::new();
        let shards = match self.sharding {
            Some(sharding) => {
                let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
                Some(Arc::new(Shards::new(sharding, cancel.clone(), tasks.clone(), runtime)))
            }
            None if self.follow.is_some() => return Err(BuildError::NotSharded),
            None => None,
        };
        let context =
            Context { client: self.client, watch: self.watch, keeping: self.keeping, joins, cancel, tasks, shards };
        // A handle from the start: should a resource be refused, dropping it ends those before.
        let resources = Resources::new(context, self.settings);
        let ksm = Ksm::new(resources);
        for (resource, origin) in self.resources {
            ksm.start(resource, origin)?;
        }
        #[cfg(feature = "custom-resource-state")]
        ksm.set_custom_resources(self.custom)?;
        ksm.check_joins()?;
        if let Some(shards) = self.follow {
            ksm.follow(shards);
        }
        Ok(ksm)
    }
}

/// A built-in resource, as it is without a host's additions.
pub(super) fn builtin_by_name(name: &str) -> Result<Box<dyn Startable>, BuildError> {
    let mut pick = Pick { name, found: None };
    for_each_builtin(&mut pick);
    pick.found.ok_or_else(|| BuildError::UnknownResource { name: name.to_owned(), known: builtin_names().join(", ") })
}

struct Pick<'a> {
    name: &'a str,
    found: Option<Box<dyn Startable>>,
}

impl BuiltinVisitor for Pick<'_> {
    fn visit<K: Builtin>(&mut self) {
        if K::RESOURCE.name == self.name {
            self.found = Some(Box::new(ResourceBuilder::<K>::builtin()));
        }
    }
}

struct Names {
    only_default: bool,
    names: Vec<&'static str>,
}

impl BuiltinVisitor for Names {
    fn visit<K: Builtin>(&mut self) {
        if K::DEFAULT || !self.only_default {
            self.names.push(K::RESOURCE.name);
        }
    }
}

/// The names of all built-in resources.
pub fn builtin_names() -> Vec<&'static str> {
    let mut visitor = Names { only_default: false, names: Vec::new() };
    for_each_builtin(&mut visitor);
    visitor.names
}

/// The names of the built-in resources that are on by default.
pub fn default_names() -> Vec<&'static str> {
    let mut visitor = Names { only_default: true, names: Vec::new() };
    for_each_builtin(&mut visitor);
    visitor.names
}
