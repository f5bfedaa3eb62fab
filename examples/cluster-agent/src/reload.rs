//! What happens when the configuration file changes: only what differs is changed, and what is broken changes nothing.

use std::sync::Arc;

use example_host::config::{Configuration, restarting};
use example_host::files::FileWatch;
use ksm_core::Ksm;

use crate::events::Events;
use crate::file::File;
use crate::flags::Given;
use crate::options::Options;
use crate::scope::Namespaces;

/// Resources that have hooks, and come and go with a restart alone.
const HOOKED: [&str; 2] = ["pods", "nodes"];

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
            let outcome = self.take_up().await;
            self.configuration.read_anew(outcome);
        }
    }

    /// What takes a restart.
    async fn take_up(&mut self) -> Result<Vec<String>, Vec<String>> {
        let (mut options, file) = Options::read(&self.given)?;
        let mut pending = restarting(&self.given.flags, &self.started.flags, &file.flags);
        pending.extend((self.started.joins != file.joins).then(|| "joins".to_owned()));
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
