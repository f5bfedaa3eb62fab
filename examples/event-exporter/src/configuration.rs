//! The configuration: found, read, and made into receivers.

use std::path::{Path, PathBuf};

use example_host::files::read_text;
use kube_events::config::{Built, Config, Strictness};
use thiserror::Error;

use crate::flags::Flags;

/// Where kubernetes-event-exporter looks, too.
const USUAL: &str = "config.yaml";
const DEFAULT: &str = include_str!("default.yaml");

/// A command line or a configuration that can't be used: an exit status of its own.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Unusable(pub(crate) String);

/// A configuration, and where it is from.
pub(crate) struct Configuration {
    pub(crate) config: Config,
    /// None where there is none, and all events go to standard output.
    pub(crate) file: Option<PathBuf>,
}

/// A receiver that can send.
pub(crate) struct Receiver {
    pub(crate) name: String,
    pub(crate) built: Built,
}

impl Configuration {
    /// By the flags; where they name none, what is usual, and else what a simulated cluster makes do with.
    pub(crate) fn read(flags: &Flags) -> Result<Self, Unusable> {
        let file = flags.config.clone().or_else(|| Path::new(USUAL).is_file().then(|| USUAL.into()));
        let text = match &file {
            Some(file) => read_text(file).map_err(|error| {
                Unusable(format!(
                    "the configuration {} can't be read: {error}: name another by --config",
                    file.display()
                ))
            })?,
            None if flags.check && !flags.cluster.wants_sim() => return Err(Self::missing()),
            None => DEFAULT.to_owned(),
        };
        let strictness = if flags.lenient { Strictness::AsOrigin } else { Strictness::Strict };
        let variable = |name: &str| std::env::var(name).ok();
        let config = Config::parse(&text, strictness, &variable).map_err(|error| {
            let problems: Vec<String> = error.problems.iter().map(|problem| format!("- {problem}")).collect();
            let place = file.as_deref().map_or_else(|| USUAL.into(), Path::to_string_lossy);
            let told = format!("{place} can't be used:\n{}", problems.join("\n"));
            // Some of them may be among what kubernetes-event-exporter lets pass.
            let passes = !flags.lenient && Config::parse(&text, Strictness::AsOrigin, &variable).is_ok();
            let hint = if passes {
                "\nkubernetes-event-exporter lets this pass: so does --lenient, with warnings"
            } else {
                ""
            };
            Unusable(format!("{told}{hint}"))
        })?;
        Ok(Self { config, file })
    }

    /// What to say where a real cluster is watched, and nobody says where events go.
    pub(crate) fn missing() -> Unusable {
        Unusable(format!("there is no configuration: give --config, or have a {USUAL} here; --sim needs none"))
    }

    /// All receivers, or all that is wrong with them.
    pub(crate) fn receivers(&self) -> Result<Vec<Receiver>, Unusable> {
        let (mut receivers, mut problems) = (Vec::new(), Vec::new());
        for (at, receiver) in self.config.receivers.iter().enumerate() {
            match receiver.build() {
                Ok(built) => receivers.push(Receiver { name: receiver.name.clone(), built }),
                Err(error) => problems.push(format!("- receivers[{at}] ({}): {error}", receiver.name)),
            }
        }
        if problems.is_empty() {
            return Ok(receivers);
        }
        let place = self.file.as_deref().map_or_else(|| USUAL.into(), Path::to_string_lossy);
        Err(Unusable(format!("{place} can't be used:\n{}", problems.join("\n"))))
    }
}
