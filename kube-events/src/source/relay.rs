//! Events from a watch that the host shares.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::runtime::watcher;
use metrics::counter;

use super::SourceItem;
use super::admit::{Admission, Listing};
use super::gap::GapReason;
use super::status::{Closed, Shared};
use crate::event::Event;
use crate::telemetry;

pub(super) struct Relay {
    pub(super) admission: Admission,
    pub(super) shared: Arc<Shared>,
    /// What the next list is.
    pub(super) next: Listing,
    pub(super) synced: bool,
}

impl Relay {
    /// Runs until the host's stream ends, or nobody listens any more.
    pub(super) async fn run<K: Into<Event>>(
        mut self,
        events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send,
    ) {
        let mut events = std::pin::pin!(events);
        let mut before = self.admission.place.clone();
        // The newest version of a list, whose own version the host does not tell.
        let mut newest: Option<u64> = None;
        while let Some(event) = events.next().await {
            let told = match event {
                Ok(event) => {
                    self.shared.works(&self.admission.partition);
                    match event {
                        watcher::Event::Init => {
                            before = self.admission.place.clone();
                            newest = None;
                            self.gap().await
                        }
                        watcher::Event::InitApply(event) => {
                            let event = self.bounded(event.into());
                            newest = newest.max(event.metadata.resource_version.parse().ok());
                            if self.admission.admits_listed(&event, self.next, &before) {
                                self.tell(event, true).await
                            } else {
                                Ok(())
                            }
                        }
                        watcher::Event::InitDone => self.listed(newest).await,
                        watcher::Event::Apply(event) => {
                            counter!(telemetry::SOURCE_EVENTS, "kind" => "modified").increment(1);
                            let event = self.bounded(event.into());
                            if self.admission.admits_watched(&event) { self.tell(event, false).await } else { Ok(()) }
                        }
                        watcher::Event::Delete(_) => {
                            counter!(telemetry::SOURCE_EVENTS, "kind" => "deleted").increment(1);
                            counter!(telemetry::SOURCE_SKIPPED, "reason" => "deleted").increment(1);
                            Ok(())
                        }
                    }
                }
                Err(error) => {
                    self.failed(&format!("the host's watch of Events failed: {error}"));
                    Ok(())
                }
            };
            if let Err(Closed) = told {
                return;
            }
        }
        self.failed("the host's stream of Events ended");
    }

    fn bounded(&self, mut event: Event) -> Event {
        event.bound(&self.admission.options.limits);
        event
    }

    fn failed(&self, message: &str) {
        counter!(telemetry::WATCH_ERRORS).increment(1);
        counter!(telemetry::SOURCE_FAILURES, "reason" => "stream").increment(1);
        self.shared.fails(&self.admission.partition, message);
        tracing::warn!("{message}");
    }

    async fn gap(&mut self) -> Result<(), Closed> {
        match self.admission.gap(self.next) {
            Some(gap) => self.shared.tell(SourceItem::Gap(gap)).await,
            None => Ok(()),
        }
    }

    async fn tell(&mut self, event: Event, within_list: bool) -> Result<(), Closed> {
        let position = self.admission.position(&event, within_list);
        self.shared.tell(SourceItem::Event { event: Arc::new(event), position }).await
    }

    async fn listed(&mut self, newest: Option<u64>) -> Result<(), Closed> {
        self.next = Listing::After(GapReason::Relisted);
        if let Some(newest) = newest {
            let known = self.admission.place.version.as_deref().and_then(|version| version.parse::<u64>().ok());
            self.admission.advance(&newest.max(known.unwrap_or_default()).to_string());
            self.shared.tell(SourceItem::Bookmark(self.admission.bookmark())).await?;
        }
        if !std::mem::replace(&mut self.synced, true) {
            self.shared.synced().await?;
        }
        Ok(())
    }
}
