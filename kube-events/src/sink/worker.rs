//! The task that empties a queue into its sink.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::flight::{Flight, Outcome};
use super::outlet::{Counters, Drained};
use super::queue::{Job, Queue};
use super::spill::Spill;
use super::{Delivery, DeliveryError, OutletOptions, OverflowPolicy, Record, Sink};
use crate::pace::Backoff;
use crate::telemetry::SinkMetrics;

/// How long a disk that fails is left alone.
const DISK_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Worker {
    name: Arc<str>,
    sink: Arc<dyn Sink>,
    options: OutletOptions,
    queue: Arc<Queue>,
    spill: Option<Spill>,
    counters: Arc<Counters>,
    metrics: SinkMetrics,
    backoff: Backoff,
    /// Since when attempts fail.
    failing: Option<Instant>,
    /// What the last failure asks to wait for.
    pause: Duration,
    flight: Option<Flight>,
    /// Whether what comes goes to disk: it does until the disk is empty, so that the order stays.
    spilling: bool,
    /// The disk has no room, or fails: what comes waits in memory until the next answer.
    is_disk_full: bool,
}

type Answer = Result<Delivery, DeliveryError>;
/// An attempt to send a part of the flight; without a flight, a pause.
type Attempt = BoxFuture<'static, Answer>;

enum Turn {
    Answered(Answer),
    Jobs { more: bool },
    Full,
    Over,
}

impl Worker {
    pub(super) fn new(
        name: Arc<str>,
        sink: Arc<dyn Sink>,
        options: OutletOptions,
        queue: Arc<Queue>,
        spill: Option<Spill>,
        counters: Arc<Counters>,
    ) -> Self {
        let backoff = Backoff::new(options.retry.first, options.retry.longest);
        let spilling = spill.as_ref().is_some_and(|spill| spill.len() > 0);
        let metrics = SinkMetrics::new(&name);
        Self {
            name,
            sink,
            options,
            queue,
            spill,
            counters,
            metrics,
            backoff,
            failing: None,
            pause: Duration::ZERO,
            flight: None,
            spilling,
            is_disk_full: false,
        }
    }

    /// Until it is told to stop, and what waits is delivered or the time for it is over.
    pub(super) async fn run(mut self, stop: watch::Receiver<Option<Duration>>) -> Drained {
        let over = deadline(stop);
        tokio::pin!(over);
        let mut attempt: Option<Attempt> = None;
        let mut is_closed = false;
        loop {
            if attempt.is_none() {
                attempt = self.next().await;
            }
            let is_flying = attempt.is_some();
            if is_closed && !is_flying {
                break;
            }
            // To the sink, one batch at a time; to disk always.
            let wants_jobs = !is_closed && if self.spilling { !self.is_disk_full } else { !is_flying };
            let turn = tokio::select! {
                biased;
                () = &mut over => Turn::Over,
                answer = poll(&mut attempt), if is_flying => Turn::Answered(answer),
                more = self.queue.ready(), if wants_jobs => Turn::Jobs { more },
                () = self.queue.filled(), if is_flying && !self.spilling && self.spill.is_some() => Turn::Full,
            };
            match turn {
                Turn::Answered(answer) => {
                    attempt = None;
                    self.answered(answer).await;
                }
                Turn::Jobs { more: false } => is_closed = true,
                Turn::Jobs { .. } if self.spilling => self.pump().await,
                Turn::Jobs { .. } => self.gather().await,
                // What comes goes to disk, whether the sink fails or only takes its time. The flight stays in the air.
                Turn::Full => self.spilling |= self.queue.is_full(),
                Turn::Over => {
                    drop(attempt);
                    return self.leave().await;
                }
            }
            self.tell();
        }
        match timeout(self.options.retry.timeout, self.sink.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(sink = %self.name, %error, "the sink did not end well"),
            Err(_) => tracing::warn!(sink = %self.name, "the sink did not end in time"),
        }
        Drained { undelivered: 0, spilled: self.waiting_on_disk() }
    }

