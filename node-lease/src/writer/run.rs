//! The writer's task: ask the source, write the Lease, wait, and again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::publish::{Published, Publisher};
use super::{StopOutcome, WriterState, WriterStatus};
use crate::metadata::NodeMetadata;
use crate::pace::{Backoff, Jitter};
use crate::source::{Fetched, MetadataSource, SourceError};
use crate::telemetry::{self, Outcome};

/// What a source may take for everything.
const FETCH_DEADLINE: Duration = Duration::from_secs(30);

/// A source is asked again for what it did not tell, after 5 s at first.
const REFETCH: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(15));

/// What a Lease that is refused as it is (400, 422) is waited for: no attempt without a change of something helps.
const REFUSED: Duration = Duration::from_mins(10);

/// A Lease without its owner is written again so soon, if the owner may be known by then.
const OWNERLESS: Duration = Duration::from_mins(5);

pub(super) struct Writer {
    pub(super) source: Arc<dyn MetadataSource>,
    pub(super) publisher: Publisher,
    pub(super) jitter: Jitter,
    pub(super) start_jitter: Duration,
    pub(super) backoff: (Duration, Duration),
    pub(super) status: watch::Sender<WriterStatus>,
    /// Whether the gauge counts this writer.
    pub(super) told_held: bool,
}

impl Writer {
    /// Runs until it is dropped.
    pub(super) async fn keep(&mut self) {
        let start = self.jitter.up_to(self.start_jitter);
        sleep(start).await;
        let (mut refetches, mut retries) =
            (Backoff::new(REFETCH.0, REFETCH.1), Backoff::new(self.backoff.0, self.backoff.1));
        let interval = self.publisher.contract.renew_interval();
        let mut known = NodeMetadata::new();
        let mut complete = false;
        let (mut fetch_at, mut publish_at) = (Instant::now(), Instant::now());
        // After a failure, news wait as everything does.
        let mut not_before = Instant::now();
        loop {
            if fetch_at <= Instant::now() {
                let before = known.clone();
                complete = self.fetch(&mut known).await && !known.is_empty();
                if complete {
                    refetches.reset();
                    fetch_at = Instant::now() + interval;
                } else {
                    fetch_at = Instant::now() + refetches.next(None, &mut self.jitter);
                }
                if known != before {
                    publish_at = publish_at.min(Instant::now().max(not_before));
                }
            }
            if publish_at <= Instant::now() && !known.is_empty() {
                let next = self.publish(&known, complete, &mut retries).await;
                match next {
                    Next::Renewal(pause) => {
                        publish_at = Instant::now() + pause;
                        // Even an image can change: the source is asked again before the next renewal.
                        fetch_at = if complete { publish_at } else { fetch_at };
                    }
                    Next::Retry(pause) => {
                        publish_at = Instant::now() + pause;
                        not_before = publish_at;
                    }
                    Next::Refused => publish_at = Instant::now() + self.jitter.about(REFUSED),
                }
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

    /// Writes the Lease, and tells what comes next.
    async fn publish(&mut self, known: &NodeMetadata, complete: bool, retries: &mut Backoff) -> Next {
        let answer = self.publisher.publish(known, complete).await;
        let (state, next) = match &answer {
            Ok(published) => {
                retries.reset();
                let interval = self.publisher.contract.renew_interval();
                // Nodes that start together renew together, unless their first renewals are spread over the interval.
                let first = self.status.borrow().renewed.is_none();
                let pause = if first { self.jitter.part_of(interval) } else { self.jitter.about(interval) };
                let soon = self.publisher.lacks_owner().then(|| self.jitter.about(OWNERLESS));
                let pause = soon.map_or(pause, |soon| soon.min(pause));
                let state = match published {
                    Published::Held => WriterState::Held,
                    Published::Superseded(by) => WriterState::Superseded { by: by.clone() },
                };
                (state, Next::Renewal(pause))
            }
            Err(error) => {
                let refused = matches!(error.code(), Some(400 | 422));
                let pause = retries.next(error.retry_after(), &mut self.jitter);
                let next = if refused { Next::Refused } else { Next::Retry(pause) };
                (WriterState::Failing { error: error.to_string() }, next)
            }
        };
        self.tell_held(match &answer {
            Ok(published) => *published == Published::Held,
            // A Lease that can't be renewed is held for as long as it lasts.
            Err(_) => self.told_held,
        });
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
        next
    }

    fn tell_held(&mut self, held: bool) {
        if std::mem::replace(&mut self.told_held, held) != held {
            telemetry::held(held);
        }
    }
}

/// However the task ends: whoever waits for the end must hear of it.
impl Drop for Writer {
    fn drop(&mut self) {
        self.tell_held(false);
        self.status.send_if_modified(|status| {
            let news = !matches!(status.state, WriterState::Stopped(_));
            if news {
                // A source that panicked, or a runtime that was shut down.
                status.state = WriterState::Stopped(StopOutcome::NotDeleted);
            }
            news
        });
    }
}

/// What comes after an attempt to write, and when.
enum Next {
    Renewal(Duration),
    Retry(Duration),
    /// The Lease is refused as it is.
    Refused,
}
