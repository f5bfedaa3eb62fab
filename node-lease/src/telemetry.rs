//! What the crate says of itself, through the [`metrics`] facade: the host picks the exporter.
//!
//! [`describe`] gives help texts to the host's recorder. Install the recorder before anything is spawned.

use metrics::{counter, gauge};

use crate::ApiError;
use crate::writer::Published;

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
}

metrics_table! {
    FETCHES "node_lease_fetches_total" counter ("result")
        "Times that a writer asked its source: result=success, partial (something is missing) or failure."
    WRITES "node_lease_writes_total" counter ("result")
        "Times that a writer wrote its Lease: result=success, superseded (another writer has it), or the status code, timeout, unreachable or bad_answer."
    HELD "node_lease_held" gauge ("") "Writers of this process that hold their Leases."
    NODES "node_lease_cache_nodes" gauge ("") "Nodes in the caches of this process."
    EVENTS "node_lease_cache_events_total" counter ("kind") "Leases that came in: kind=listed, changed or deleted."
    REJECTED "node_lease_cache_rejected_total" counter ("reason")
        "Leases of the contract that the cache can't take: reason=undecodable, no_renew_time, bad_duration, no_metadata or expired."
    BAD_ANNOTATIONS "node_lease_cache_bad_annotations_total" counter ("reason")
        "Annotations of the contract that were left out: reason=empty or malformed."
    REMOVED "node_lease_cache_removed_total" counter ("reason")
        "Nodes that left the cache: reason=deleted, expired, rejected (an update made the Lease useless), or full (the cache's bound)."
    FAILURES "node_lease_cache_failures_total" counter ("reason")
        "Lists and watches that failed: the status code, timeout, unreachable or bad_answer."
    CONNECTED "node_lease_cache_connected" gauge ("") "Caches of this process whose last list or watch of Leases went well."
    SKEWED "node_lease_cache_skewed_total" counter ("")
        "Renewals whose time was more than a minute off this machine's clock when they were seen."
    ENRICHED "node_lease_enriched_total" counter ("result")
        "Things that were to be enriched: result=hit, miss (a node that is not in the cache) or no_node (they name none)."
}

/// How asking a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Partial,
    Failure,
}

pub(crate) fn fetched(outcome: Outcome) {
    let result = match outcome {
        Outcome::Success => "success",
        Outcome::Partial => "partial",
        Outcome::Failure => "failure",
    };
    counter!(FETCHES, "result" => result).increment(1);
}

pub(crate) fn published(answer: &Result<Published, ApiError>) {
    let result = match answer {
        Ok(Published::Held) => "success".to_owned(),
        Ok(Published::Superseded(_)) => "superseded".to_owned(),
        Err(error) => error.word(),
    };
    counter!(WRITES, "result" => result).increment(1);
}

/// A writer holds its Lease from now on, or not.
pub(crate) fn held(held: bool) {
    let gauge = gauge!(HELD);
    if held { gauge.increment(1.0) } else { gauge.decrement(1.0) }
}
