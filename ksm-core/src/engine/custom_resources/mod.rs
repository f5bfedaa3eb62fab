//! Custom resources by configuration: which kinds there are, and a watch for each that the configuration speaks of
//! (feature `custom-resource-state`).
//!
//! One watch on CustomResourceDefinitions tells which kinds and versions the cluster serves. Each that an entry of the
//! configuration is for becomes a resource of its own, called `foos.v1.example.com` (plural, version, group), so that
//! two definitions with one plural don't meet; `?resources=foos` names all of that plural. A kind that an entry names
//! in full, and that no definition defines (`apps/v1` `Deployment`, kinds of aggregated APIs), is looked up by
//! discovery, again and again until it is there; wildcards are for definitions alone, as in kube-state-metrics.
//!
//! A definition that comes, goes, is made anew, or serves other versions under other names starts and ends its own
//! watches; a new schema, label or status touches nothing. A new configuration restarts the kinds for which it says
//! something else.
//!
//! ```no_run
//! use ksm_core::Ksm;
//! use ksm_core::custom_resource::CustomResourceConfig;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = CustomResourceConfig::from_yaml(&std::fs::read_to_string("crs.yaml")?, "crs.yaml")?;
//! let ksm = Ksm::builder().client(kube::Client::try_default().await?).custom_resources(config).spawn()?;
//! ksm.synced().await;
//! // The file has changed:
//! let config = CustomResourceConfig::from_yaml(&std::fs::read_to_string("crs.yaml")?, "crs.yaml")?;
//! ksm.set_custom_resources(config)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Rights
//!
//! `list` and `watch` on `customresourcedefinitions` in `apiextensions.k8s.io`, and on each resource that the
//! configuration speaks of. Without the right to the former, kinds that are named in full are watched still.
//!
//! # Metrics
//!
//! Of this crate's own (see [`telemetry`](crate::telemetry)):
//!
//! | name | type | says |
//! |---|---|---|
//! | `ksm_core_custom_resource_add_events_total`, `…_update_events_total`, `…_delete_events_total` | counter | definitions that came, changed and went |
//! | `ksm_core_custom_resource_kinds` | gauge | kinds that definitions define, an entry per served version |
//!
//! The watch on definitions has its own entry `customresourcedefinitions` in [`Ksm::status`](crate::Ksm::status).

mod controller;
mod definitions;
mod wanted;

use std::sync::Arc;

use futures::FutureExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::GroupVersionKind;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::controller::Controller;
use self::definitions::{Definitions, Kinds};
use super::error::BuildError;
use super::resources::Resources;
use super::state::{ResourceStatus, State};
use crate::custom_resource::CustomResourceConfig;
use crate::decode::PathTree;
use crate::watch::{Collection, Reflector, WatchOptions};

/// What the watch on definitions is called in status and metrics.
const DEFINITIONS: &str = "customresourcedefinitions";

/// Definitions are long (their schemas are passed by, but sent): few in a page keep pages short.
const PAGE_SIZE: u32 = 20;

/// The running discovery; it ends when it is dropped.
pub(super) struct CustomResources {
    config: watch::Sender<Arc<CustomResourceConfig>>,
    /// Whether everything that the configuration speaks of, and that there is, has become a resource.
    complete: Arc<watch::Sender<bool>>,
    state: Arc<State>,
    cancel: CancellationToken,
}

impl Drop for CustomResources {
    fn drop(&mut self) {
        self.cancel.cancel();
        metrics::gauge!("ksm_core_custom_resource_kinds").set(0.0);
    }
}

impl CustomResources {
    pub(super) fn start(resources: &Arc<Resources>, config: CustomResourceConfig) -> Result<Self, BuildError> {
        let context = resources.context();
        let client = context.client.clone().ok_or_else(|| BuildError::NoClient { resource: DEFINITIONS.to_owned() })?;
        let cancel = context.cancel.child_token();
        let complete = Arc::new(watch::Sender::new(false));
        let state = Arc::new(State::new());
        let (config, configs) = watch::channel(Arc::new(config));
        let (defined, kinds) = watch::channel(Kinds::default());

        let options = WatchOptions {
            label_selector: None,
            field_selector: None,
            page_size: context.watch.page_size.min(PAGE_SIZE),
            // A limit is about what is shown, and these are not.
            object_limit: None,
            ..context.watch.clone()
        };
        let unread = PathTree::new(definitions::UNREAD);
        let collection = Collection::exactly::<CustomResourceDefinition>(&(), None);
        let reflector = Reflector::of(collection, options, unread);
        let mut sink = Definitions::new(defined, state.clone());
        let watching = {
            let (client, cancel) = (client.clone(), cancel.clone());
            async move {
                cancel.run_until_cancelled(reflector.run::<CustomResourceDefinition>(client, &mut sink)).await;
            }
        };
        let controller = Controller::new(resources, client, cancel.clone(), complete.clone());
        context.tasks.spawn(watching);
        context.tasks.spawn({
            let cancel = cancel.clone();
            async move { cancel.run_until_cancelled(controller.run(configs, kinds)).map(drop).await }
        });
        Ok(Self { config, complete, state, cancel })
    }

    /// Goes on with another configuration.
    pub(super) fn set(&self, config: CustomResourceConfig) {
        self.config.send_modify(|current| {
            *current = Arc::new(config);
            self.complete.send_replace(false);
        });
    }

    /// Whether the configuration has a family of that name, for whatever kind.
    pub(super) fn has_family(&self, name: &str) -> bool {
        let any = GroupVersionKind::gvk("", "", "");
        let config = self.config.borrow();
        config.resources().iter().any(|entry| entry.for_kind(&any).families().iter().any(|family| family.name == name))
    }

    pub(super) fn is_complete(&self) -> bool {
        *self.complete.borrow()
    }

    pub(super) fn completion(&self) -> watch::Receiver<bool> {
        self.complete.subscribe()
    }

    pub(super) fn status(&self) -> ResourceStatus {
        self.state.status(DEFINITIONS, None, None)
    }
}
