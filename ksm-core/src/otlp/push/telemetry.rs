//! What an exporter counts: for its host, and by the `metrics` facade.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How an [`Exporter`](super::Exporter) is doing. Counts are since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExporterStatus {
    /// Collections that were made and handed to the queue completely.
    pub collections: u64,
    /// Collections that were due while the one before was not through yet.
    pub skipped: u64,
    /// Collections that were given up: they were too old before all of them was sent, or the source panicked.
    pub abandoned: u64,
    /// Messages that were accepted.
    pub messages: u64,
    /// Data points that were accepted.
    pub sent: u64,
    /// Data points in accepted messages that the receiver rejected.
    pub rejected: u64,
    /// Data points that were dropped: refused, too old, pushed out of the queue, or left at the end.
    pub dropped: u64,
    /// Attempts that failed and were, or are to be, repeated.
    pub retries: u64,
    /// Messages that wait.
    pub queued: usize,
    /// Bytes of the messages that wait, compressed.
    pub queued_bytes: usize,
    /// How long ago a message was accepted.
    pub last_success: Option<Duration>,
    /// The last failure, and how long ago it was. It stays after recovery.
    pub last_error: Option<(String, Duration)>,
}

/// Why data points were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// The receiver will not have them.
    Refused,
    /// They became too old while the receiver could not be reached.
    Expired,
    /// Newer ones took their place in the queue.
    Displaced,
    /// The exporter ended.
    Stopped,
}

impl Dropped {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Displaced => "displaced",
            Self::Stopped => "stopped",
        }
    }
}

/// What became of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collected {
    Complete,
    Abandoned,
    Skipped,
}

#[derive(Debug, Default)]
pub(super) struct Telemetry {
    collections: AtomicU64,
    skipped: AtomicU64,
    abandoned: AtomicU64,
    messages: AtomicU64,
    sent: AtomicU64,
    rejected: AtomicU64,
    dropped: AtomicU64,
    retries: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    success: Option<Instant>,
    error: Option<(String, Instant)>,
}

impl Telemetry {
    pub(super) fn collected(&self, what: Collected, times: u64) {
        let (counter, result) = match what {
            Collected::Complete => (&self.collections, "complete"),
            Collected::Abandoned => (&self.abandoned, "abandoned"),
            Collected::Skipped => (&self.skipped, "skipped"),
        };
        counter.fetch_add(times, Ordering::Relaxed);
        metrics::counter!("ksm_core_otlp_collections_total", "result" => result).increment(times);
    }

    pub(super) fn accepted(&self, points: u64, rejected: u64, took: Duration) {
        let rejected = rejected.min(points);
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.sent.fetch_add(points - rejected, Ordering::Relaxed);
        self.rejected.fetch_add(rejected, Ordering::Relaxed);
        self.last.lock().success = Some(Instant::now());
        let result = if rejected == 0 { "success" } else { "partial" };
        attempt(result, took);
        metrics::counter!("ksm_core_otlp_points_sent_total").increment(points - rejected);
        metrics::counter!("ksm_core_otlp_points_rejected_total").increment(rejected);
    }

    pub(super) fn failed(&self, result: &'static str, will_retry: bool, message: String, took: Duration) {
        if will_retry {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        self.note(message);
        attempt(result, took);
    }

    /// Keeps a failure for the status.
    pub(super) fn note(&self, message: String) {
        self.last.lock().error = Some((message, Instant::now()));
    }

    pub(super) fn dropped(&self, why: Dropped, points: u64) {
        self.dropped.fetch_add(points, Ordering::Relaxed);
        metrics::counter!("ksm_core_otlp_points_dropped_total", "reason" => why.as_str()).increment(points);
    }

    #[expect(clippy::unused_self, reason = "all that is told goes through here")]
    pub(super) fn queue(&self, messages: usize, bytes: usize) {
        metrics::gauge!("ksm_core_otlp_queue_messages").set(messages as f64);
        metrics::gauge!("ksm_core_otlp_queue_bytes").set(bytes as f64);
    }

    pub(super) fn status(&self, queued: usize, queued_bytes: usize) -> ExporterStatus {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last = self.last.lock();
        ExporterStatus {
            collections: load(&self.collections),
            skipped: load(&self.skipped),
            abandoned: load(&self.abandoned),
            messages: load(&self.messages),
            sent: load(&self.sent),
            rejected: load(&self.rejected),
            dropped: load(&self.dropped),
            retries: load(&self.retries),
            queued,
            queued_bytes,
            last_success: last.success.map(|at| at.elapsed()),
            last_error: last.error.as_ref().map(|(message, at)| (message.clone(), at.elapsed())),
        }
    }
}

fn attempt(result: &'static str, took: Duration) {
    metrics::counter!("ksm_core_otlp_exports_total", "result" => result).increment(1);
    metrics::histogram!("ksm_core_otlp_export_duration_seconds", "result" => result).record(took);
}
