//! The handle of what runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::builder::ExporterBuilder;
use super::collect::Collector;
use super::queue::Queue;
use super::send::Sender;
use super::telemetry::{ExporterStatus, Telemetry};

/// Collects snapshots at an interval and pushes them to an OTLP receiver.
///
/// - A collection is made message by message, each as there is room in the queue for it: a large cluster takes the
///   memory of the queue and of two messages, not that of all its samples.
/// - A message is sent until the receiver accepts or refuses it. What passes (429, 502, 503, 504, their gRPC likes, no
///   connection, no answer in time) is tried again, with pauses of 1 to 30 seconds and jitter, or as long as the
///   receiver asks for, five minutes at most.
/// - Nothing waits for ever: messages are dropped once they are older than [`ExporterBuilder::max_age`], and messages
///   of earlier collections make room for later ones. A collection that is due while one is still on its way is
///   skipped. All of that is counted: [`status`](Self::status), and the `metrics` facade.
///
/// Dropping it stops everything at once; [`shutdown`](Self::shutdown) sends what has been collected first.
///
/// ```no_run
/// # async fn example(ksm: std::sync::Arc<ksm_core::Ksm>) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use ksm_core::{Query, otlp::{Exporter, MessageOptions}};
///
/// let exporter = Exporter::builder()
///     .endpoint("http://collector:4318")
///     .header("api-key", "…")
///     .interval(Duration::from_secs(30))
///     .messages(MessageOptions::default().attribute("k8s.cluster.name", "prod-1"))
///     .spawn(move || ksm.snapshots(&Query::default()))?;
/// println!("{} data points sent", exporter.status().sent);
/// exporter.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// | metric | type | labels |
/// |---|---|---|
/// | `ksm_core_otlp_collections_total` | counter | `result`: `complete`, `abandoned`, `skipped` |
/// | `ksm_core_otlp_exports_total` | counter | `result`: `success`, `partial`, `unavailable`, `timeout`, `refused` |
/// | `ksm_core_otlp_export_duration_seconds` | histogram | `result` |
/// | `ksm_core_otlp_points_sent_total`, `ksm_core_otlp_points_rejected_total` | counter | |
/// | `ksm_core_otlp_points_dropped_total` | counter | `reason`: `refused`, `expired`, `displaced`, `stopped` |
/// | `ksm_core_otlp_queue_messages`, `ksm_core_otlp_queue_bytes` | gauge | |
#[derive(Debug)]
pub struct Exporter {
    queue: Arc<Queue>,
    telemetry: Arc<Telemetry>,
    tasks: TaskTracker,
    closing: CancellationToken,
    stop: CancellationToken,
    shutdown: Duration,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Exporter {
    /// Begins a configuration, with the OTLP specification's defaults.
    pub fn builder() -> ExporterBuilder {
        ExporterBuilder::default()
    }

    pub(super) fn start(collector: Collector, sender: Sender, stop: CancellationToken, shutdown: Duration) -> Self {
        let tasks = TaskTracker::new();
        let (queue, telemetry) = (collector.queue.clone(), collector.telemetry.clone());
        let closing = collector.closing.clone();
        tasks.spawn(stop.clone().run_until_cancelled_owned(collector.run()));
        tasks.spawn(stop.clone().run_until_cancelled_owned(sender.run()));
        tasks.close();
        Self { queue, telemetry, tasks, closing, stop, shutdown }
    }

    /// How it is doing.
    pub fn status(&self) -> ExporterStatus {
        let (messages, bytes) = self.queue.size();
        self.telemetry.status(messages, bytes)
    }

    /// Begins no further collection, sends what has been collected, and ends; after
    /// [`ExporterBuilder::shutdown_timeout`] what is left is dropped, and counted.
    pub async fn shutdown(&self) {
        self.closing.cancel();
        if timeout(self.shutdown, self.tasks.wait()).await.is_err() {
            self.stop.cancel();
            self.tasks.wait().await;
        }
        self.queue.clear();
    }
}
