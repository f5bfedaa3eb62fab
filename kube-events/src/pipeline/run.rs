//! The task of a pipeline.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all, ready};
use futures::{FutureExt, Stream, StreamExt};
use metrics::counter;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::builder::{GapTap, Sources, Tap};
use super::enrich::Enricher;
use super::places::Places;
use super::shared::{Outlets, Shared};
use super::{Phase, PipelineOptions};
use crate::checkpoint::{Checkpoint, Position, Progress};
use crate::clock::WallClock;
use crate::delta::{Deltas, Observed};
use crate::event::EnhancedEvent;
use crate::leader::Candidate;
use crate::pace::Backoff;
use crate::route::{ReceiverId, Router};
use crate::sink::{Ack, Outlet, OutletOptions, Sink, SpillError};
use crate::source::{Gap, Resume, SourceItem};
use crate::telemetry;

/// What closing sinks, or releasing the Lease, may take.
const CLOSING: Duration = Duration::from_secs(5);

pub(super) struct Receiver {
    pub(super) name: Arc<str>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) options: OutletOptions,
}

pub(super) struct Parts {
    pub(super) source: Sources,
    pub(super) enricher: Arc<Enricher>,
    pub(super) router: Router,
    pub(super) receivers: Vec<Receiver>,
    pub(super) checkpoint: Option<Arc<dyn Checkpoint>>,
    pub(super) candidate: Option<Candidate>,
    pub(super) options: PipelineOptions,
    pub(super) on_event: Option<Tap>,
    pub(super) on_gap: Option<GapTap>,
    pub(super) clock: WallClock,
}

/// An item on its way: an event that is told, or what only moves the mark.
enum Item {
    Event(EnhancedEvent, Position),
    Skipped(Position),
    Gap(Gap),
    Synced,
}

impl Parts {
    pub(super) async fn open(&self) -> Result<Vec<Outlet>, SpillError> {
        let mut outlets = Vec::with_capacity(self.receivers.len());
        for Receiver { name, sink, options } in &self.receivers {
            outlets.push(Outlet::spawn_boxed(Arc::clone(name), Arc::clone(sink), options.clone()).await?);
        }
        Ok(outlets)
    }

