//! What the crate says of itself, through the [`metrics`] facade: the host picks the exporter.
//!
//! The first seven names are those of `kubernetes-event-exporter`, without its optional prefix (an exporter's prefix
//! layer adds one). [`describe`] gives help texts to the host's recorder. Install the recorder before anything is
//! spawned.

use std::sync::Arc;

use metrics::{Counter, Gauge, counter, gauge};

macro_rules! metrics_table {
    ($($(#[$doc:meta])* $constant:ident $name:literal $kind:ident ($labels:literal) $help:literal)+) => {
        /// All metrics of this crate about itself: name, kind, labels, and what it says.
        ///
        /// | name | kind | labels | says |
        /// |---|---|---|---|
        $(#[doc = concat!("| `", $name, "` | ", stringify!($kind), " | ", $labels, " | ", $help, " |")])+
        pub static METRICS: &[(&str, &str, &str, &str)] =
            &[$(($name, stringify!($kind), $labels, $help)),+];

        $($(#[$doc])* pub(crate) const $constant: &str = $name;)+

        /// Gives the help texts of [`METRICS`] to the recorder that is installed, and the version of the crate.
        pub fn describe() {
            $(metrics_table!(@ $kind $name $help);)+
            gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        }
    };
    (@ counter $name:literal $help:literal) => { metrics::describe_counter!($name, $help) };
    (@ gauge $name:literal $help:literal) => { metrics::describe_gauge!($name, $help) };
}

metrics_table! {
    CACHE_HITS "kube_api_read_cache_hits" counter ("")
        "Look-ups of objects that were answered from the cache."
    CACHE_MISSES "kube_api_read_cache_misses" counter ("")
        "GETs of objects that were sent, those of owners and namespaces among them, also failing ones; discovery is none."
    EVENTS_SENT "events_sent" counter ("") "Events that went through the pipeline."
    EVENTS_DISCARDED "events_discarded" counter ("") "Events that were older than the maximum age."
    WATCH_ERRORS "watch_errors" counter ("") "Lists and watches of Events that failed."
    SEND_EVENT_ERRORS "send_event_errors" counter ("sink") "Events that a sink will never take."
    BUILD_INFO "build_info" gauge ("version") "1, with the version of the crate."
    SOURCE_EVENTS "kube_events_source_events_total" counter ("kind") "Events that came in: kind=listed, added, modified or deleted."
    SOURCE_SKIPPED "kube_events_source_skipped_total" counter ("reason")
        "Events that were not passed on: reason=deleted, seen (told before), or undecodable."
    SOURCE_FAILURES "kube_events_source_failures_total" counter ("reason")
        "Lists and watches that failed: the status code, timeout, silent, unreachable, bad_answer or stream (the host's)."
    SOURCE_GAPS "kube_events_source_gaps_total" counter ("reason")
        "Times in which events may have been missed: reason=compacted, version_reset, api_changed, checkpoint_lost or relisted."
    SOURCE_SYNCED "kube_events_source_synced" gauge ("") "Sources of this process that are synced."
    QUEUE_LENGTH "kube_events_source_queue_length" gauge ("") "Items that came in and were not taken yet."
    OBJECT_LOOKUPS "kube_events_object_lookups_total" counter ("result")
        "Look-ups of objects: result=hit, negative_hit, known (by the host's store), found, deleted, unknown, or omitted."
    OBJECT_ERRORS "kube_events_object_errors_total" counter ("reason")
        "Look-ups that failed: the status code, timeout, throttled, unreachable, bad_answer, unknown_kind or bad_reference."
    OBJECT_IN_FLIGHT "kube_events_object_lookups_in_flight" gauge ("") "Look-ups that wait for the API server or for their turn."
    OBJECT_EVICTIONS "kube_events_object_evictions_total" counter ("") "Objects that the cache had no room for any more."
    DISCOVERIES "kube_events_object_discoveries_total" counter ("") "Requests for the kinds of a group's version."
    CHECKPOINT_STORES "kube_events_checkpoint_stores_total" counter ("result")
        "Positions that were stored: result=success, conflict (somebody else had stored one, which was replaced) or failure."
    CHECKPOINT_WAITING "kube_events_checkpoint_waiting" gauge ("") "Positions that wait for an acknowledgement, or for one before them."
    PIPELINE_SKIPPED "kube_events_pipeline_skipped_total" counter ("reason")
        "Events that were not sent: reason=duplicate, stale (an older state), or unchanged (it did not happen again)."
    PIPELINE_UNTRACKED "kube_events_pipeline_untracked_total" counter ("")
        "Events that were sent without a place in the checkpoint, as there was none left: a crash may lose them."
    SINK_QUEUE_LENGTH "kube_events_sink_queue_length" gauge ("sink") "Events that wait in memory for a sink."
    SINK_SPILLED "kube_events_sink_spilled" gauge ("sink") "Events that wait on disk for a sink."
    SINK_DELIVERED "kube_events_sink_delivered_total" counter ("sink") "Events that a sink has taken."
    SINK_FAILURES "kube_events_sink_failures_total" counter ("sink") "Attempts to deliver that failed, and were tried again."
    SINK_DROPPED "kube_events_sink_dropped_total" counter ("sink, reason")
        "Events that were dropped: reason=queue_full, disk_full or gave_up."
    LEADING "kube_events_leading" gauge ("") "Candidates of this process that lead."
    LEADER_CHANGES "kube_events_leader_changes_total" counter ("to") "Times that a candidate of this process began to lead or ceased to: to=leader or follower."
    LEADER_FAILURES "kube_events_leader_failures_total" counter ("reason")
        "Requests about the leader's Lease that failed: the status code, timeout, unreachable or bad_answer."
}

/// An event went through the pipeline.
pub fn event_sent() {
    counter!(EVENTS_SENT).increment(1);
}

/// What is told of one sink: made once, so that nothing is looked up for each batch.
#[derive(Clone)]
pub(crate) struct SinkMetrics {
    sink: Arc<str>,
    delivered: Counter,
    failures: Counter,
    queued: Gauge,
    spilled: Gauge,
}

impl SinkMetrics {
    pub(crate) fn new(sink: &Arc<str>) -> Self {
        let label = || sink.to_string();
        Self {
            sink: Arc::clone(sink),
            delivered: counter!(SINK_DELIVERED, "sink" => label()),
            failures: counter!(SINK_FAILURES, "sink" => label()),
            queued: gauge!(SINK_QUEUE_LENGTH, "sink" => label()),
            spilled: gauge!(SINK_SPILLED, "sink" => label()),
        }
    }

    pub(crate) fn delivered(&self, events: usize) {
        self.delivered.increment(events as u64);
    }

    pub(crate) fn failed(&self) {
        self.failures.increment(1);
    }

    /// Events that the sink will never take.
    pub(crate) fn refused(&self, events: usize) {
        if events > 0 {
            counter!(SEND_EVENT_ERRORS, "sink" => self.sink.to_string()).increment(events as u64);
        }
    }

    pub(crate) fn dropped(&self, events: usize, reason: &'static str) {
        counter!(SINK_DROPPED, "sink" => self.sink.to_string(), "reason" => reason).increment(events as u64);
    }

    pub(crate) fn waiting(&self, queued: usize, spilled: u64) {
        self.queued.set(queued as f64);
        self.spilled.set(spilled as f64);
    }
}

/// A gauge that counts things while they are there.
#[derive(Debug)]
pub(crate) struct Counted(&'static str);

impl Counted {
    pub(crate) fn new(gauge: &'static str) -> Self {
        gauge!(gauge).increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1.0);
    }
}
