//! What the page shows, as data: `/status.json`, and what the page is made from.

use std::sync::Arc;
use std::time::Duration;

use ksm_core::{Ksm, ResourceStatus};
use serde::Serialize;

use crate::nodes::Told;

/// Everything at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// Whether the cluster is simulated.
    pub(crate) simulated: bool,
    /// What the cluster is, for a person.
    pub(crate) cluster: String,
    /// Whether every resource was listed once.
    pub(crate) synced: bool,
    /// Seconds since the agent started.
    pub(crate) uptime_seconds: u64,
    /// Where nodes' metadata come from, if they are put on series.
    pub(crate) node_metadata: Option<NodeMetadata>,
    pub(crate) resources: Vec<Row>,
    pub(crate) totals: Totals,
}

/// One resource, or one namespace of it where namespaces are watched one by one.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) resource: String,
    pub(crate) namespace: Option<String>,
    pub(crate) state: State,
    /// Seconds since the first complete list.
    pub(crate) synced_seconds: Option<u64>,
    pub(crate) objects: usize,
    /// Objects of a list that has not ended yet.
    pub(crate) listing: u64,
    pub(crate) series: u64,
    pub(crate) bytes: usize,
    pub(crate) events: u64,
    pub(crate) last_event_seconds: Option<u64>,
    pub(crate) errors: u64,
    pub(crate) skipped: u64,
    pub(crate) last_error: Option<LastError>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LastError {
    pub(crate) message: String,
    pub(crate) seconds: u64,
}

/// The Leases that tell of nodes' machines.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NodeMetadata {
    pub(crate) namespace: String,
    pub(crate) state: State,
    /// Seconds since it got into that state.
    pub(crate) state_seconds: u64,
    /// Nodes whose metadata are known.
    pub(crate) nodes: u64,
    /// The resources whose series get labels.
    pub(crate) series: Vec<&'static str>,
    pub(crate) labels: Vec<&'static str>,
    /// Why the Leases can't be read.
    pub(crate) error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// The first list has not ended.
    Listing,
    Synced,
    /// The last request failed; what was read before is still shown.
    Failing,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Listing => "listing",
            Self::Synced => "synced",
            Self::Failing => "failing",
        }
    }

    /// The word for its looks.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Listing => "busy",
            Self::Synced => "good",
            Self::Failing => "bad",
        }
    }
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Totals {
    pub(crate) synced: usize,
    pub(crate) failing: usize,
    pub(crate) objects: usize,
    pub(crate) series: u64,
    pub(crate) bytes: usize,
    pub(crate) events: u64,
    pub(crate) errors: u64,
}

/// Where statuses come from.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) ksm: Arc<Ksm>,
    pub(crate) cluster: Arc<str>,
    pub(crate) simulated: bool,
    pub(crate) since: std::time::Instant,
    pub(crate) nodes: Option<Told>,
}

impl Watched {
    pub(crate) fn status(&self) -> Status {
        let resources: Vec<Row> = self.ksm.status().into_iter().map(Row::of).collect();
        Status {
            simulated: self.simulated,
            cluster: self.cluster.to_string(),
            synced: self.ksm.is_synced(),
            uptime_seconds: self.since.elapsed().as_secs(),
            node_metadata: self.nodes.as_ref().map(Told::status),
            totals: Totals::of(&resources),
            resources,
        }
    }
}

impl Row {
    fn of(status: ResourceStatus) -> Self {
        let seconds = |age: Option<Duration>| age.map(|age| age.as_secs());
        let store = status.store.unwrap_or_default();
        let state = match (status.failing, status.synced_for) {
            (true, _) => State::Failing,
            (false, Some(_)) => State::Synced,
            (false, None) => State::Listing,
        };
        Self {
            resource: status.resource,
            namespace: status.namespace,
            state,
            synced_seconds: seconds(status.synced_for),
            objects: store.objects,
            listing: status.listing,
            series: store.samples,
            bytes: store.bytes,
            events: status.events,
            last_event_seconds: seconds(status.last_event),
            errors: status.errors,
            skipped: status.skipped,
            last_error: status.last_error.map(|(message, age)| LastError { message, seconds: age.as_secs() }),
        }
    }
}

impl Totals {
    fn of(resources: &[Row]) -> Self {
        resources.iter().fold(Self::default(), |totals, resource| Self {
            synced: totals.synced + usize::from(resource.synced_seconds.is_some()),
            failing: totals.failing + usize::from(resource.state == State::Failing),
            objects: totals.objects + resource.objects,
            series: totals.series + resource.series,
            bytes: totals.bytes + resource.bytes,
            events: totals.events + resource.events,
            errors: totals.errors + resource.errors,
        })
    }
}
