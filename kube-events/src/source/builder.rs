//! Makes sources.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use futures::Stream;
use kube::runtime::watcher;
use kube::{Client, Resource};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admit::{Admission, Listing, Place};
use super::ask::Collection;
use super::feed::Feed;
use super::gap::{GapReason, Resume};
use super::options::SourceOptions;
use super::relay::Relay;
use super::status::{Shared, SourceStatus};
use super::{EventSource, Queued};
use crate::checkpoint::{EventsApi, Marks};
use crate::clock::{Clock, WallClock};
use crate::event::Event;

/// Makes an [`EventSource`].
#[must_use]
pub struct SourceBuilder {
    client: Client,
    api: EventsApi,
    namespaces: BTreeSet<String>,
    settings: Settings,
}

#[derive(Clone, Default)]
struct Settings {
    options: SourceOptions,
    resume: Resume,
    clock: WallClock,
}

impl fmt::Debug for SourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceBuilder")
            .field("api", &self.api)
            .field("namespaces", &self.namespaces)
            .field("options", &self.settings.options)
            .finish_non_exhaustive()
    }
}

impl SourceBuilder {
    pub(super) fn new(client: Client) -> Self {
        let (api, namespaces) = (EventsApi::default(), BTreeSet::new());
        Self { client, api, namespaces, settings: Settings::default() }
    }

    /// Through which API; `v1` by default. Both tell the same events: the new one has more precise times in more of
    /// them, and servers before 1.19 lack it.
    pub fn api(mut self, api: EventsApi) -> Self {
        self.api = api;
        self
    }

    /// Only events in these namespaces, each by a watch of its own; all by default. Events about what has no namespace
    /// are in `default`.
    pub fn namespaces(mut self, namespaces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.namespaces = namespaces.into_iter().map(Into::into).collect();
        self
    }

    /// Other options than the defaults.
    pub fn options(mut self, options: SourceOptions) -> Self {
        self.settings.options = options;
        self
    }

    /// From where; from nothing by default. See [`Resume::load`].
    pub fn resume(mut self, resume: Resume) -> Self {
        self.settings.resume = resume;
        self
    }

    /// Another clock than the system's, to measure ages by.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = WallClock(Arc::new(clock));
        self
    }

    /// Begins to list or watch, on the runtime that this is called in.
    pub fn spawn(self) -> EventSource {
        let partitions: Vec<Arc<str>> = if self.namespaces.is_empty() || self.namespaces.contains("") {
            vec!["".into()]
        } else {
            self.namespaces.iter().map(|name| name.as_str().into()).collect()
        };
        let (mut source, shared) = parts(self.api, &self.settings, partitions.len());
        for partition in partitions {
            let (place, due) = begin(self.api, &self.settings.resume, &partition);
            let collection = Collection::new(self.client.clone(), self.api, &partition);
            let feed = Feed::new(collection, self.settings.admission(partition, place), shared.clone(), due);
            spawn(&mut source, shared.clone(), feed.run());
        }
        source
    }
}

impl EventSource {
    /// The events of a watch that the host has: of `k8s_openapi::api::core::v1::Event` or
    /// `k8s_openapi::api::events::v1::Event`. It needs no right of its own.
    ///
    /// Such a watch can't begin at a stored position: what it lists at first, or when it begins anew, is held against the
    /// position, and a [`Gap`](super::Gap) says what may have been missed. Versions of lists are not told, so that
    /// positions move on with events only. Selectors, page size and times of the options mean nothing here.
    ///
    /// ```no_run
    /// use k8s_openapi::api::core::v1::Event;
    /// use kube::runtime::watcher;
    /// use kube_events::source::{EventSource, Resume, SourceOptions};
    ///
    /// # async fn example(client: kube::Client) {
    /// let events = watcher(kube::Api::<Event>::all(client), watcher::Config::default());
    /// let source = EventSource::from_stream(events, SourceOptions::default(), Resume::Fresh);
    /// # drop(source);
    /// # }
    /// ```
    pub fn from_stream<K>(
        events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
        options: SourceOptions,
        resume: Resume,
    ) -> Self
    where
        K: Resource<DynamicType = ()> + Into<Event> + Send + 'static,
    {
        Self::from_stream_with(events, options, resume, jiff::Timestamp::now)
    }

    /// As [`from_stream`](Self::from_stream), with another clock than the system's.
    pub fn from_stream_with<K>(
        events: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
        options: SourceOptions,
        resume: Resume,
        clock: impl Clock,
    ) -> Self
    where
        K: Resource<DynamicType = ()> + Into<Event> + Send + 'static,
    {
        let api = if K::group(&()).is_empty() { EventsApi::Core } else { EventsApi::Events };
        let settings = Settings { options, resume, clock: WallClock(Arc::new(clock)) };
        let (mut source, shared) = parts(api, &settings, 1);
        let (place, due) = begin(api, &settings.resume, "");
        let next = due.unwrap_or(Listing::After(GapReason::Relisted));
        let admission = settings.admission("".into(), place);
        let relay = Relay { admission, shared: shared.clone(), next, synced: false };
        spawn(&mut source, shared, relay.run(events));
        source
    }
}

impl Settings {
    fn admission(&self, partition: Arc<str>, place: Place) -> Admission {
        Admission::new(partition, Arc::new(self.options.clone()), self.clock.clone(), place)
    }
}

fn parts(api: EventsApi, settings: &Settings, partitions: usize) -> (EventSource, Arc<Shared>) {
    const MOST: usize = 1 << 20;
    let (out, items) = mpsc::channel::<Queued>(settings.options.queue.clamp(1, MOST));
    let (status, receiver) = watch::channel(SourceStatus::default());
    let shared = Arc::new(Shared::new(out, status, partitions));
    let (cancel, tasks) = (CancellationToken::new(), JoinSet::new());
    (EventSource { api, items, status: receiver, cancel, tasks }, shared)
}

fn spawn(source: &mut EventSource, shared: Arc<Shared>, work: impl Future<Output = ()> + Send + 'static) {
    let cancel = source.cancel.clone();
    source.tasks.spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            // Nobody takes items any more, in a quiet time.
            () = shared.out.closed() => {}
            () = work => {}
        }
    });
}

/// Where a partition begins, and the list that it needs first.
fn begin(api: EventsApi, resume: &Resume, partition: &str) -> (Place, Option<Listing>) {
    match resume {
        Resume::Fresh => (Place::default(), Some(Listing::Fresh)),
        Resume::Lost => (Place::default(), Some(Listing::Lost)),
        Resume::From(Marks { api: stored, marks }) => match marks.get(partition) {
            // A namespace that was not watched before.
            None => (Place::default(), Some(Listing::Fresh)),
            Some(mark) if *stored == api => (mark.into(), None),
            Some(mark) => (mark.into(), Some(Listing::After(GapReason::ApiChanged))),
        },
    }
}
