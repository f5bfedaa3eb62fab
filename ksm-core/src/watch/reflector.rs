//! The loop: list, watch, and again.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use kube::Client;
use kube::api::{ListParams, VersionMatch, WatchParams};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::answer::{error_event, read_body, send};
use super::ask::{self, From};
use super::backoff::Backoff;
use super::error::Result;
use super::lines::Events;
use super::missing::{MissingList, Place};
use super::part::{Changes, Part, changed};
use super::{Collection, EventSink, ListSemantic, ListStrategy, Request, WatchError, WatchOptions};
use crate::decode::{Head, HeadFields, PathTree, decode_list, decode_list_if, from_json};

/// A watch that lasted this long was a good one: the next failure starts with a short pause again.
const HEALTHY_WATCH: Duration = Duration::from_secs(10);

/// Lists and watches one collection of objects.
///
/// It runs until its future is dropped.
#[derive(Debug)]
pub struct Reflector {
    url: String,
    /// What `url` is made of, where other versions may do.
    collection: Option<Collection>,
    options: WatchOptions,
    unread: PathTree,
    /// Objects are asked for without all but their metadata.
    metadata_only: bool,
    /// Lists are not paged any more, since a token expired in the middle of one.
    whole_lists: bool,
    /// The length of the last page: the next will be about as long.
    last_page: usize,
    /// What the server does with a `shardSelector`.
    selects: Selects,
}

/// What the server said about the versions of a collection that it did not find.
enum Resolved {
    /// It serves another one, as `batch/v1beta1`.
    Other(String),
    /// It serves the one that it did not find.
    Same,
    /// It serves none.
    Nothing,
}

/// What a server does with a `shardSelector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selects {
    /// It was not asked yet.
    Unknown,
    Yes,
    /// It sends everything.
    No,
    /// It answers with an error.
    Refuses,
}

/// How a watch came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    ByServer,
    /// To be opened again with another selector.
    ToReselect,
}

/// What a `Deserialize` of a watch's line gives.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: EventKind,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum EventKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct VersionedMeta {
    resource_version: Option<String>,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// The part of any object that the loop itself reads.
#[derive(Deserialize)]
struct Versioned {
    metadata: Option<VersionedMeta>,
}

impl Reflector {
    /// A reflector of the collection at `url` (as `/api/v1/pods`), which leaves out the paths in `unread`.
    pub fn new(url: impl Into<String>, options: WatchOptions, unread: PathTree) -> Self {
        Self {
            url: url.into(),
            collection: None,
            options,
            unread,
            metadata_only: false,
            whole_lists: false,
            last_page: 0,
            selects: Selects::Unknown,
        }
    }

    /// A reflector that asks the server which versions of the collection it serves, where a list is answered 404.
    pub fn of(collection: Collection, options: WatchOptions, unread: PathTree) -> Self {
        let url = collection.url();
        Self { collection: Some(collection), ..Self::new(url, options, unread) }
    }

