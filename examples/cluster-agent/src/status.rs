//! What the page shows, as data: `/status.json`, and what the page is made from.

use std::sync::Arc;
use std::time::Duration;

use example_host::config::{Configuration, ConfigurationStatus};
use example_host::page::{Health, Part};
use example_host::units::count;
use ksm_core::otlp::{Exporter, ExporterStatus};
use ksm_core::{Ksm, ResourceStatus};
use serde::Serialize;

use crate::events::{self, EventStatus};
use crate::nodes::Told;
use crate::usage::{self, UsageStatus};

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
    /// Which shard this is, where there are several.
    pub(crate) shard: Option<String>,
    /// How each part is.
    pub(crate) parts: Vec<Part>,
    pub(crate) configuration: ConfigurationStatus,
    /// Where nodes' metadata come from, if they are put on series.
    pub(crate) node_metadata: Option<NodeMetadata>,
    /// What kubelets say, if they are asked.
    pub(crate) usage: Option<UsageStatus>,
    /// What is known of events, if they are watched.
    pub(crate) events: Option<EventStatus>,
    /// How pushing goes, if anything is pushed.
    pub(crate) push: Option<PushStatus>,
    /// Series and bytes of all resources, of usage and of events.
    pub(crate) series: u64,
    pub(crate) bytes: usize,
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// How pushing goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PushStatus {
    /// Data points that were accepted.
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    pub(crate) rejected: u64,
    pub(crate) queued: usize,
    pub(crate) last_success_seconds: Option<u64>,
    pub(crate) last_error: Option<LastError>,
}

/// What tells of the parts.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) ksm: Arc<Ksm>,
    pub(crate) nodes: Option<Told>,
    pub(crate) usage: Option<usage::Told>,
    pub(crate) events: Option<events::Told>,
    pub(crate) exporter: Option<Arc<Exporter>>,
}

/// Where statuses come from.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) sources: Sources,
    pub(crate) cluster: Arc<str>,
    pub(crate) simulated: bool,
    pub(crate) since: std::time::Instant,
    pub(crate) configuration: Configuration,
}

impl Watched {
    pub(crate) fn status(&self) -> Status {
        let Sources { ksm, nodes, usage, events, exporter } = &self.sources;
        // Before the rows: what is synced stays so, and no row says less than this.
        let synced = ksm.is_synced();
        let all: Vec<Row> = ksm.status().into_iter().map(Row::of).collect();
        let (series, bytes) = all.iter().fold((0, 0), |(series, bytes), row| (series + row.series, bytes + row.bytes));
        // What is no resource of the cluster has a part of its own.
        let of_host = [usage::object::NAME, events::object::NAME];
        let resources: Vec<Row> = all.into_iter().filter(|row| !of_host.contains(&row.resource.as_str())).collect();
        let totals = Totals::of(&resources);
        let node_metadata = nodes.as_ref().map(Told::status);
        let usage = usage.as_ref().map(|told| {
            let status = told.status();
            (told.part(&status), status)
        });
        let events = events.as_ref().map(events::Told::status);
        let push = exporter.as_ref().map(|exporter| PushStatus::of(&exporter.status()));
        let configuration = self.configuration.status();
        let off = |name: &str, why: &str| Part::new(name, Health::Absent).reason(why);
        let parts = vec![
            totals.part(&resources),
            node_metadata.as_ref().map_or_else(|| off("Node metadata", "no series get them"), NodeMetadata::part),
            usage.as_ref().map_or_else(|| off(usage::NAME, "switched off"), |(part, _)| part.clone()),
            events.as_ref().map_or_else(|| off(events::NAME, "switched off"), EventStatus::part),
            push.as_ref().map_or_else(|| off("OTLP push", "switched off"), PushStatus::part),
            configuration.part("Configuration"),
        ];
        Status {
            simulated: self.simulated,
            cluster: self.cluster.to_string(),
            synced,
            uptime_seconds: self.since.elapsed().as_secs(),
            shard: ksm.shard().filter(|shard| !shard.is_all()).map(|shard| shard.to_string()),
            parts,
            configuration,
            node_metadata,
            usage: usage.map(|(_, status)| status),
            events,
            push,
            series,
            bytes,
            totals,
            resources,
        }
    }
}

impl Status {
    /// What must be there before anybody is sent here: each part has begun, or is known to fail; and of what is watched
    /// all was listed once.
    pub(crate) fn waits_for(&self) -> Vec<&Part> {
        let must = |(index, part): &(usize, &Part)| part.health == Health::Starting || (*index == 0 && !self.synced);
        self.parts.iter().enumerate().filter(must).map(|(_, part)| part).collect()
    }
}