    /// The next attempt: of the flight, or of what is on disk.
    async fn next(&mut self) -> Option<Attempt> {
        if self.flight.is_none() && self.spilling {
            let spill = self.spill.as_ref()?;
            let (events, bytes) = (self.options.batch.events, self.options.batch.bytes);
            match spill.first(events, bytes).await {
                Ok(first) if first.records.is_empty() => self.spilling = false,
                Ok(first) => self.flight = Some(Flight::from_disk(first.records, first.end)),
                Err(error) => {
                    tracing::error!(sink = %self.name, %error, "what was spilled can't be read");
                    return Some(sleep(DISK_PAUSE).map(|()| Ok(Delivery::default())).boxed());
                }
            }
        }
        let flight = self.flight.as_mut()?;
        let part = flight.part(&self.options.batch);
        let pause = std::mem::take(&mut self.pause);
        let (sink, limit) = (Arc::clone(&self.sink), self.options.retry.timeout);
        let attempt = async move {
            // The clock has steps of a millisecond: no pause at all would be one of them, for each batch.
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let answer = AssertUnwindSafe(timeout(limit, sink.deliver(&part))).catch_unwind().await;
            match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(DeliveryError::again(format!("there was no answer within {limit:?}"))),
                Err(_) => Err(DeliveryError::again("the sink panicked")),
            }
        };
        Some(attempt.boxed())
    }

    /// Takes a batch from memory.
    async fn gather(&mut self) {
        let batch = self.options.batch;
        if !batch.age.is_zero() {
            let _ = timeout(batch.age, self.queue.at_least(batch.events)).await;
        }
        let jobs = self.queue.take(batch.events.max(1));
        let (records, acks) = self.encode(jobs).into_iter().map(|(job, record)| (record, job.ack)).unzip();
        let flight = Flight::from_memory(records, acks);
        if !flight.is_done() {
            self.flight = Some(flight);
        }
    }

    /// The events that can be encoded; the others are refused.
    fn encode(&self, jobs: Vec<Job>) -> Vec<(Job, Record)> {
        let encode = |job: Job| match self.sink.encode(&job.event) {
            Ok(record) => Some((job, record)),
            Err(error) => {
                let event = job.event.revision().unwrap_or_default();
                tracing::warn!(sink = %self.name, event, %error, "an event is left out");
                self.count(&self.counters.refused, 1);
                self.metrics.refused(1);
                job.ack.acknowledge();
                None
            }
        };
        jobs.into_iter().filter_map(encode).collect()
    }

    async fn answered(&mut self, answer: Answer) {
        self.set_disk_full(false);
        let Some(mut flight) = self.flight.take() else { return };
        let outcome = match answer {
            Ok(delivery) => {
                let outcome = flight.answered(&delivery);
                if delivery.again.is_empty() || outcome.delivered > 0 {
                    self.went_well();
                }
                if !delivery.again.is_empty() {
                    self.failed("the sink was too busy for a part of a batch", None);
                }
                outcome
            }
            Err(DeliveryError::Again { cause, after }) => {
                self.failed(&cause.to_string(), after);
                flight.failed();
                Outcome::default()
            }
            Err(DeliveryError::Refused { cause }) => {
                // It answers: that is no outage.
                self.went_well();
                flight.refused(&cause.to_string())
            }
        };
        self.settle(outcome);
        if flight.is_done() {
            self.complete(&flight).await;
            return;
        }
        let is_late = self.options.retry.give_up_after.is_some_and(|limit| flight.since.elapsed() >= limit);
        if self.failing.is_some() && is_late {
            self.give_up(flight).await;
            return;
        }
        let is_memory = flight.end().is_none();
        self.flight = Some(flight);
        if is_memory && self.failing.is_some() && (self.spilling || self.is_outage()) {
            self.land().await;
        }
    }

    fn settle(&self, outcome: Outcome) {
        self.count(&self.counters.delivered, outcome.delivered);
        self.metrics.delivered(outcome.delivered);
        self.count(&self.counters.refused, outcome.refused.len());
        self.metrics.refused(outcome.refused.len());
        for reason in outcome.refused {
            tracing::warn!(sink = %self.name, reason, "the sink refused an event");
        }
        for ack in outcome.acks {
            ack.acknowledge();
        }
    }

    async fn complete(&mut self, flight: &Flight) {
        let (Some(end), Some(spill)) = (flight.end(), self.spill.as_ref()) else { return };
        if let Err(error) = spill.sent(end).await {
            tracing::error!(sink = %self.name, %error, "what was sent may be sent again");
        }
        self.spilling = spill.len() > 0;
    }

    async fn give_up(&mut self, flight: Flight) {
        let count = flight.len();
        tracing::error!(sink = %self.name, events = count, "a batch is given up: the sink did not take it in time");
        self.drop_events(count, "gave_up");
        self.complete(&flight).await;
        for ack in flight.into_parts().1 {
            ack.acknowledge();
        }
    }

    fn went_well(&mut self) {
        if self.failing.take().is_some() {
            tracing::info!(sink = %self.name, "the sink takes events again");
        }
        *self.counters.last_error.lock() = None;
        self.backoff.reset();
    }

    fn failed(&mut self, why: &str, after: Option<Duration>) {
        self.count(&self.counters.failures, 1);
        self.metrics.failed();
        self.pause = self.backoff.next(after);
        *self.counters.last_error.lock() = Some(why.into());
        if self.failing.is_none() {
            tracing::warn!(sink = %self.name, why, "the sink does not take events: they wait");
            self.failing = Some(Instant::now());
        }
    }

    /// Whether events should go to disk.
    fn is_outage(&self) -> bool {
        let (Some(spill), Some(since)) = (&self.options.spill, self.failing) else { return false };
        since.elapsed() >= spill.after || self.queue.is_full()
    }

    /// Puts the flight on disk, where it is the first. All that comes goes behind it until the disk is empty again.
    async fn land(&mut self) {
        let Some(spill) = self.spill.clone() else { return };
        let Some(flight) = self.flight.take() else { return };
        let (records, acks) = flight.into_parts();
        match spill.prepend(records.clone()).await {
            Ok(()) => {
                self.spilling = true;
                for ack in acks {
                    ack.acknowledge();
                }
            }
            Err(error) => {
                tracing::error!(sink = %self.name, %error, "events can't be spilled: they wait in memory");
                self.flight = Some(Flight::from_memory(records.into(), acks));
            }
        }
    }

    /// Moves events from memory to disk.
    async fn pump(&mut self) {
        let Some(spill) = self.spill.clone() else { return };
        let jobs = self.queue.take(self.options.batch.events.max(1));
        let encoded = self.encode(jobs);
        let records = encoded.iter().map(|(_, record)| record.clone()).collect();
        let kept = match spill.append(records, self.drops_oldest()).await {
            Ok(kept) => {
                self.drop_events(usize::try_from(kept.dropped).unwrap_or(usize::MAX), "disk_full");
                kept.kept
            }
            Err(error) => {
                tracing::error!(sink = %self.name, %error, "events can't be spilled: they wait in memory");
                self.set_disk_full(true);
                self.queue.put_back(encoded.into_iter().map(|(job, _)| job));
                return;
            }
        };
        let mut jobs: VecDeque<_> = encoded.into_iter().map(|(job, _)| job).collect();
        let left = jobs.split_off(kept.min(jobs.len()));
        for job in jobs {
            job.ack.acknowledge();
        }
        if left.is_empty() {
            return;
        }
        if self.options.policy == OverflowPolicy::Block {
            self.set_disk_full(true);
            self.queue.put_back(left.into_iter());
        } else {
            self.drop_events(left.len(), "disk_full");
            for job in left {
                job.ack.acknowledge();
            }
        }
    }

    fn set_disk_full(&mut self, is_full: bool) {
        self.is_disk_full = is_full;
        self.queue.set_makes_room(self.spill.is_some() && !is_full);
    }

    fn drops_oldest(&self) -> bool {
        self.options.policy == OverflowPolicy::DropOldest
    }

    /// The time is over: what waits goes to disk, if there is one.
    async fn leave(mut self) -> Drained {
        let mut undelivered = 0;
        if self.flight.as_ref().is_some_and(|flight| flight.end().is_none()) {
            self.land().await;
            undelivered += self.flight.take().map_or(0, |flight| flight.len());
        }
        while self.spill.is_some() && self.queue.len() > 0 && !self.is_disk_full {
            self.pump().await;
        }
        undelivered += self.queue.len();
        if undelivered > 0 {
            tracing::warn!(sink = %self.name, events = undelivered, "events were not delivered before the end");
        }
        self.tell();
        Drained { undelivered, spilled: self.waiting_on_disk() }
    }

    fn waiting_on_disk(&self) -> u64 {
        self.spill.as_ref().map_or(0, Spill::len)
    }

    fn drop_events(&self, count: usize, reason: &'static str) {
        if count > 0 {
            let before = self.counters.dropped.load(Ordering::Relaxed);
            self.count(&self.counters.dropped, count);
            self.metrics.dropped(count, reason);
            if before == 0 {
                tracing::warn!(sink = %self.name, reason, "events are dropped");
            }
        }
    }

    #[expect(clippy::unused_self, reason = "reads as what it is: the worker counts")]
    fn count(&self, counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn tell(&self) {
        let spilled = self.waiting_on_disk();
        self.counters.spilled.store(spilled, Ordering::Relaxed);
        self.metrics.waiting(self.queue.len(), spilled);
    }
}

async fn poll(attempt: &mut Option<Attempt>) -> Answer {
    match attempt {
        Some(attempt) => attempt.await,
        None => std::future::pending().await,
    }
}

/// Ready when the time that it was told to end within is over.
async fn deadline(mut stop: watch::Receiver<Option<Duration>>) {
    let within = stop.wait_for(Option::is_some).await.ok().and_then(|within| *within);
    match within {
        Some(within) => sleep(within).await,
        // Nobody is there to tell: the task is cancelled instead.
        None => std::future::pending().await,
    }
}