    /// Until it is told to stop, or the source ends. The outlets are those of the first time.
    pub(super) async fn run(self, shared: Arc<Shared>, stop: CancellationToken, mut outlets: Option<Vec<Outlet>>) {
        let mut were_closed = false;
        while !stop.is_cancelled() {
            let Some(candidate) = &self.candidate else {
                self.term(&shared, &stop, outlets.take()).await;
                were_closed = true;
                break;
            };
            shared.set_phase(Phase::Standby);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = candidate.leading() => {}
            }
            tracing::info!("it leads: events are read");
            let is_over = tokio::select! {
                biased;
                // All of it is dropped in the middle of whatever it does: another may have begun.
                () = candidate.lost() => false,
                () = self.term(&shared, &stop, None) => true,
            };
            if is_over {
                were_closed = true;
                break;
            }
            tracing::warn!("it leads no more: what is not acknowledged is left to the next leader");
        }
        let close = join_all(self.receivers.iter().map(|receiver| receiver.sink.close()));
        if !were_closed && timeout(CLOSING, close).await.is_err() {
            tracing::warn!("not all sinks ended in time");
        }
        if let Some(candidate) = &self.candidate
            && timeout(CLOSING, candidate.shutdown()).await.is_err()
        {
            tracing::warn!("the Lease was not released in time: others wait until it is over");
        }
    }

    /// Reads and delivers, until it is told to stop and what it has is delivered.
    async fn term(&self, shared: &Arc<Shared>, stop: &CancellationToken, outlets: Option<Vec<Outlet>>) {
        shared.set_phase(Phase::Starting);
        let begin = async {
            let outlets = match outlets {
                Some(outlets) => outlets,
                None => self.open_at_last(shared).await,
            };
            let resume = match &self.checkpoint {
                Some(checkpoint) => Resume::load(checkpoint).await,
                None => Resume::Fresh,
            };
            (Outlets::new(shared, outlets), resume)
        };
        let (outlets, resume) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            begun = begin => begun,
        };
        // What happened since the stored position was told by nobody.
        let known = resume.marks().marks.values().filter_map(|mark| mark.last_event).min();
        let deltas = Deltas::new(self.options.deltas, known.unwrap_or_else(|| self.clock.now()));
        let mut source = (self.source)(resume.clone());
        let limit = self.options.positions.max(1);
        let progress = Progress::new(source.api(), limit);
        progress.resume(resume.marks());
        let mut places = Places::new(progress.clone(), limit);
        shared.running(source.status(), progress.clone());
        let saved = CancellationToken::new();
        let saving = self.save(progress, saved.clone());

        let until = async {
            stop.cancelled().await;
            sleep(self.options.drain / 2).await;
        };
        {
            let items = (&mut source).take_until(stop.cancelled());
            let items = self.enriched(shared, deltas, items);
            let mut items = std::pin::pin!(items.buffered(self.options.look_ups.max(1)));
            let deliver = async {
                let mut receivers = Vec::new();
                while let Some(item) = items.next().await {
                    self.handle(shared, &outlets, &mut places, &mut receivers, item).await;
                }
            };
            tokio::select! {
                () = deliver => {}
                () = until => tracing::warn!("look-ups or full queues hold up the end: some events are left"),
            }
        }
        if !stop.is_cancelled() {
            tracing::error!("the source of events has ended");
            shared.set_error("the source of events has ended".to_owned());
        }
        source.shutdown().await;
        places.end_groups();
        let drain = outlets.iter().map(|outlet| outlet.shutdown(self.options.drain / 2));
        let left: usize = join_all(drain).await.into_iter().map(|drained| drained.undelivered).sum();
        if left > 0 {
            tracing::warn!(
                events = left,
                "events were not delivered: the next start brings them, if there is a checkpoint"
            );
        }
        saved.cancel();
        if let Some(saving) = saving {
            // It is bounded itself; an error means that it panicked.
            let _ = saving.await;
        }
    }

    async fn open_at_last(&self, shared: &Shared) -> Vec<Outlet> {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        loop {
            match self.open().await {
                Ok(outlets) => return outlets,
                Err(error) => {
                    let pause = backoff.next(None);
                    tracing::error!(%error, ?pause, "the sinks can't be opened yet");
                    shared.set_error(error.to_string());
                    sleep(pause).await;
                }
            }
        }
    }

    fn save(&self, progress: Progress, stop: CancellationToken) -> Option<AbortOnDropHandle<()>> {
        let (checkpoint, options) = (Arc::clone(self.checkpoint.as_ref()?), self.options.save);
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = progress.save(&checkpoint, &options, stop.cancelled()).await {
                tracing::warn!(%error, "the last position was not kept: the next start repeats events");
            }
        })))
    }

    /// Items with look-ups that have begun.
    fn enriched(
        &self,
        shared: &Arc<Shared>,
        mut deltas: Deltas,
        items: impl Stream<Item = SourceItem>,
    ) -> impl Stream<Item = BoxFuture<'static, Item>> {
        let enricher = Arc::clone(&self.enricher);
        let shared = Arc::clone(shared);
        let before = shared.deltas();
        items.map(move |item| match item {
            SourceItem::Event { event, position } => {
                let observed = deltas.observe(&event, Instant::now().into_std());
                shared.set_deltas(before, deltas.counters());
                match observed {
                    Observed::Tell(occurrence) => {
                        enricher.begin(event, occurrence).map(|event| Item::Event(event, position)).boxed()
                    }
                    skipped => {
                        counter!(telemetry::PIPELINE_SKIPPED, "reason" => word(skipped)).increment(1);
                        ready(Item::Skipped(position)).boxed()
                    }
                }
            }
            SourceItem::Bookmark(position) => ready(Item::Skipped(position)).boxed(),
            SourceItem::Gap(gap) => ready(Item::Gap(gap)).boxed(),
            SourceItem::Synced => ready(Item::Synced).boxed(),
        })
    }

    async fn handle(
        &self,
        shared: &Shared,
        outlets: &[Outlet],
        places: &mut Places,
        receivers: &mut Vec<ReceiverId>,
        item: Item,
    ) {
        match item {
            Item::Event(event, position) => {
                receivers.clear();
                self.router.receivers(&event, receivers);
                self.send(shared, outlets, places, receivers, event, &position).await;
            }
            Item::Skipped(position) => drop(places.begin(&position, 0)),
            Item::Gap(gap) => {
                tracing::warn!("{gap}");
                if let Some(tap) = &self.on_gap {
                    tap(&gap);
                }
                shared.add_gap(gap);
            }
            Item::Synced => shared.set_synced(),
        }
    }

    async fn send(
        &self,
        shared: &Shared,
        outlets: &[Outlet],
        places: &mut Places,
        receivers: &[ReceiverId],
        event: EnhancedEvent,
        position: &Position,
    ) {
        let chosen = receivers.iter().filter_map(|receiver| outlets.get(receiver.0));
        let ticket = places.begin(position, u32::try_from(chosen.clone().count()).unwrap_or(u32::MAX));
        let is_untracked = ticket.is_none() && !receivers.is_empty();
        if is_untracked {
            counter!(telemetry::PIPELINE_UNTRACKED).increment(1);
        }
        shared.add_event(&event, receivers.is_empty(), is_untracked);
        telemetry::event_sent();
        if let Some(tap) = &self.on_event {
            tap(&event);
        }
        // At once: a queue that blocks holds up what comes later, and not this event's way to the others.
        let offers = chosen.map(|outlet| {
            let ack = ticket.clone().map_or_else(Ack::none, |ticket| Ack::new(places.progress().clone(), ticket));
            outlet.offer(event.clone(), ack)
        });
        join_all(offers).await;
    }
}

fn word(observed: Observed) -> &'static str {
    match observed {
        Observed::Duplicate => "duplicate",
        Observed::Stale => "stale",
        Observed::Unchanged | Observed::Tell(_) => "unchanged",
    }
}
