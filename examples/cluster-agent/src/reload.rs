//! What happens when the configuration file changes: only what differs is changed, and what is broken changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use example_host::files::FileWatch;
use example_host::page::{Health, Part};
use ksm_core::Ksm;
use parking_lot::Mutex;
use serde::Serialize;

use crate::events::Events;
use crate::file::{File, Takes};
use crate::flags::Given;
use crate::options::Options;
use crate::scope::Namespaces;

/// Resources that have hooks, and come and go with a restart alone.
const HOOKED: [&str; 2] = ["pods", "nodes"];

/// How the file is.
#[derive(Debug, Clone)]
pub(crate) struct Configuration(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    file: Option<PathBuf>,
    loaded: Instant,
    reloads: u64,
    problems: Vec<String>,
    pending: Vec<String>,
}

/// The same as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ConfigurationStatus {
    pub(crate) file: Option<String>,
    /// Seconds since it was taken up.
    pub(crate) loaded_seconds: u64,
    /// How often it was taken up while the agent ran.
    pub(crate) reloads: u64,
    /// What is wrong with it as it is now: what was in use stays.
    pub(crate) problems: Vec<String>,
    /// Keys that have changed, and take a restart.
    pub(crate) pending: Vec<String>,
}

impl Configuration {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        let (problems, pending) = (Vec::new(), Vec::new());
        Self(Arc::new(Mutex::new(State { file, loaded: Instant::now(), reloads: 0, problems, pending })))
    }

    pub(crate) fn status(&self) -> ConfigurationStatus {
        let state = self.0.lock();
        ConfigurationStatus {
            file: state.file.as_ref().map(|file| file.display().to_string()),
            loaded_seconds: state.loaded.elapsed().as_secs(),
            reloads: state.reloads,
            problems: state.problems.clone(),
            pending: state.pending.clone(),
        }
    }
}

impl ConfigurationStatus {
    pub(crate) fn part(&self) -> Part {
        let part = |health| Part::new("Configuration", health);
        let Some(file) = &self.file else {
            return part(Health::Absent).reason("flags and environment alone: no file is named by --config");
        };
        let part = |health| part(health).detail(file).fresh(Some(self.loaded_seconds));
        if !self.problems.is_empty() {
            return part(Health::Degraded).reason(format!("what was in use stays: {}", self.problems.join("; ")));
        }
        if !self.pending.is_empty() {
            return part(Health::Degraded).reason(format!("a restart takes up {}", self.pending.join(", ")));
        }
        part(Health::Ok)
    }
}

/// What can be changed while it runs.
pub(crate) struct Running {
    pub(crate) given: Given,
    /// The file at the start, and what holds by now.
    pub(crate) started: File,
    pub(crate) options: Options,
    pub(crate) ksm: Arc<Ksm>,
    pub(crate) events: Option<Arc<Events>>,
    pub(crate) namespaces: Namespaces,
    pub(crate) ordinal: u32,
    pub(crate) configuration: Configuration,
}

impl Running {
    /// Follows the file, for ever.
    pub(crate) async fn follow(mut self) {
        let Some(file) = self.given.config.clone() else { return std::future::pending().await };
        let mut watch = FileWatch::new(vec![file]);
        loop {
            if watch.changed().await.is_empty() {
                continue;
            }
            match self.take_up().await {
                Ok(pending) => {
                    tracing::info!(?pending, "the configuration was read anew");
                    for key in &pending {
                        tracing::warn!("{key} has changed, which takes a restart: it stays as it was");
                    }
                    let mut state = self.configuration.0.lock();
                    (state.loaded, state.problems, state.pending) = (Instant::now(), Vec::new(), pending);
                    state.reloads += 1;
                }
                Err(problems) => {
                    for problem in &problems {
                        tracing::error!("{problem}: what was in use stays");
                    }
                    self.configuration.0.lock().problems = problems;
                }
            }
        }
    }

    /// What takes a restart.
    async fn take_up(&mut self) -> Result<Vec<String>, Vec<String>> {
        let (mut options, file) = Options::read(&self.given)?;
        let mut pending = restarting(&self.given, &self.started, &file);
        for name in HOOKED {
            let (was, is) = (self.options.watches(name), options.watches(name));
            if was != is {
                pending.push(format!("{name} among metrics.resources"));
                options.resources.retain(|resource| resource != name);
                options.resources.extend(was.then(|| name.to_owned()));
            }
        }
        // Settings first: what is added starts with them, and is listed once.
        self.ksm.reconfigure(&options.settings);
        self.ksm.set_resources(&options.resources).map_err(|error| vec![error.to_string()])?;
        self.namespaces.set(&options.settings);
        let (before, wanted) = (self.options.events(self.ordinal), options.events(self.ordinal));
        if let Some(events) = self.events.as_ref().filter(|_| before != wanted) {
            events.run(&wanted).await;
        }
        self.options = options;
        Ok(pending)
    }
}

/// The keys that differ, and hold from the start alone.
fn restarting(given: &Given, before: &File, after: &File) -> Vec<String> {
    let fixed = |file: &File| {
        let entries = file.flags.iter().filter(|entry| entry.takes == Takes::Restart && !given.has(entry.flag));
        entries.map(|entry| (entry.key, entry.value.clone())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (old, new) = (fixed(before), fixed(after));
    let keys: std::collections::BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let differing = keys.into_iter().filter(|key| old.get(key) != new.get(key)).map(str::to_owned);
    differing.chain((before.joins != after.joins).then(|| "joins".to_owned())).collect()
}
