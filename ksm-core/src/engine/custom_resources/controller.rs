//! Keeps the resources as configuration and definitions want them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backon::BackoffBuilder;
use kube::Client;
use kube::core::GroupVersionKind;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::definitions::{Kind, Kinds};
use super::wanted::{Exact, Wanted, undefined, wanted};
use crate::custom_resource::CustomResourceConfig;
use crate::engine::resource::Startable;
use crate::engine::resources::Resources;
use crate::watch::{WatchOptions, discovery, pauses};

pub(super) struct Controller {
    resources: Arc<Resources>,
    client: Client,
    watch: WatchOptions,
    cancel: CancellationToken,
    complete: Arc<watch::Sender<bool>>,
    running: BTreeMap<String, Wanted>,
    /// Kinds that are named in full, and that discovery found.
    found: BTreeMap<Exact, Kind>,
}

impl Controller {
    pub(super) fn new(
        resources: &Arc<Resources>,
        client: Client,
        cancel: CancellationToken,
        complete: Arc<watch::Sender<bool>>,
    ) -> Self {
        let watch = resources.context().watch.clone();
        let (running, found) = (BTreeMap::new(), BTreeMap::new());
        Self { resources: resources.clone(), client, watch, cancel, complete, running, found }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(
        mut self,
        mut configs: watch::Receiver<Arc<CustomResourceConfig>>,
        mut kinds: watch::Receiver<Kinds>,
    ) {
        let mut delays = pauses(&self.watch).build();
        loop {
            let config = configs.borrow_and_update().clone();
            let known = kinds.borrow_and_update().clone();
            let defined: &[Kind] = match &known {
                Kinds::Defined(kinds) => kinds,
                Kinds::Unknown | Kinds::Unreadable => &[],
            };
            let undefined = undefined(&config, defined);
            self.found.retain(|exact, _| undefined.contains(exact));
            if known != Kinds::Unknown {
                self.apply(&config, defined);
            }
            let looking = async {
                if known == Kinds::Unknown {
                    return std::future::pending().await;
                }
                let missing = undefined.iter().filter(|exact| !self.found.contains_key(exact)).cloned().collect();
                look_up(&self.client, &self.watch, missing).await
            };
            let looked_up = tokio::select! {
                looked_up = looking => looked_up,
                changed = configs.changed() => match changed { Ok(()) => continue, Err(_) => return },
                changed = kinds.changed() => match changed { Ok(()) => continue, Err(_) => return },
            };
            if !looked_up.found.is_empty() {
                self.found.extend(looked_up.found);
                self.apply(&config, defined);
            }
            // Without the definitions, what wildcards stand for is unknown.
            let only_full_names = || config.resources().iter().all(|resource| resource.pattern().exact().is_some());
            if looked_up.answered && (known != Kinds::Unreadable || only_full_names()) {
                self.completed(&config, &configs);
            }
            let pause = delays.next().unwrap_or(self.watch.max_backoff);
            let missing = undefined.iter().any(|exact| !self.found.contains_key(exact));
            let changed = tokio::select! {
                () = sleep(pause), if missing => continue,
                changed = configs.changed() => changed,
                changed = kinds.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            delays = pauses(&self.watch).build();
        }
    }

    /// Everything is there that `config` speaks of; if that is the newest one.
    fn completed(&self, config: &Arc<CustomResourceConfig>, configs: &watch::Receiver<Arc<CustomResourceConfig>>) {
        // Whoever sets another one waits for the end of this borrow.
        let newest = configs.borrow();
        if Arc::ptr_eq(&newest, config) {
            self.complete.send_if_modified(|complete| !std::mem::replace(complete, true));
        }
    }

    /// Ends what is not wanted (any more, or as it is), and starts what is missing.
    fn apply(&mut self, config: &CustomResourceConfig, defined: &[Kind]) {
        let wanted = wanted(config, defined.iter().chain(self.found.values()));
        let stays = |name: &String, running: &Wanted| wanted.get(name).is_some_and(|wanted| wanted.is(running));
        let ended: BTreeSet<String> =
            self.running.iter().filter(|(name, running)| !stays(name, running)).map(|(name, _)| name.clone()).collect();
        let missing = wanted.iter().filter(|(name, _)| ended.contains(*name) || !self.running.contains_key(*name));
        let missing: Vec<(String, Box<dyn Startable>)> =
            missing.map(|(name, wanted)| (name.clone(), Box::new(wanted.resource()) as Box<dyn Startable>)).collect();
        if ended.is_empty() && missing.is_empty() {
            return;
        }
        let refused = self.resources.replace_custom(&self.cancel, &ended, missing);
        for (name, error) in &refused {
            tracing::warn!(resource = name, %error, "a custom resource is not watched");
        }
        // What was refused is tried again with the next change.
        self.running = wanted.into_iter().filter(|(name, _)| !refused.contains_key(name)).collect();
    }
}

/// What discovery said of the kinds that were asked for.
struct LookedUp {
    found: BTreeMap<Exact, Kind>,
    /// Whether there was an answer for each: then those that were not found are not served.
    answered: bool,
}

/// Asks the server for kinds, group and version by group and version.
async fn look_up(client: &Client, watch: &WatchOptions, missing: BTreeSet<Exact>) -> LookedUp {
    let (mut found, mut answered) = (BTreeMap::new(), true);
    let places: BTreeSet<(&String, &String)> = missing.iter().map(|exact| (&exact.group, &exact.version)).collect();
    for (group, version) in places {
        let served = match timeout(watch.list_timeout, discovery::kinds(client, group, version)).await {
            Ok(Ok(served)) => served,
            Ok(Err(error)) => {
                tracing::warn!(group, version, %error, "discovery failed, and will be tried again");
                answered = false;
                continue;
            }
            Err(_) => {
                tracing::warn!(group, version, "discovery was not answered in time, and will be tried again");
                answered = false;
                continue;
            }
        };
        for exact in missing.iter().filter(|exact| (&exact.group, &exact.version) == (group, version)) {
            if let Some(served) = served.iter().find(|served| served.kind == exact.kind) {
                let gvk = GroupVersionKind::gvk(group, version, &exact.kind);
                let (plural, namespaced) = (served.plural.clone(), served.namespaced);
                found.insert(exact.clone(), Kind { gvk, plural, namespaced, definition: None });
            }
        }
    }
    LookedUp { found, answered }
}
