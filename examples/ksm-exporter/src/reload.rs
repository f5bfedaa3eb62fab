//! What happens when a configuration file changes: only what differs is changed, and what is broken changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use example_host::cluster::Cluster;
use example_host::files::FileWatch;
use example_host::tls::Web;
use ksm_core::Ksm;
use ksm_core::engine::default_names;
use ksm_core::options::{OptionsFile, ShardChoice};

use crate::aliases;
use crate::flags::Flags;
use crate::options::{Custom, Options};
use crate::sources::{self, Kind, OptionsProblem};

/// What runs, and by which options.
pub(crate) struct Running {
    pub(crate) flags: Flags,
    /// The flags that were given on the command line.
    pub(crate) given: Vec<String>,
    pub(crate) options: Options,
    pub(crate) ksm: Arc<Ksm>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) web: Option<Arc<Web>>,
}

impl Running {
    /// Follows all files that options name, for ever.
    pub(crate) async fn follow(mut self) {
        let mut watch = FileWatch::new(self.files());
        loop {
            for file in watch.changed().await {
                self.take_up(&file).await;
            }
            // A web configuration may name other certificates by now.
            watch.set_files(self.files());
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let own =
            [self.flags.config.config.clone(), self.options.custom.file.clone(), self.options.fixed.kubeconfig.clone()];
        let web = self.web.as_ref().map(|web| web.files()).unwrap_or_default();
        own.into_iter().flatten().chain(web).collect()
    }

    async fn take_up(&mut self, file: &Path) {
        if self.flags.config.config.as_deref() == Some(file) {
            self.reload_options(file);
        }
        if self.options.custom.file.as_deref() == Some(file) {
            let read = sources::custom_resources(&Custom { may_be_missing: false, ..self.options.custom.clone() });
            let outcome = read
                .and_then(|(config, _)| self.ksm.set_custom_resources(config).map_err(|error| vec![error.to_string()]));
            told(Kind::CustomResources, file, outcome);
        }
        if self.options.fixed.kubeconfig.as_deref() == Some(file) {
            let outcome = self.cluster.reload(&self.options.cluster).await;
            told(Kind::Kubeconfig, file, outcome.map_err(|error| vec![format!("{error:#}")]));
        }
        let web = self.web.clone().filter(|web| web.files().iter().any(|named| named == file));
        if let (Some(web), Some(config)) = (web, &self.options.fixed.tls_config) {
            told(Kind::Web, config, web.reload().map_err(|error| vec![error.to_string()]));
        }
    }

    fn reload_options(&mut self, path: &Path) {
        let file = sources::options_file(path).map_err(|problem| match problem {
            OptionsProblem::Missing(problem) => vec![problem],
            OptionsProblem::Wrong(problems) => problems,
        });
        let options = file.and_then(|file| {
            let options = Options::resolve(&self.flags, &file).map_err(|errors| sources::lines(&errors))?;
            Ok((file, options))
        });
        told(Kind::Options, path, options.and_then(|(file, options)| self.apply(&file, options)));
    }

    fn reshard(&mut self, file: &OptionsFile, shard: &ShardChoice) {
        match (&self.options.shard, shard) {
            (old, new) if old == new => {}
            (ShardChoice::Fixed(_), ShardChoice::Fixed(new)) => {
                // It is sharded from the start, if only as one shard of one.
                if self.ksm.reshard(*new).is_ok() {
                    self.options.shard = shard.clone();
                }
            }
            _ => {
                let given = file.given("pod");
                tracing::warn!("{given} has changed, which takes a restart: it stays as it was");
            }
        }
    }

    fn apply(&mut self, file: &OptionsFile, options: Options) -> Result<(), Vec<String>> {
        let (custom, missing) = sources::custom_resources(&options.custom)?;
        warn_of_overridden(file, &self.given);
        if let Some(missing) = missing {
            tracing::warn!("{missing}: going on without it until it is there");
        }
        for flag in self.options.fixed.differing(&options.fixed) {
            let given = file.given(flag);
            tracing::warn!("{given} has changed, which takes a restart: it stays as it was");
        }
        self.reshard(file, &options.shard);
        let selection = options.selection;
        // Settings first: what is added starts with them, and is listed once.
        let reconfigured = self.ksm.reconfigure(&selection.settings);
        let names = selection.resources.clone().unwrap_or_else(default_resources);
        aliases::state_limit(self.options.fixed.object_limit, &names);
        let changed = self.ksm.set_resources(names).map_err(|error| vec![error.to_string()])?;
        if options.custom != self.options.custom {
            self.ksm.set_custom_resources(custom).map_err(|error| vec![error.to_string()])?;
            self.options.custom = options.custom;
            if let Some(file) = self.options.custom.file.as_deref().filter(|file| file.exists()) {
                sources::loaded(Kind::CustomResources, file);
            }
        }
        tracing::info!(?changed, relisted = ?reconfigured.relisted, "options are taken up");
        self.options.selection = selection;
        Ok(())
    }
}

/// The resources that are watched where none are named.
pub(crate) fn default_resources() -> Vec<String> {
    default_names().into_iter().map(str::to_owned).collect()
}

/// A flag that the file makes void is likely a mistake.
pub(crate) fn warn_of_overridden(file: &OptionsFile, given: &[String]) {
    for flag in file.flags().filter(|flag| given.iter().any(|given| given == flag)) {
        let key = file.given(flag);
        tracing::warn!("{key} wins over --{flag}, as in kube-state-metrics: give one of them");
    }
}

/// Says in metrics and log how it went.
fn told(kind: Kind, file: &Path, outcome: Result<(), Vec<String>>) {
    match outcome {
        Ok(()) => {
            sources::loaded(kind, file);
            tracing::info!(file = %file.display(), "the {kind} was read anew");
        }
        Err(problems) => {
            sources::failed(kind, file);
            for problem in problems {
                tracing::error!("{problem}: what was in use stays");
            }
        }
    }
}
