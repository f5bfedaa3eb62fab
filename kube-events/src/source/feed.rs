//! The events of one namespace or of all: a watch from where it was, and a list where there is no such place.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use metrics::counter;
use tokio::time::{Instant, sleep, timeout_at};

use super::SourceItem;
use super::admit::{Admission, Listing};
use super::ask::{BadLine, Collection, Line};
use super::gap::GapReason;
use super::options::SourceOptions;
use super::status::{Closed, Shared};
use crate::api::ApiError;
use crate::event::Event;
use crate::pace::Backoff;
use crate::telemetry;

/// A watch that ends sooner than that is no reason to begin the next one at once.
const SHORT: Duration = Duration::from_secs(1);

/// However options are: no loop without rest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Feed {
    collection: Collection,
    admission: Admission,
    shared: Arc<Shared>,
    backoff: Backoff,
    /// The list that is due; none while a watch can go on.
    due: Option<Listing>,
    /// Whether the server may have another history than before.
    doubted: bool,
    /// Whether the gap of the list that is due has been told: lists can fail in the middle.
    gap_told: bool,
    synced: bool,
}

/// How a watch ended.
enum Ended {
    ByServer,
    Silent,
    Failed(ApiError),
}

impl Feed {
    /// `due`: the list to begin with; none to watch from the place of `admission`.
    pub(super) fn new(collection: Collection, admission: Admission, shared: Arc<Shared>, due: Option<Listing>) -> Self {
        let SourceOptions { min_backoff, max_backoff, .. } = *admission.options;
        let backoff = Backoff::new(min_backoff.max(SHORTEST_PAUSE), max_backoff);
        Self { collection, admission, shared, backoff, due, doubted: due.is_none(), gap_told: false, synced: false }
    }

    /// Runs until nobody listens any more.
    pub(super) async fn run(mut self) {
        // The only way out is that the receiver is gone.
        let Err(Closed) = self.run_open().await;
    }

    async fn run_open(&mut self) -> Result<Infallible, Closed> {
        loop {
            if let Some(listing) = self.due {
                if let Err(error) = self.list(listing).await? {
                    self.fail(&error).await;
                }
                continue;
            }
            if self.doubted {
                match self.is_reset().await {
                    Ok(true) => self.due = Some(Listing::After(GapReason::VersionReset)),
                    Ok(false) => self.doubted = false,
                    Err(error) => self.fail(&error).await,
                }
                continue;
            }
            let began = Instant::now();
            let ended = self.watch().await?;
            let long = began.elapsed() >= SHORT;
            if long {
                self.backoff.reset();
            }
            match ended {
                Ended::ByServer if long => {}
                Ended::ByServer => sleep(self.backoff.next(None)).await,
                Ended::Silent => {
                    count("silent");
                    self.doubted = true;
                    tracing::info!(partition = %self.admission.partition, "a watch of Events went silent; it is begun again");
                }
                // Only a list helps; at once, if the watch was good for a while.
                Ended::Failed(error) if error.code() == Some(410) => {
                    self.due = Some(Listing::After(GapReason::Compacted));
                    if long {
                        count(&error.word());
                    } else {
                        self.fail(&error).await;
                    }
                }
                Ended::Failed(error) => {
                    self.doubted = true;
                    self.fail(&error).await;
                }
            }
        }
    }

    async fn fail(&mut self, error: &ApiError) {
        count(&error.word());
        self.shared.fails(&self.admission.partition, &error.to_string());
        let pause = self.backoff.next(error.retry_after());
        tracing::warn!(partition = %self.admission.partition, %error, ?pause, "Events can't be listed or watched; tried again");
        sleep(pause).await;
    }

    /// Whether the server's newest version is older than the place: a watch would be silent until it is reached again.
    async fn is_reset(&self) -> Result<bool, ApiError> {
        let newest = self.collection.newest_version().await?;
        let place = self.admission.place.version.as_deref().unwrap_or_default();
        Ok(matches!((newest.parse::<u64>(), place.parse::<u64>()), (Ok(newest), Ok(place)) if newest < place))
    }

    async fn is_synced(&mut self) -> Result<(), Closed> {
        self.shared.works(&self.admission.partition);
        if !std::mem::replace(&mut self.synced, true) {
            self.shared.synced().await?;
        }
        Ok(())
    }

    async fn tell(&mut self, event: Event, within_list: bool) -> Result<(), Closed> {
        let position = self.admission.position(&event, within_list);
        self.shared.tell(SourceItem::Event { event: Arc::new(event), position }).await
    }

