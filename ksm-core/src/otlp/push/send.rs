//! The sender: one message after the other, each until it is accepted, refused, or too old.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::FutureExt;
use tokio::time::{Instant, sleep_until, timeout};

use super::queue::{Message, Queue};
use super::telemetry::{Dropped, Telemetry};
use super::transport::{Accepted, ExportError, Transport, excerpt};

const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The longest wait that a receiver can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

pub(super) struct Sender {
    queue: Arc<Queue>,
    transport: Arc<dyn Transport>,
    telemetry: Arc<Telemetry>,
    timeout: Duration,
    delays: ExponentialBackoff,
    /// The receiver is left alone until then, whichever message is next.
    not_before: Option<Instant>,
}

fn delays() -> ExponentialBackoff {
    let builder = ExponentialBuilder::default().with_min_delay(MIN_BACKOFF).with_max_delay(MAX_BACKOFF);
    builder.with_jitter().without_max_times().build()
}

impl Sender {
    pub(super) fn new(
        queue: Arc<Queue>,
        transport: Arc<dyn Transport>,
        telemetry: Arc<Telemetry>,
        timeout: Duration,
    ) -> Self {
        Self { queue, transport, telemetry, timeout, delays: delays(), not_before: None }
    }

    /// Sends until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        while let Some(message) = self.queue.pop().await {
            self.send(message).await;
        }
    }

    async fn send(&mut self, message: Message) {
        loop {
            let start = self.not_before.map_or_else(Instant::now, |at| at.max(Instant::now()));
            if start >= message.deadline {
                tracing::warn!(points = message.payload.points, "OTLP metrics dropped: they became too old unsent");
                return message.dropped(Dropped::Expired);
            }
            sleep_until(start).await;
            let begin = Instant::now();
            match self.attempt(&message).await {
                Ok(accepted) => {
                    self.recovered();
                    if accepted.rejected > 0 || !accepted.message.is_empty() {
                        let (rejected, said) = (accepted.rejected, excerpt(&accepted.message));
                        tracing::warn!(rejected, said, "the OTLP receiver took the metrics with a remark");
                        self.telemetry.note(format!("{rejected} data points were rejected: {said}"));
                    }
                    return message.accepted(accepted.rejected, begin.elapsed());
                }
                Err(Failure::Lasting(reason)) => {
                    // An answer all the same: the receiver is there.
                    self.recovered();
                    tracing::warn!(points = message.payload.points, reason, "OTLP metrics dropped");
                    self.telemetry.failed("refused", false, reason, begin.elapsed());
                    return message.dropped(Dropped::Refused);
                }
                Err(Failure::Passing { result, reason, retry_after }) => {
                    if self.not_before.is_none() {
                        tracing::warn!(reason, "OTLP metrics can't be sent; trying again");
                    }
                    self.telemetry.failed(result, true, reason, begin.elapsed());
                    self.not_before = Some(Instant::now() + self.pause(retry_after));
                }
            }
        }
    }

    async fn attempt(&self, message: &Message) -> Result<Accepted, Failure> {
        let export = AssertUnwindSafe(async { self.transport.export(&message.payload).await }).catch_unwind();
        match timeout(self.timeout, export).await {
            Ok(Ok(Ok(accepted))) => Ok(accepted),
            Ok(Ok(Err(error))) => {
                let reason = error.to_string();
                Err(match error {
                    ExportError::Unavailable { retry_after, .. } => {
                        Failure::Passing { result: "unavailable", reason, retry_after }
                    }
                    ExportError::Refused { .. } => Failure::Lasting(reason),
                })
            }
            Ok(Err(_panic)) => Err(Failure::Lasting("the transport panicked".to_owned())),
            Err(_elapsed) => {
                let reason = format!("no answer within {:?}", self.timeout);
                Err(Failure::Passing { result: "timeout", reason, retry_after: None })
            }
        }
    }

    fn recovered(&mut self) {
        if self.not_before.take().is_some() {
            tracing::info!("the OTLP receiver answers again");
        }
        self.delays = delays();
    }

    /// Our own pause, or what the receiver asks for, whichever is longer.
    fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let own = self.delays.next().unwrap_or(MAX_BACKOFF);
        let asked = asked.unwrap_or_default().min(MAX_RETRY_AFTER);
        // Jitter on top of what the receiver asks for, so that its clients don't come back all at once.
        if asked > own { asked + own / 4 } else { own }
    }
}

/// An attempt that did not succeed.
enum Failure {
    /// It may, later.
    Passing { result: &'static str, reason: String, retry_after: Option<Duration> },
    /// It never will.
    Lasting(String),
}
