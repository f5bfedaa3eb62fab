//! The writer's task: ask the source, write the Lease, wait, and again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::publish::{Published, Publisher};
use super::{WriterState, WriterStatus};
use crate::metadata::NodeMetadata;
use crate::pace::{Backoff, Jitter};
use crate::source::{Fetched, MetadataSource, SourceError};
use crate::telemetry::{self, Outcome};

/// What a source may take for everything.
const FETCH_DEADLINE: Duration = Duration::from_secs(30);

/// A source is asked again for what it did not tell, after 5 s at first.
const REFETCH: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// What a Lease that is refused as it is (400, 422) is waited for: no attempt without a change of something helps.
const REFUSED: Duration = Duration::from_mins(10);

pub(super) struct Writer {
    pub(super) source: Arc<dyn MetadataSource>,
    pub(super) publisher: Publisher,
    pub(super) jitter: Jitter,
    pub(super) start_jitter: Duration,
    pub(super) backoff: (Duration, Duration),
    pub(super) status: Arc<watch::Sender<WriterStatus>>,
}

impl Writer {
    /// Runs until it is dropped.
    pub(super) async fn keep(&mut self) {
        let start = self.jitter.up_to(self.start_jitter);
        sleep(start).await;
        let (mut refetches, mut retries) =
            (Backoff::new(REFETCH.0, REFETCH.1), Backoff::new(self.backoff.0, self.backoff.1));
        let mut known = NodeMetadata::new();
        let (mut fetch_at, mut publish_at) = (Instant::now(), Instant::now());
        loop {
            let mut complete = false;
            if fetch_at <= Instant::now() {
                let before = known.clone();
                complete = self.fetch(&mut known).await;
                if complete {
                    refetches.reset();
                } else {
                    fetch_at = Instant::now() + refetches.next(None, &mut self.jitter);
                }
                if known != before {
                    publish_at = publish_at.min(Instant::now());
                }
            }
            if publish_at <= Instant::now() && !known.is_empty() {
                publish_at = Instant::now() + self.publish(&known, &mut retries).await;
            }
            // A source that told everything is asked again before the next renewal: even an image can change.
            if complete {
                fetch_at = publish_at;
            }
            let next = if known.is_empty() { fetch_at } else { fetch_at.min(publish_at) };
            sleep_until(next).await;
        }
    }

    /// Asks the source; whether it told everything.
    async fn fetch(&mut self, known: &mut NodeMetadata) -> bool {
        let answer = timeout(FETCH_DEADLINE, self.source.fetch()).await;
        let answer = answer.unwrap_or(Err(SourceError::Timeout { what: "metadata source", after: FETCH_DEADLINE }));
        let (fetched, outcome) = match answer {
            Ok(fetched) if fetched.is_complete() => (fetched, Outcome::Success),
            Ok(fetched) => (fetched, Outcome::Partial),
            Err(error) => (Fetched { metadata: NodeMetadata::new(), problems: vec![error] }, Outcome::Failure),
        };
        telemetry::fetched(outcome);
        let problems: Vec<String> = fetched.problems.iter().map(ToString::to_string).collect();
        let source = self.source.name();
        let newly = self.status.borrow().problems != problems;
        for problem in &problems {
            if newly {
                tracing::warn!(source, error = problem, "metadata are missing; they will be asked for again");
            } else {
                tracing::debug!(source, error = problem, "metadata are still missing");
            }
        }
        known.merge(&fetched.metadata);
        self.status.send_modify(|status| {
            status.metadata.clone_from(known);
            status.problems = problems;
            if status.state == WriterState::Starting && known.is_empty() {
                status.state = WriterState::NoMetadata;
            }
        });
        fetched.is_complete()
    }

    /// Writes the Lease; how long to wait for the next time.
    async fn publish(&mut self, known: &NodeMetadata, retries: &mut Backoff) -> Duration {
        let answer = self.publisher.publish(known).await;
        let (state, pause) = match &answer {
            Ok(published) => {
                retries.reset();
                let interval = self.publisher.contract.renew_interval();
                // Nodes that start together renew together, unless their first renewals are spread over the interval.
                let first = self.status.borrow().renewed.is_none();
                let pause = if first { self.jitter.part_of(interval) } else { self.jitter.about(interval) };
                let state = match published {
                    Published::Held => WriterState::Held,
                    Published::Superseded(by) => WriterState::Superseded { by: by.clone() },
                };
                (state, pause)
            }
            Err(error) => {
                let pause = retries.next(error.retry_after(), &mut self.jitter);
                let refused = matches!(error.code(), Some(400 | 422));
                let pause = if refused { self.jitter.about(REFUSED) } else { pause };
                (WriterState::Failing { error: error.to_string() }, pause)
            }
        };
        telemetry::published(&answer);
        if self.status.borrow().state != state {
            match &state {
                WriterState::Failing { error } => tracing::warn!(error, "the Lease can't be written; tried again"),
                state => tracing::info!(?state, "the Lease"),
            }
        }
        let (mode, now) = (self.publisher.mode(), self.publisher.clock.now());
        self.status.send_modify(|status| {
            let renewed: Option<Timestamp> = (state == WriterState::Held).then_some(now);
            status.renewed = renewed.or(status.renewed);
            status.mode = mode;
            status.state = state;
        });
        pause
    }
}
