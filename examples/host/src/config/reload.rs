//! How a configuration file is that is read anew while the program runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde::Serialize;

use super::{Entry, Given, Takes};
use crate::page::{Health, Part};
use crate::units::ago;

/// How the file is.
#[derive(Debug, Clone)]
pub struct Configuration(Arc<Mutex<State>>);

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
pub struct ConfigurationStatus {
    /// The file, if one was named.
    pub file: Option<String>,
    /// Seconds since it was taken up.
    pub loaded_seconds: u64,
    /// How often it was taken up while the program ran.
    pub reloads: u64,
    /// What is wrong with it as it is now: what was in use stays.
    pub problems: Vec<String>,
    /// Keys that have changed, and take a restart.
    pub pending: Vec<String>,
}

impl Configuration {
    /// Of a file that was just taken up; none where none was named.
    pub fn new(file: Option<PathBuf>) -> Self {
        let (problems, pending) = (Vec::new(), Vec::new());
        Self(Arc::new(Mutex::new(State { file, loaded: Instant::now(), reloads: 0, problems, pending })))
    }

    /// It was read anew: either the keys that take a restart, or what is wrong with it. Logs both.
    pub fn read_anew(&self, outcome: Result<Vec<String>, Vec<String>>) {
        let mut state = self.0.lock();
        match outcome {
            Ok(pending) => {
                tracing::info!(?pending, "the configuration was read anew");
                for key in &pending {
                    tracing::warn!("{key} has changed, which takes a restart: it stays as it was");
                }
                (state.loaded, state.problems, state.pending) = (Instant::now(), Vec::new(), pending);
                state.reloads += 1;
            }
            Err(problems) => {
                for problem in &problems {
                    tracing::error!("{problem}: what was in use stays");
                }
                state.problems = problems;
            }
        }
    }

    /// How it is now.
    pub fn status(&self) -> ConfigurationStatus {
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
    /// It as a part of the page.
    pub fn part(&self, name: &str) -> Part {
        let part = |health| Part::new(name, health);
        let Some(file) = &self.file else {
            return part(Health::Absent).reason("flags and environment alone: no file is named by --config");
        };
        let part = |health| part(health).detail(format!("{file}, taken up {}", ago(self.loaded_seconds)));
        if !self.problems.is_empty() {
            return part(Health::Degraded).reason(format!("what was in use stays: {}", self.problems.join("; ")));
        }
        if !self.pending.is_empty() {
            return part(Health::Degraded).reason(format!("a restart takes up {}", self.pending.join(", ")));
        }
        part(Health::Ok)
    }
}

/// The keys that differ between two states of a file, and hold from the start alone; not those that command line or
/// environment decide.
pub fn restarting(given: &Given, before: &[Entry], after: &[Entry]) -> Vec<String> {
    let fixed = |file: &[Entry]| {
        let entries = file.iter().filter(|entry| entry.takes == Takes::Restart && !given.has(entry.flag));
        entries.map(|entry| (entry.key, entry.value.clone())).collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (fixed(before), fixed(after));
    let keys: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    keys.into_iter().filter(|key| old.get(key) != new.get(key)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_or_waits_is_told_until_the_file_is_right() {
        let configuration = Configuration::new(Some("a.yaml".into()));
        let part = || configuration.status().part("configuration");
        assert_eq!(part().health, Health::Ok);
        configuration.read_anew(Err(vec!["a.yaml:1:1: x: no".to_owned()]));
        assert_eq!(part().reason.as_deref(), Some("what was in use stays: a.yaml:1:1: x: no"));
        configuration.read_anew(Ok(vec!["serve.port".to_owned()]));
        assert_eq!(part().reason.as_deref(), Some("a restart takes up serve.port"));
        configuration.read_anew(Ok(Vec::new()));
        assert_eq!((part().health, configuration.status().reloads), (Health::Ok, 2));
        assert_eq!(Configuration::new(None).status().part("configuration").health, Health::Absent);
    }
}