impl NodeMetadata {
    pub(crate) fn part(&self) -> Part {
        let health = match self.state {
            State::Listing => Health::Starting,
            State::Synced => Health::Ok,
            State::Failing if self.nodes > 0 => Health::Degraded,
            State::Failing => Health::Failed,
        };
        let part = Part::new("Node metadata", health).since(Some(self.state_seconds));
        let nodes = count(self.nodes);
        let part =
            part.detail(format!("{nodes} nodes by Leases in {}, for {}", self.namespace, self.series.join(" and ")));
        match &self.error {
            Some(error) => part.reason(error),
            None => part,
        }
    }
}

impl PushStatus {
    fn of(status: &ExporterStatus) -> Self {
        Self {
            sent: status.sent,
            dropped: status.dropped,
            rejected: status.rejected,
            queued: status.queued,
            last_success_seconds: status.last_success.map(|age| age.as_secs()),
            last_error: status
                .last_error
                .as_ref()
                .map(|(message, age)| LastError { message: message.clone(), seconds: age.as_secs() }),
        }
    }

    /// An error counts until something was accepted after it.
    pub(crate) fn part(&self) -> Part {
        let part = |health| Part::new("OTLP push", health).fresh(self.last_success_seconds);
        let detail = format!("{} data points accepted", count(self.sent));
        match (&self.last_error, self.last_success_seconds) {
            (Some(error), None) => part(Health::Failed).reason(&error.message),
            (Some(error), Some(success)) if error.seconds < success => {
                part(Health::Degraded).detail(detail).reason(&error.message)
            }
            (None, None) => part(Health::Ok).detail("waits for the first interval"),
            _ => part(Health::Ok).detail(detail),
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

    fn part(&self, resources: &[Row]) -> Part {
        let all = resources.len();
        let newest = resources.iter().filter_map(|row| row.last_event_seconds).min();
        let part = |health| Part::new("Cluster state", health).fresh(newest);
        let detail = format!("{} of {all} resources, {} objects", self.synced, count(self.objects as u64));
        let failing = resources.iter().filter(|row| row.state == State::Failing);
        let why =
            failing.clone().find_map(|row| Some(format!("{}: {}", row.resource, row.last_error.as_ref()?.message)));
        let why = why.unwrap_or_else(|| "requests fail".to_owned());
        match failing.count() {
            0 if self.synced < all => part(Health::Starting).detail(detail),
            0 => part(Health::Ok).detail(detail),
            number if number == all && self.synced == 0 => part(Health::Failed).reason(why),
            number => part(Health::Degraded).detail(detail).reason(format!("{number} failing; {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: State) -> Row {
        let last_error = (state == State::Failing).then(|| LastError { message: "403".to_owned(), seconds: 1 });
        Row {
            resource: "pods".to_owned(),
            namespace: None,
            state,
            synced_seconds: (state == State::Synced).then_some(1),
            objects: 1,
            listing: 0,
            series: 1,
            bytes: 1,
            events: 1,
            last_event_seconds: Some(7),
            errors: 0,
            skipped: 0,
            last_error,
        }
    }

    #[test]
    fn the_cluster_is_as_well_as_its_resources() {
        let part = |states: &[State]| {
            let rows: Vec<Row> = states.iter().map(|state| row(*state)).collect();
            Totals::of(&rows).part(&rows)
        };
        assert_eq!(part(&[State::Synced, State::Synced]).health, Health::Ok);
        assert_eq!(part(&[State::Synced, State::Listing]).health, Health::Starting);
        let some = part(&[State::Synced, State::Failing]);
        assert_eq!((some.health, some.reason.as_deref()), (Health::Degraded, Some("1 failing; pods: 403")));
        assert_eq!(part(&[State::Failing, State::Failing]).health, Health::Failed);
        assert_eq!(some.fresh_seconds, Some(7));
    }

    #[test]
    fn a_push_is_well_once_something_was_accepted_after_the_last_error() {
        let push = |success: Option<u64>, error: Option<u64>| {
            let last_error = error.map(|seconds| LastError { message: "503".to_owned(), seconds });
            PushStatus { last_success_seconds: success, last_error, ..PushStatus::default() }.part().health
        };
        assert_eq!(push(None, None), Health::Ok);
        assert_eq!(push(None, Some(1)), Health::Failed);
        assert_eq!(push(Some(9), Some(1)), Health::Degraded);
        assert_eq!(push(Some(1), Some(9)), Health::Ok);
    }
}
