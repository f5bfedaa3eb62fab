//! Configuration files: how they are read, and what is told about it under kube-state-metrics' names.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use example_host::files::read_text;
use ksm_core::custom_resource::CustomResourceConfig;
use ksm_core::options::{OptionErrors, OptionsFile};

use crate::options::Custom;

/// The kind of a configuration file, as its metrics call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The options file.
    Options,
    /// CustomResourceStateMetrics.
    CustomResources,
    /// The kubeconfig; ours.
    Kubeconfig,
    /// The web configuration; ours.
    Web,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Options => "config",
            Self::CustomResources => "customresourceconfig",
            Self::Kubeconfig => "kubeconfig",
            Self::Web => "tlsconfig",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Options => "options file",
            Self::CustomResources => "custom resource configuration",
            Self::Kubeconfig => "kubeconfig",
            Self::Web => "web configuration",
        })
    }
}

/// Tells that a file is in use as it is now.
pub(crate) fn loaded(kind: Kind, file: &Path) {
    let labels = labels(kind, file);
    metrics::gauge!("kube_state_metrics_last_config_reload_successful", &labels).set(1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics::gauge!("kube_state_metrics_last_config_reload_success_timestamp_seconds", &labels).set(now.as_secs_f64());
    let content = std::fs::read(file).unwrap_or_default();
    metrics::gauge!("kube_state_metrics_config_hash", &labels).set(f64::from(crc32fast::hash(&content)));
}

/// Tells that a file can't be used as it is now.
pub(crate) fn failed(kind: Kind, file: &Path) {
    metrics::gauge!("kube_state_metrics_last_config_reload_successful", &labels(kind, file)).set(0);
}

/// What the metrics say.
pub(crate) fn describe() {
    metrics::describe_gauge!(
        "kube_state_metrics_last_config_reload_successful",
        "Whether a configuration file could be used when it was last read."
    );
    metrics::describe_gauge!(
        "kube_state_metrics_last_config_reload_success_timestamp_seconds",
        "When a configuration file was last taken up."
    );
    metrics::describe_gauge!(
        "kube_state_metrics_config_hash",
        "Differs where the content of a configuration file in use differs."
    );
}

fn labels(kind: Kind, file: &Path) -> [(&'static str, String); 2] {
    [("type", kind.as_str().to_owned()), ("filename", file.display().to_string())]
}

/// An options file that can't be used.
#[derive(Debug)]
pub(crate) enum OptionsProblem {
    /// It is not there.
    Missing(String),
    /// It can't be read, or is wrong; a line for each fault.
    Wrong(Vec<String>),
}

/// Reads the options file.
pub(crate) fn options_file(file: &Path) -> Result<OptionsFile, OptionsProblem> {
    let text = read_text(file).map_err(|error| {
        let problem = format!("{}: the options file can't be read: {error}", file.display());
        if error.kind() == std::io::ErrorKind::NotFound {
            OptionsProblem::Missing(problem)
        } else {
            OptionsProblem::Wrong(vec![problem])
        }
    })?;
    OptionsFile::from_yaml(&text, &file.display().to_string()).map_err(|errors| OptionsProblem::Wrong(lines(&errors)))
}

/// Reads what describes metrics of custom resources; with a word on a file that may be missing, and is.
pub(crate) fn custom_resources(custom: &Custom) -> Result<(CustomResourceConfig, Option<String>), Vec<String>> {
    let mut missing = None;
    let mut sources: Vec<(String, String)> = custom.inline.iter().cloned().collect();
    if let Some(file) = &custom.file {
        match read_text(file) {
            Ok(text) => sources.push((text, file.display().to_string())),
            Err(error) => {
                let problem = format!("{}: the custom resource configuration can't be read: {error}", file.display());
                if error.kind() != std::io::ErrorKind::NotFound || !custom.may_be_missing {
                    return Err(vec![problem]);
                }
                missing = Some(problem);
            }
        }
    }
    let sources = sources.iter().map(|(text, origin)| (text.as_str(), origin.as_str()));
    let config = CustomResourceConfig::from_sources(sources)
        .map_err(|errors| errors.0.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Ok((config, missing))
}

/// A line for each error.
pub(crate) fn lines(errors: &OptionErrors) -> Vec<String> {
    errors.0.iter().map(ToString::to_string).collect()
}
