//! The collector: snapshots to messages, at an interval, on the runtime's blocking threads.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::queue::{Message, Queue};
use super::telemetry::{Collected, Dropped, Telemetry};
use super::transport::{Compression, Payload};
use crate::otlp::batch::Requests;
use crate::otlp::options::MessageOptions;
use crate::store::Snapshot;

pub(super) type Source = Arc<dyn Fn() -> Vec<Arc<Snapshot>> + Send + Sync>;

pub(super) struct Collector {
    pub(super) source: Source,
    pub(super) options: MessageOptions,
    pub(super) compression: Compression,
    pub(super) interval: Duration,
    pub(super) max_age: Duration,
    pub(super) queue: Arc<Queue>,
    pub(super) telemetry: Arc<Telemetry>,
    /// No collection begins after it.
    pub(super) closing: CancellationToken,
}

impl Collector {
    /// Collects until it is told to close; a collection that has begun is brought to its end.
    pub(super) async fn run(self) {
        let mut due = Instant::now();
        let mut number = 0;
        while self.closing.run_until_cancelled(sleep_until(due)).await.is_some() {
            number += 1;
            let result = match self.collect(number).await {
                Ok(result) => result,
                Err(error) => {
                    tracing::error!(%error, "OTLP metrics could not be collected: does the source panic?");
                    self.telemetry.note(format!("the collection failed: {error}"));
                    Collected::Abandoned
                }
            };
            self.telemetry.collected(result, 1);
            due += self.interval;
            let late = Instant::now().saturating_duration_since(due);
            let missed = u32::try_from(late.as_nanos().div_ceil(self.interval.as_nanos())).unwrap_or(u32::MAX);
            if missed > 0 {
                tracing::warn!(missed, "OTLP collections skipped: the one before was not through");
                self.telemetry.collected(Collected::Skipped, missed.into());
                due += self.interval.saturating_mul(missed);
            }
        }
        self.queue.close();
    }

    async fn collect(&self, number: u64) -> Result<Collected, JoinError> {
        let deadline = Instant::now() + self.max_age;
        let (source, options, compression) = (self.source.clone(), self.options.clone(), self.compression);
        let mut requests = spawn_blocking(move || Requests::new(source(), options)).await?;
        loop {
            let made = spawn_blocking(move || {
                let batch = requests.next_batch();
                (batch.map(|batch| Payload::encode(&batch.request, batch.points, compression)), requests)
            });
            let (payload, rest) = made.await?;
            let Some(payload) = payload else { return Ok(Collected::Complete) };
            let message = Message::new(payload, number, deadline, self.telemetry.clone());
            if timeout_at(deadline, self.queue.push(message)).await.is_err() {
                let left = spawn_blocking(move || rest.remaining_points()).await?;
                tracing::warn!(left, "an OTLP collection is given up: the receiver is too slow for all of it");
                self.telemetry.dropped(Dropped::Expired, left);
                return Ok(Collected::Abandoned);
            }
            requests = rest;
        }
    }
}
