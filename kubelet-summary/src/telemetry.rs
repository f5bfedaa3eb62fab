//! What the crate says of itself, through the [`metrics`] facade: the host picks the exporter.
//!
//! [`describe`] gives help texts to the host's recorder. Install the recorder before anything is spawned.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::cache::NodeOutcome;
use crate::fetch::FetchError;
use crate::schema::Skipped;

macro_rules! metrics_table {
    ($($constant:ident $name:literal $kind:ident ($labels:literal) $help:literal)+) => {
        /// All metrics of this crate about itself: name, kind, labels, and what it says.
        ///
        /// | name | kind | labels | says |
        /// |---|---|---|---|
        $(#[doc = concat!("| `", $name, "` | ", stringify!($kind), " | ", $labels, " | ", $help, " |")])+
        pub static METRICS: &[(&str, &str, &str, &str)] =
            &[$(($name, stringify!($kind), $labels, $help)),+];

        $(pub(crate) const $constant: &str = $name;)+

        /// Gives the help texts of [`METRICS`] to the recorder that is installed.
        pub fn describe() {
            $(metrics_table!(@ $kind $name $help);)+
        }
    };
    (@ counter $name:literal $help:literal) => { metrics::describe_counter!($name, $help) };
    (@ gauge $name:literal $help:literal) => { metrics::describe_gauge!($name, $help) };
    (@ histogram $name:literal $help:literal) => { metrics::describe_histogram!($name, $help) };
}

metrics_table! {
    FETCHES "kubelet_summary_fetches_total" counter ("result")
        "Attempts to get a summary: result=success, or the kind of failure (unauthorized, forbidden, not_found, server_error, throttled, status, timeout, too_large, memory, tls, connect, api_server, kubelet_unreachable, broken, malformed, address, token, other)."
    DURATION "kubelet_summary_fetch_duration_seconds" histogram ("") "How long attempts took, whatever came of them."
    BYTES "kubelet_summary_fetched_bytes_total" counter ("") "Bytes of documents, decompressed."
    IN_FLIGHT "kubelet_summary_fetches_in_flight" gauge ("") "Attempts that are under way."
    SKIPPED "kubelet_summary_skipped_total" counter ("what")
        "What documents had in them that can't be used: what=pods, unnamed (containers and volumes), duplicates, fields or beyond_limits (entries of lists)."
    ANSWERS "kubelet_summary_cache_answers_total" counter ("outcome")
        "What callers got for a node: outcome=fresh, stale or missing."
    NODES "kubelet_summary_cache_nodes" gauge ("") "Nodes in the caches of this process."
    OLDEST "kubelet_summary_cache_oldest_age_seconds" gauge ("")
        "Age of the oldest among the nodes' last documents (of a node that never answered, since it came in), looked at once a second at most as attempts end; of several caches in a process, the one that looked last."
    REMOVED "kubelet_summary_cache_removed_total" counter ("reason")
        "Nodes that left the cache: reason=gone (the host said so), idle (nobody asked for long) or stopped."
    MISSED "kubelet_summary_cache_missed_changes_total" counter ("")
        "Changes that consumers of the stream missed since they were too slow."
    INVENTORY_EVENTS "kubelet_summary_inventory_events_total" counter ("resource, kind")
        "Pods and nodes that watches told: kind=listed, changed or deleted."
    INVENTORY_REJECTED "kubelet_summary_inventory_rejected_total" counter ("resource")
        "Of them, those that can't be kept since they have no name or uid."
    INVENTORY_VANISHED "kubelet_summary_inventory_vanished_total" counter ("resource")
        "Pods and nodes that were known and a complete list did not have."
    INVENTORY_FAILURES "kubelet_summary_inventory_failures_total" counter ("resource")
        "Lists and watches that failed, and streams that ended."
    INVENTORY_PODS "kubelet_summary_inventory_pods" gauge ("") "Pods in the inventories of this process."
    INVENTORY_NODES "kubelet_summary_inventory_nodes" gauge ("") "Nodes in the inventories of this process."
    BACKOFF_FORGOTTEN "kubelet_summary_backoff_forgotten_total" counter ("")
        "Workloads in back-off that were forgotten since there were too many."
}

/// An attempt under way, until it is dropped.
pub(crate) struct InFlight(());

impl InFlight {
    pub(crate) fn begin() -> Self {
        gauge!(IN_FLIGHT).increment(1.0);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(IN_FLIGHT).decrement(1.0);
    }
}

pub(crate) fn fetched(error: Option<&FetchError>, took: Duration) {
    counter!(FETCHES, "result" => error.map_or("success", FetchError::as_str)).increment(1);
    histogram!(DURATION).record(took);
}

pub(crate) fn bytes(bytes: usize) {
    counter!(BYTES).increment(bytes as u64);
}

pub(crate) fn skipped(skipped: &Skipped) {
    for (what, number) in [
        ("pods", skipped.pods),
        ("unnamed", skipped.unnamed),
        ("duplicates", skipped.duplicates),
        ("fields", skipped.fields),
        ("beyond_limits", skipped.beyond_limits),
    ] {
        if number > 0 {
            counter!(SKIPPED, "what" => what).increment(number as u64);
        }
    }
}

pub(crate) fn answered(outcome: &NodeOutcome) {
    counter!(ANSWERS, "outcome" => outcome.as_str()).increment(1);
}

pub(crate) fn added() {
    gauge!(NODES).increment(1.0);
}

pub(crate) fn removed(number: usize, reason: &'static str) {
    if number > 0 {
        gauge!(NODES).decrement(number as f64);
        counter!(REMOVED, "reason" => reason).increment(number as u64);
    }
}

pub(crate) fn oldest(age: Duration) {
    gauge!(OLDEST).set(age.as_secs_f64());
}

pub(crate) fn missed(number: u64) {
    counter!(MISSED).increment(number);
}