    /// Asks the server for the objects' metadata alone (`PartialObjectMetadata`): all else of an object is empty. For
    /// kinds whose objects may be large, like ConfigMaps, where nobody reads what they hold.
    pub fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        // They say what they are: a PartialObjectMetadata of meta.k8s.io/v1.
        self.unread.insert("apiVersion");
        self.unread.insert("kind");
        self
    }

    /// Lists and watches, and tells `sink`, until dropped.
    pub async fn run<K>(mut self, client: Client, sink: &mut impl EventSink<K>)
    where
        K: kube::Resource + DeserializeOwned,
    {
        let mut backoff = Backoff::new(&self.options);
        let mut version: Option<String> = None;
        let mut changes = sink.part_changes();
        let mut missing: Option<MissingList> = None;
        loop {
            let started = Instant::now();
            let was_watch = version.is_some();
            let outcome = match &mut version {
                None => {
                    missing = None;
                    self.list(&client, sink).await.map(|listed| {
                        version = Some(listed);
                        Ended::ByServer
                    })
                }
                Some(version) => self.watch(&client, version, &mut changes, &mut missing, sink).await,
            };
            sink.flush();
            match outcome {
                Ok(Ended::ByServer) if started.elapsed() >= HEALTHY_WATCH => backoff.reset(),
                // A server that ends every watch at once is not asked in a busy loop.
                Ok(Ended::ByServer) if was_watch && started.elapsed() < Duration::from_secs(1) => {
                    rest(backoff.next(None), &mut changes, sink).await;
                }
                Ok(Ended::ByServer | Ended::ToReselect) => {}
                Err(error) if error.request() == Request::List && self.falls_back(&error) => {
                    tracing::info!(url = self.url, "the server has no streaming lists: using pages from now on");
                    self.options.strategy = ListStrategy::Pages;
                }
                Err(error) if error.is_not_found() && self.collection.is_some() => {
                    // Whether a watch or a list: the next is a list, of whatever there is.
                    version = None;
                    match self.resolve(&client).await {
                        Ok(Resolved::Other(version)) => {
                            sink.resolved(Some(&version));
                            continue;
                        }
                        Ok(Resolved::Nothing) => sink.resolved(None),
                        Ok(Resolved::Same) => sink.failed(&error),
                        Err(error) => sink.failed(&error),
                    }
                    rest(backoff.next(error.retry_after()), &mut changes, sink).await;
                }
                Err(error) if error.request() == Request::List && self.selector_is_refused(&error) => {
                    tracing::info!(url = self.url, "the server refuses shard selectors: selecting here from now on");
                    self.selects = Selects::Refuses;
                }
                Err(error) => {
                    if error.is_gone() {
                        self.whole_lists = version.is_none();
                        version = None;
                    }
                    if started.elapsed() >= HEALTHY_WATCH {
                        backoff.reset();
                    }
                    sink.failed(&error);
                    rest(backoff.next(error.retry_after()), &mut changes, sink).await;
                }
            }
        }
    }

    /// Finds the version to go on with.
    async fn resolve(&mut self, client: &Client) -> Result<Resolved> {
        let Some(collection) = &mut self.collection else { return Ok(Resolved::Same) };
        let after = self.options.list_timeout;
        let served = timeout(after, collection.resolve(client))
            .await
            .map_err(|_| WatchError::Timeout { request: Request::List, after })?
            .map_err(|source| WatchError::Request { request: Request::List, source: Box::new(source) })?;
        // The type of the newest version refuses what calls itself another one.
        self.unread.insert("apiVersion");
        let url = std::mem::replace(&mut self.url, collection.url());
        Ok(match served {
            false => Resolved::Nothing,
            true if url == self.url => Resolved::Same,
            true => Resolved::Other(collection.api_version()),
        })
    }

    fn converted<'a>(&self, object: &'a RawValue) -> Cow<'a, str> {
        match &self.collection {
            Some(collection) => collection.convert(object.get()),
            None => Cow::Borrowed(object.get()),
        }
    }

    /// Whether a streaming list was refused as such.
    fn falls_back(&self, error: &WatchError) -> bool {
        self.options.strategy == ListStrategy::Streaming && matches!(error.code(), Some(400 | 422))
    }

    /// Whether a list was refused because of its `shardSelector`, most likely.
    fn selector_is_refused(&self, error: &WatchError) -> bool {
        self.selects == Selects::Unknown && matches!(error.code(), Some(400 | 422))
    }

    /// Lists, and returns the version to watch from.
    async fn list<K>(&mut self, client: &Client, sink: &mut impl EventSink<K>) -> Result<String>
    where
        K: kube::Resource + DeserializeOwned,
    {
        let part = sink.part();
        match self.options.strategy {
            // Whether a server selects, is told by a list's metadata, which a stream has not.
            ListStrategy::Streaming if part.selector.is_none() && self.options.object_limit.is_none() => {
                self.list_stream(client, part, sink).await
            }
            _ => self.list_pages(client, part, sink).await,
        }
    }

    async fn list_pages<K>(&mut self, client: &Client, part: Part, sink: &mut impl EventSink<K>) -> Result<String>
    where
        K: DeserializeOwned,
    {
        let mut token: Option<String> = None;
        let selector = part.selector.filter(|_| self.selects != Selects::Refuses);
        if selector.is_some() {
            self.selects = Selects::Unknown;
        }
        let limit = self.options.object_limit.unwrap_or(u64::MAX);
        let mut listed = 0;
        sink.init();
        loop {
            let params = self.list_params(token.take(), limit - listed);
            let request = ask::list(&self.url, &params, self.metadata_only, selector.as_deref())?;
            let after = self.options.list_timeout;
            let body = timeout(after, self.fetch_page(client, request))
                .await
                .map_err(|_| WatchError::Timeout { request: Request::List, after })??;
            self.last_page = body.len();
            let body = match &self.collection {
                Some(collection) => collection.convert_list(body),
                None => body,
            };
            sink.answered(Request::List);
            let told = std::cell::RefCell::new(&mut *sink);
            let mut beyond: u64 = 0;
            let object = |object: K| {
                if listed < limit {
                    listed += 1;
                    told.borrow_mut().init_apply(object);
                } else {
                    beyond += 1;
                }
            };
            let bad = |text: &str, error| told.borrow_mut().undecodable(text, &error);
            let list = match part.head {
                // What the server has selected needs no look at its head.
                Some(fields) if self.selects != Selects::Yes => {
                    let wanted =
                        |text: &str| Head::of_object(text, fields).is_none_or(|head| told.borrow_mut().admits(&head));
                    decode_list_if(&body, &self.unread, wanted, object, bad)?
                }
                _ => decode_list(&body, &self.unread, object, bad)?,
            };
            self.learn(selector.as_deref(), list.shard_selector.as_deref());
            // Lets other tasks run between pages; decoding one is a millisecond's work.
            tokio::task::yield_now().await;
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) if listed < limit => {
                    sink.completed(Request::List);
                    token = Some(next);
                }
                next => {
                    if self.options.object_limit.is_some() {
                        let rest = list.metadata.remaining_item_count.and_then(|rest| u64::try_from(rest).ok());
                        let left_out = if next.is_some() { rest.map(|rest| rest + beyond) } else { Some(beyond) };
                        sink.limited(listed, left_out);
                    }
                    sink.init_done();
                    self.whole_lists = false;
                    let version = list.metadata.resource_version.filter(|version| !version.is_empty());
                    let version = version.ok_or(WatchError::NoResourceVersion)?;
                    sink.completed(Request::List);
                    return Ok(version);
                }
            }
        }
    }

    /// Notes whether the server has selected what it was asked to. A list of which one page was not selected is none
    /// that was.
    fn learn(&mut self, asked: Option<&str>, applied: Option<&str>) {
        if asked.is_some() && self.selects != Selects::No {
            self.selects = if asked == applied { Selects::Yes } else { Selects::No };
        }
    }

    /// Asks for one object, to learn whether the server selects.
    async fn probe(&mut self, client: &Client, selector: &str) -> Result<()> {
        #[derive(Deserialize, Default)]
        struct Any {}
        // At the most recent state: any other may come whole.
        let params =
            ListParams { limit: Some(1), version_match: None, resource_version: None, ..self.list_params(None, 1) };
        let request = ask::list(&self.url, &params, self.metadata_only, Some(selector))?;
        let after = self.options.list_timeout;
        let body = timeout(after, self.fetch_page(client, request)).await;
        let body = body.map_err(|_| WatchError::Timeout { request: Request::List, after })??;
        let list = decode_list(&body, &PathTree::default(), |_: Any| {}, |_, _| {})?;
        self.learn(Some(selector), list.shard_selector.as_deref());
        Ok(())
    }

    fn list_params(&self, token: Option<String>, most: u64) -> ListParams {
        let any = self.options.semantic == ListSemantic::Any && token.is_none();
        ListParams {
            label_selector: self.options.label_selector.clone(),
            field_selector: self.options.field_selector.clone(),
            limit: (!self.whole_lists)
                .then(|| u32::try_from(most).map_or(self.options.page_size, |most| most.min(self.options.page_size))),
            version_match: any.then_some(VersionMatch::NotOlderThan),
            resource_version: any.then(|| "0".to_owned()),
            continue_token: token,
            ..ListParams::default()
        }
    }

    async fn fetch_page(&self, client: &Client, request: http::Request<Vec<u8>>) -> Result<Bytes> {
        let response = send(client, request, Request::List).await?;
        read_body(response.into_body(), self.last_page, self.options.max_body, Request::List).await
    }

    /// A list as a stream: events until the bookmark that ends it.
    async fn list_stream<K>(&self, client: &Client, part: Part, sink: &mut impl EventSink<K>) -> Result<String>
    where
        K: kube::Resource + DeserializeOwned,
    {
        let params = WatchParams { send_initial_events: true, ..self.watch_params() };
        let request = ask::watch(&self.url, &params, From::TheBeginning, self.metadata_only, None)?;
        let after = self.options.list_timeout;
        let answer = timeout(after, send(client, request, Request::List)).await;
        let response = answer.map_err(|_| WatchError::Timeout { request: Request::List, after })??;
        sink.answered(Request::List);
        sink.init();
        let deadline = self.watch_deadline();
        let mut events = Events::new(response.into_body(), self.options.max_body, Request::List);
        while let Some(line) = until(deadline, Request::List, events.next(|| {})).await? {
            if foreign(&line, part.head, sink).is_some() {
                continue;
            }
            let event = parse_line(&line, Request::List)?;
            match event.kind {
                EventKind::Added | EventKind::Modified => {
                    let text = self.converted(event.object);
                    match from_json(text.as_bytes(), &self.unread) {
                        Ok(object) => sink.init_apply(object),
                        Err(error) => sink.undecodable(&text, &error),
                    }
                }
                EventKind::Bookmark => {
                    let meta = versioned(event.object.get());
                    let ends = meta.annotations.is_some_and(|a| a.contains_key("k8s.io/initial-events-end"));
                    if ends {
                        sink.init_done();
                        let version = meta.resource_version.ok_or(WatchError::NoResourceVersion)?;
                        sink.completed(Request::List);
                        return Ok(version);
                    }
                }
                EventKind::Error => return Err(error_event(event.object.get(), Request::List)),
                EventKind::Deleted | EventKind::Unknown => {}
            }
        }
        Err(WatchError::Body { request: Request::List, source: "the stream ended before the list was complete".into() })
    }

    fn watch_params(&self) -> WatchParams {
        WatchParams {
            label_selector: self.options.label_selector.clone(),
            field_selector: self.options.field_selector.clone(),
            timeout: Some(self.options.watch_seconds.clamp(1, 294)),
            bookmarks: true,
            send_initial_events: false,
        }
    }

    /// The end of a watch that the server did not end: its own time, and a quarter of it and a bit.
    fn watch_deadline(&self) -> Instant {
        let seconds = Duration::from_secs(u64::from(self.options.watch_seconds));
        Instant::now() + seconds + seconds / 4 + Duration::from_secs(1)
    }

    /// Watches from `version` on, and keeps it up to date, until the server ends the watch. Lists beside it what the
    /// sink misses.
    async fn watch<K>(
        &mut self,
        client: &Client,
        version: &mut String,
        changes: &mut Changes,
        missing: &mut Option<MissingList>,
        sink: &mut impl EventSink<K>,
    ) -> Result<Ended>
    where
        K: kube::Resource + DeserializeOwned,
    {
        let mut part = sink.part();
        if let (Some(selector), Selects::Unknown) = (&part.selector, self.selects) {
            self.probe(client, selector).await?;
        }
        let selected = self.selects == Selects::Yes;
        let selector = part.selector.as_deref().filter(|_| selected);
        let from = From::Version(version);
        let request = ask::watch(&self.url, &self.watch_params(), from, self.metadata_only, selector)?;
        let after = self.options.list_timeout;
        let answer = timeout(after, send(client, request, Request::Watch)).await;
        let response = answer.map_err(|_| WatchError::Timeout { request: Request::Watch, after })??;
        sink.answered(Request::Watch);
        let place = Place {
            client,
            url: &self.url,
            collection: self.collection.as_ref(),
            metadata_only: self.metadata_only,
            options: &self.options,
            unread: &self.unread,
        };
        aim(missing, &place, &part, version);
        let deadline = self.watch_deadline();
        let mut events = Events::new(response.into_body(), self.options.max_body, Request::Watch);
        loop {
            let line = tokio::select! {
                () = changed(changes) => {
                    let new = sink.part();
                    if selected && new.selector != part.selector {
                        sink.completed(Request::Watch);
                        return Ok(Ended::ToReselect);
                    }
                    part = new;
                    aim(missing, &place, &part, version);
                    continue;
                }
                page = next_page(missing) => {
                    if missing.as_mut().is_some_and(|list| list.take(&place, page, sink)) {
                        *missing = None;
                    }
                    continue;
                }
                line = until(deadline, Request::Watch, events.next(|| sink.flush())) => line?,
            };
            let Some(line) = line else {
                sink.completed(Request::Watch);
                return Ok(Ended::ByServer);
            };
            if let Some(head) = foreign(&line, part.head, sink) {
                advance(version, head.resource_version.as_deref());
                continue;
            }
            let event = parse_line(&line, Request::Watch)?;
            match event.kind {
                EventKind::Error => return Err(error_event(event.object.get(), Request::Watch)),
                EventKind::Unknown => {}
                EventKind::Bookmark => advance(version, versioned(event.object.get()).resource_version.as_deref()),
                EventKind::Added | EventKind::Modified | EventKind::Deleted => {
                    let text = self.converted(event.object);
                    match from_json::<K>(text.as_bytes(), &self.unread) {
                        Ok(object) => {
                            advance(version, object.meta().resource_version.as_deref());
                            if event.kind == EventKind::Deleted {
                                sink.delete(object);
                            } else {
                                sink.apply(object);
                            }
                        }
                        Err(error) => {
                            advance(version, versioned(&text).resource_version.as_deref());
                            sink.undecodable(&text, &error);
                        }
                    }
                }
            }
        }
    }
}

