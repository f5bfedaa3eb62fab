//! How the writer is doing, as data: `/status.json`, and what the page is made from.

use std::time::Duration;

use jiff::Timestamp;
use node_lease::WriterHandle;
use node_lease::writer::{Mode, WriterState};
use serde::Serialize;

/// Everything at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// Whether the cluster is simulated.
    pub(crate) simulated: bool,
    pub(crate) cluster: String,
    pub(crate) node: String,
    pub(crate) namespace: String,
    pub(crate) lease: String,
    pub(crate) holder: String,
    pub(crate) state: State,
    /// Why it is in that state, where it is not as it should be.
    pub(crate) reason: Option<String>,
    /// When the Lease was last written.
    pub(crate) renewed: Option<Timestamp>,
    pub(crate) renewed_seconds: Option<u64>,
    pub(crate) renew_interval_seconds: u64,
    pub(crate) lease_duration_seconds: u64,
    /// By which requests it is written.
    pub(crate) written_by: &'static str,
    /// What is known, by attribute.
    pub(crate) metadata: Vec<Known>,
    /// What could not be found out the last time, and why.
    pub(crate) problems: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Known {
    pub(crate) attribute: &'static str,
    pub(crate) value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It waits for its first turn, or for metadata.
    Starting,
    Held,
    /// Another writer has the Lease.
    Superseded,
    /// The last attempt failed; the next one follows.
    Failing,
    Stopped,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Held => "held",
            Self::Superseded => "superseded",
            Self::Failing => "failing",
            Self::Stopped => "stopped",
        }
    }

    /// The word for its looks.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Starting | Self::Superseded => "busy",
            Self::Held => "good",
            Self::Failing | Self::Stopped => "bad",
        }
    }
}

/// Where statuses come from.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) writer: WriterHandle,
    pub(crate) simulated: bool,
    pub(crate) cluster: String,
    pub(crate) node: String,
    pub(crate) namespace: String,
    pub(crate) lease: String,
    pub(crate) holder: String,
    pub(crate) renew_interval: Duration,
    pub(crate) lease_duration: Duration,
}

impl Watched {
    pub(crate) fn status(&self) -> Status {
        let status = self.writer.status();
        let (state, reason) = match status.state {
            WriterState::Starting => (State::Starting, None),
            WriterState::NoMetadata => (State::Starting, Some("no metadata yet".to_owned())),
            WriterState::Held => (State::Held, None),
            WriterState::Superseded { by } => (State::Superseded, Some(format!("{by} has taken the Lease over"))),
            WriterState::Failing { error } => (State::Failing, Some(error)),
            _ => (State::Stopped, None),
        };
        let age = |at: Timestamp| Timestamp::now().duration_since(at).as_secs();
        let known = status.metadata.iter();
        Status {
            simulated: self.simulated,
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            namespace: self.namespace.clone(),
            lease: self.lease.clone(),
            holder: self.holder.clone(),
            state,
            reason,
            renewed: status.renewed,
            renewed_seconds: status.renewed.map(|at| u64::try_from(age(at)).unwrap_or_default()),
            renew_interval_seconds: self.renew_interval.as_secs(),
            lease_duration_seconds: self.lease_duration.as_secs(),
            written_by: match status.mode {
                Mode::Apply => "server-side apply",
                Mode::Update => "create and update",
            },
            metadata: known.map(|(key, value)| Known { attribute: key.name(), value: value.to_owned() }).collect(),
            problems: status.problems,
        }
    }
}
