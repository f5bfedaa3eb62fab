//! What the crate says of itself, through the [`metrics`] facade: the host picks the exporter.
//!
//! Counters and histograms are recorded as things happen; gauges are set by [`record`]. [`METRICS`] lists them all, and
//! [`describe`] gives their help texts to the host's recorder. Install the recorder before anything is spawned.
//!
//! `resource` is the resource's name in [`Query`](crate::Query) and [`Ksm::resources`](crate::Ksm::resources), for
//! custom resources too; `namespace` is that which is watched on its own, and empty where all are watched at once.

use metrics::{counter, gauge};

use crate::engine::ResourceStatus;
use crate::watch::Request;

/// How a metric of this crate is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Counted as it happens.
    Counter,
    /// Set, by [`record`] where nothing else is said.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric of this crate about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// Its name.
    pub name: &'static str,
    /// How it is recorded.
    pub kind: MetricKind,
    /// The names of its labels, separated by commas.
    pub labels: &'static str,
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics_table {
    ($($name:literal $kind:ident ($labels:literal) $help:literal)+) => {
        /// All metrics of this crate about itself.
        ///
        /// | name | kind | labels | says |
        /// |---|---|---|---|
        $(#[doc = concat!("| `", $name, "` | ", stringify!($kind), " | ", $labels, " | ", $help, " |")])+
        pub static METRICS: &[MetricInfo] = &[
            $(MetricInfo { name: $name, kind: MetricKind::$kind, labels: $labels, help: $help }),+
        ];
    };
}

metrics_table! {
    "ksm_core_requests_total" Counter ("resource, request, result")
        "Requests to the API server that ended: pages of lists (request=list) and watches (request=watch), result=success where they ended well. A watch that goes on is counted when it ends; what was refused and is asked in another way is not counted."
    "ksm_core_events_total" Counter ("resource") "Objects that came in, by lists and events."
    "ksm_core_list_objects" Gauge ("resource") "Objects of the last list, under an object limit; set when it ends."
    "ksm_core_lists_cut_total" Counter ("resource") "Lists that the object limit cut."
    "ksm_core_objects_skipped_total" Counter ("resource") "Objects that could not be read, named or walked."
    "ksm_core_bad_values_total" Counter ("resource") "Single values that could not be read."
    "ksm_core_duplicate_samples_total" Counter ("resource")
        "Samples of custom resources that were left out, because the object has another one of their labels."
    "ksm_core_panics_total" Counter ("resource") "Panics of hooks and walks."
    "ksm_core_custom_resource_add_events_total" Counter ("") "Definitions of custom resources that were added."
    "ksm_core_custom_resource_update_events_total" Counter ("") "Definitions of custom resources that were changed."
    "ksm_core_custom_resource_delete_events_total" Counter ("") "Definitions of custom resources that were deleted."
    "ksm_core_custom_resource_kinds" Gauge ("")
        "Kinds, each in one version, that the definitions of custom resources serve; set as they come and go."
    "ksm_core_family_conflicts_total" Counter ("reason")
        "Families that a scrape left out, because no format takes their name (reason=name), or showed under another type, because another family has the name (reason=type)."
    "ksm_core_objects_not_owned_total" Counter ("resource") "Objects that came in and are another shard's."
    "ksm_core_shard_ordinal" Gauge ("") "Which shard this is, from 0 on; set when it changes."
    "ksm_core_total_shards" Gauge ("") "How many shards there are; set when it changes."
    "ksm_core_synced" Gauge ("resource, namespace") "1 once a list was complete."
    "ksm_core_failing" Gauge ("resource, namespace") "1 while the last thing that happened to the source was a failure."
    "ksm_core_stale_seconds" Gauge ("resource, namespace")
        "For how long the source has failed; 0 while it answers. With Freshness::mark, in the exposition too."
    "ksm_core_withdrawn" Gauge ("resource, namespace") "1 while series are not shown, because the source fails for too long."
    "ksm_core_objects" Gauge ("resource, namespace") "Objects in the store."
    "ksm_core_samples" Gauge ("resource, namespace") "Series in the store."
    "ksm_core_store_bytes" Gauge ("resource, namespace") "Memory of the store."
    "ksm_core_kept_objects" Gauge ("resource, namespace") "Deleted objects that are kept for a reader."
    "ksm_core_kept_objects_dropped_total" Counter ("resource, namespace")
        "Deleted objects that were let go unread, because too many were kept."
    "ksm_core_oversize_samples_total" Counter ("resource, namespace") "Samples that were dropped because they were longer than 1 MiB."
    "ksm_core_last_event_age_seconds" Gauge ("resource, namespace") "Since the last object came in; a quiet resource grows old too."
    "ksm_core_last_list_age_seconds" Gauge ("resource, namespace") "Since the last complete list."
    "ksm_core_generate_seconds_total" Gauge ("resource, namespace")
        "Time spent on making samples of objects; only grows (a gauge, since the facade's counters are whole numbers)."
    "ksm_core_scrapes_total" Counter ("encoding, result") "Scrapes that were answered, result=complete or aborted."
    "ksm_core_scrape_bytes_total" Counter ("encoding") "Bytes of scrapes' bodies."
    "ksm_core_scrapes_refused_total" Counter ("reason") "Scrapes that were not answered, reason=busy (too many were being answered) or query (what the URL asks for is wrong)."
    "ksm_core_scrape_duration_seconds" Histogram ("result") "From the request to the last byte."
    "ksm_core_scrape_encode_duration_seconds" Histogram ("encoding") "The part of it that went into writing and compressing."
    "ksm_core_otlp_collections_total" Counter ("result")
        "Rounds of pushing all samples, result=complete, abandoned or skipped (the one before was still going on)."
    "ksm_core_otlp_exports_total" Counter ("result")
        "Messages that were sent, result=success, partial, unavailable, timeout or refused."
    "ksm_core_otlp_export_duration_seconds" Histogram ("result") "From a message's sending to its answer."
    "ksm_core_otlp_points_sent_total" Counter ("") "Data points that the receiver took."
    "ksm_core_otlp_points_rejected_total" Counter ("") "Data points that the receiver refused in a message that it took."
    "ksm_core_otlp_points_dropped_total" Counter ("reason")
        "Data points that were given up, reason=refused, expired, displaced or stopped."
    "ksm_core_otlp_queue_messages" Gauge ("") "Messages that wait to be sent; set as they come and go."
    "ksm_core_otlp_queue_bytes" Gauge ("") "Their bytes."
}

/// Gives the help texts of [`METRICS`] to the recorder that is installed.
pub fn describe() {
    for metric in METRICS {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Sets the gauges of [`METRICS`] from [`Ksm::status`](crate::Ksm::status). Call it before the host's exporter renders,
/// or every few seconds.
pub fn record(statuses: &[ResourceStatus]) {
    for status in statuses {
        let labels =
            [("resource", status.resource.clone()), ("namespace", status.namespace.clone().unwrap_or_default())];
        let set = |name: &'static str, value: f64| gauge!(name, &labels).set(value);
        let flag = |on: bool| f64::from(u8::from(on));
        set("ksm_core_synced", flag(status.synced_for.is_some()));
        set("ksm_core_failing", flag(status.failing));
        set("ksm_core_stale_seconds", status.stale_for.unwrap_or_default().as_secs_f64());
        set("ksm_core_withdrawn", flag(status.withdrawn));
        set("ksm_core_generate_seconds_total", status.generating.as_secs_f64());
        if let Some(store) = &status.store {
            set("ksm_core_objects", store.objects as f64);
            set("ksm_core_samples", store.samples as f64);
            set("ksm_core_store_bytes", store.bytes as f64);
            set("ksm_core_kept_objects", store.retained as f64);
            counter!("ksm_core_kept_objects_dropped_total", &labels).absolute(store.retained_dropped);
            counter!("ksm_core_oversize_samples_total", &labels).absolute(store.oversize);
        }
        if let Some(age) = status.last_event {
            set("ksm_core_last_event_age_seconds", age.as_secs_f64());
        }
        if let Some(age) = status.last_list {
            set("ksm_core_last_list_age_seconds", age.as_secs_f64());
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RequestResult {
    Success,
    Error,
}

/// Counts a request that ended.
pub(crate) fn count_request(resource: &str, request: Request, result: RequestResult) {
    requests(resource, request, result).increment(1);
}

/// Lets the counters of a resource's requests begin at 0, so that its first error is an increase.
pub(crate) fn begin_requests(resource: &str) {
    for request in [Request::List, Request::Watch] {
        for result in [RequestResult::Success, RequestResult::Error] {
            requests(resource, request, result).increment(0);
        }
    }
}

fn requests(resource: &str, request: Request, result: RequestResult) -> metrics::Counter {
    let result = match result {
        RequestResult::Success => "success",
        RequestResult::Error => "error",
    };
    let resource = resource.to_owned();
    counter!("ksm_core_requests_total", "resource" => resource, "request" => request.as_str(), "result" => result)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::METRICS;

    /// The names in the code of a directory: quoted, as the facade's macros take them.
    fn names_in(directory: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_in(&path, names);
            } else if !path.ends_with("src/telemetry.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                names.extend(quoted_names(&text));
            }
        }
    }

    fn quoted_names(text: &str) -> impl Iterator<Item = String> + '_ {
        let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let rest = |word: &&str| word.strip_prefix("ksm_core_").is_some_and(|rest| !rest.is_empty());
        text.split('"').filter(is_name).filter(rest).map(str::to_owned)
    }

    #[test]
    fn the_table_names_every_metric_that_is_recorded() {
        let listed: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
        let mut used = BTreeSet::new();
        names_in(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut used);
        let here = include_str!("telemetry.rs").split("pub fn describe").nth(1).unwrap();
        used.extend(quoted_names(here));
        assert_eq!(used, listed);
        assert_eq!(listed.len(), METRICS.len(), "each once");
    }
}