/// Begins, goes on with, or gives up the list of what is missing.
fn aim(list: &mut Option<MissingList>, of: &Place<'_>, part: &Part, version: &str) {
    match &part.missing {
        None => *list = None,
        Some(missing) if list.as_ref().is_some_and(|list| list.number() == missing.number) => {}
        Some(missing) => *list = Some(MissingList::begin(of, missing.clone(), version)),
    }
}

async fn next_page(list: &mut Option<MissingList>) -> Result<Bytes> {
    match list {
        Some(list) => list.page().await,
        None => std::future::pending().await,
    }
}

/// Pauses after a failure. What the sink does not want any more goes nevertheless.
async fn rest<K>(pause: Duration, changes: &mut Changes, sink: &mut impl EventSink<K>) {
    let mut pause = std::pin::pin!(sleep(pause));
    loop {
        tokio::select! {
            () = &mut pause => return,
            () = changed(changes) => {
                sink.part();
            }
        }
    }
}

/// The head of an event's object, where the sink does not want the object.
fn foreign<'l, K>(line: &'l str, fields: Option<HeadFields>, sink: &mut impl EventSink<K>) -> Option<Head<'l>> {
    let (kind, head) = Head::of_event(line, fields?)?;
    let about_an_object = matches!(kind.as_ref(), "ADDED" | "MODIFIED" | "DELETED");
    (about_an_object && !sink.admits(&head)).then_some(head)
}

fn advance(version: &mut String, seen: Option<&str>) {
    if let Some(seen) = seen.filter(|seen| !seen.is_empty()) {
        version.clear();
        version.push_str(seen);
    }
}

fn parse_line(line: &str, request: Request) -> Result<Line<'_>> {
    serde_json::from_str(line).map_err(|source| WatchError::Event { request, source })
}

fn versioned(object: &str) -> VersionedMeta {
    serde_json::from_str::<Versioned>(object).ok().and_then(|object| object.metadata).unwrap_or_default()
}

async fn until<T>(deadline: Instant, request: Request, work: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    timeout_at(deadline, work)
        .await
        .map_err(|_| WatchError::Timeout { request, after: deadline.saturating_duration_since(began) })?
}