    /// Lists all events, tells what is new, and is then where a watch goes on.
    async fn list(&mut self, listing: Listing) -> Result<Result<(), ApiError>, Closed> {
        let options = self.admission.options.clone();
        let before = self.admission.place.clone();
        let mut next = None;
        loop {
            let page = match self.collection.list(&options, next.take()).await {
                Ok(page) => page,
                Err(error) => {
                    // What was told of it is remembered; what is newer than the place is still measured by the place.
                    self.admission.place = before;
                    return Ok(Err(error));
                }
            };
            if !std::mem::replace(&mut self.gap_told, true)
                && let Some(gap) = self.admission.gap(listing)
            {
                self.shared.tell(SourceItem::Gap(gap)).await?;
            }
            for event in page.events {
                match event {
                    Ok(event) => {
                        if self.admission.admits_listed(&event, listing, &before) {
                            self.tell(event, true).await?;
                        }
                    }
                    Err(why) => undecodable(&self.admission, &why),
                }
            }
            next = page.next;
            if next.is_none() {
                self.admission.place.version = Some(page.version.into());
                self.due = None;
                self.gap_told = false;
                self.doubted = false;
                self.shared.tell(SourceItem::Bookmark(self.admission.bookmark())).await?;
                self.is_synced().await?;
                return Ok(Ok(()));
            }
        }
    }

    async fn watch(&mut self) -> Result<Ended, Closed> {
        let options = self.admission.options.clone();
        let version = self.admission.place.version.clone().unwrap_or_default();
        let end = Instant::now() + options.longest_watch();
        // Less than a second would be a loop without rest.
        let silence = options.max_silence.unwrap_or(Duration::MAX).clamp(SHORT, options.longest_watch());
        let mut lines = match self.collection.watch(&options, &version).await {
            Ok(lines) => lines,
            Err(error) => return Ok(Ended::Failed(error)),
        };
        // A watch whose version is too old is answered, and says so in its first line: that is no sync yet. What a
        // server has, it sends at once.
        let mut first = true;
        // A line that is no JSON is an event that was cut, if it is the last.
        let mut torn = None;
        loop {
            let until = end.min(Instant::now() + silence);
            let until = if first && !self.synced { until.min(Instant::now() + SHORT) } else { until };
            let line = match timeout_at(until, lines.next()).await {
                Ok(line) => line,
                Err(_) if first && !self.synced => {
                    first = false;
                    self.is_synced().await?;
                    continue;
                }
                Err(_) => return Ok(Ended::Silent),
            };
            let line = match line {
                None => {
                    return Ok(match torn {
                        None => Ended::ByServer,
                        Some(source) => Ended::Failed(ApiError::Decode { what: "watch Events", source }),
                    });
                }
                Some(Err(error)) => return Ok(Ended::Failed(error)),
                Some(Ok(line)) => line,
            };
            if let Some(why) = torn.take() {
                undecodable(&self.admission, &format!("{why}"));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match Line::read(&line, &options.limits) {
                Ok(line) => {
                    if std::mem::replace(&mut first, false) {
                        self.is_synced().await?;
                    }
                    self.take(line).await?;
                }
                Err(BadLine::Ends(error)) => return Ok(Ended::Failed(error)),
                Err(BadLine::Unreadable { why, whole: false, .. }) => torn = Some(why),
                Err(BadLine::Unreadable { why, version, whole: true }) => {
                    self.admission.advance(&version);
                    undecodable(&self.admission, &why.to_string());
                }
            }
        }
    }

    async fn take(&mut self, line: Line) -> Result<(), Closed> {
        let came = |kind: &'static str| counter!(telemetry::SOURCE_EVENTS, "kind" => kind).increment(1);
        match line {
            Line::Event { event, added } => {
                came(if added { "added" } else { "modified" });
                if self.admission.admits_watched(&event) {
                    self.tell(*event, false).await?;
                }
            }
            Line::Deleted { version } => {
                came("deleted");
                counter!(telemetry::SOURCE_SKIPPED, "reason" => "deleted").increment(1);
                self.admission.advance(&version);
            }
            Line::Bookmark { version } => {
                self.admission.advance(&version);
                self.shared.tell(SourceItem::Bookmark(self.admission.bookmark())).await?;
            }
            Line::Unknown => {}
        }
        Ok(())
    }
}

fn count(reason: &str) {
    counter!(telemetry::WATCH_ERRORS).increment(1);
    counter!(telemetry::SOURCE_FAILURES, "reason" => reason.to_owned()).increment(1);
}

fn undecodable(admission: &Admission, why: &str) {
    counter!(telemetry::SOURCE_SKIPPED, "reason" => "undecodable").increment(1);
    tracing::warn!(partition = %admission.partition, why, "an Event can't be read; it is left out");
}
