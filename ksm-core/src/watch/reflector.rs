//! The loop: list, watch, and again.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::Client;
use kube::api::{ListParams, VersionMatch, WatchParams};
use kube::client::Body;
use kube::core::Status;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout, timeout_at};

use super::backoff::Backoff;
use super::lines::Lines;
use super::{Collection, EventSink, ListSemantic, ListStrategy, Request, WatchError, WatchOptions};
use crate::decode::{PathTree, decode_list, from_json};

/// The most of an error's body that is read.
const MAX_ERROR_BODY: usize = 64 * 1024;
/// A watch that lasted this long was a good one: the next failure starts with a short pause again.
const HEALTHY_WATCH: Duration = Duration::from_secs(10);

/// Metadata alone, from servers that know that form; whole objects from others.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

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

type Result<T, E = WatchError> = std::result::Result<T, E>;

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
        loop {
            let started = Instant::now();
            let was_watch = version.is_some();
            let outcome = match &mut version {
                None => self.list(&client, sink).await.map(|listed| version = Some(listed)),
                Some(version) => self.watch(&client, version, sink).await,
            };
            sink.flush();
            match outcome {
                Ok(()) if started.elapsed() >= HEALTHY_WATCH => backoff.reset(),
                // A server that ends every watch at once is not asked in a busy loop.
                Ok(()) if was_watch && started.elapsed() < Duration::from_secs(1) => backoff.pause(None).await,
                Ok(()) => {}
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
                    backoff.pause(error.retry_after()).await;
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
                    backoff.pause(error.retry_after()).await;
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

    /// Lists, and returns the version to watch from.
    async fn list<K>(&mut self, client: &Client, sink: &mut impl EventSink<K>) -> Result<String>
    where
        K: kube::Resource + DeserializeOwned,
    {
        match self.options.strategy {
            ListStrategy::Pages => self.list_pages(client, sink).await,
            ListStrategy::Streaming => self.list_stream(client, sink).await,
        }
    }

    async fn list_pages<K>(&mut self, client: &Client, sink: &mut impl EventSink<K>) -> Result<String>
    where
        K: DeserializeOwned,
    {
        let mut token: Option<String> = None;
        sink.init();
        loop {
            let params = self.list_params(token.take());
            let request = kube::core::Request::new(&self.url).list(&params);
            let request = self.in_form(request, Request::List, METADATA_LIST)?;
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
            let list = decode_list(
                &body,
                &self.unread,
                |object: K| told.borrow_mut().init_apply(object),
                |text, error| told.borrow_mut().undecodable(text, &error),
            )?;
            // Lets other tasks run between pages; decoding one is a millisecond's work.
            tokio::task::yield_now().await;
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => {
                    sink.completed(Request::List);
                    token = Some(next);
                }
                None => {
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

    fn list_params(&self, token: Option<String>) -> ListParams {
        let any = self.options.semantic == ListSemantic::Any && token.is_none();
        ListParams {
            label_selector: self.options.label_selector.clone(),
            field_selector: self.options.field_selector.clone(),
            limit: (!self.whole_lists).then_some(self.options.page_size),
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
    async fn list_stream<K>(&self, client: &Client, sink: &mut impl EventSink<K>) -> Result<String>
    where
        K: kube::Resource + DeserializeOwned,
    {
        let params = WatchParams { send_initial_events: true, ..self.watch_params() };
        let request = kube::core::Request::new(&self.url).watch(&params, "");
        let request = self.in_form(request, Request::List, METADATA)?;
        let after = self.options.list_timeout;
        let answer = timeout(after, send(client, request, Request::List)).await;
        let response = answer.map_err(|_| WatchError::Timeout { request: Request::List, after })??;
        sink.answered(Request::List);
        sink.init();
        let deadline = self.watch_deadline();
        let mut events = Events::new(response.into_body(), self.options.max_body, Request::List);
        while let Some(line) = until(deadline, Request::List, events.next(|| {})).await? {
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

    /// The request, for whole objects or for their metadata.
    fn in_form(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        asked: Request,
        metadata: &'static str,
    ) -> Result<http::Request<Vec<u8>>> {
        let mut request = request.map_err(|error| build_error(asked, error))?;
        if self.metadata_only {
            request.headers_mut().insert(http::header::ACCEPT, http::HeaderValue::from_static(metadata));
        }
        Ok(request)
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

    /// Watches from `version` on, and keeps it up to date, until the server ends the watch.
    async fn watch<K>(&self, client: &Client, version: &mut String, sink: &mut impl EventSink<K>) -> Result<()>
    where
        K: kube::Resource + DeserializeOwned,
    {
        let request = kube::core::Request::new(&self.url).watch(&self.watch_params(), version);
        let request = self.in_form(request, Request::Watch, METADATA)?;
        let after = self.options.list_timeout;
        let answer = timeout(after, send(client, request, Request::Watch)).await;
        let response = answer.map_err(|_| WatchError::Timeout { request: Request::Watch, after })??;
        sink.answered(Request::Watch);
        let deadline = self.watch_deadline();
        let mut events = Events::new(response.into_body(), self.options.max_body, Request::Watch);
        while let Some(line) = until(deadline, Request::Watch, events.next(|| sink.flush())).await? {
            let event = parse_line(&line, Request::Watch)?;
            match event.kind {
                EventKind::Error => return Err(error_event(event.object.get(), Request::Watch)),
                EventKind::Unknown => {}
                EventKind::Bookmark => advance(version, versioned(event.object.get()).resource_version),
                EventKind::Added | EventKind::Modified | EventKind::Deleted => {
                    let text = self.converted(event.object);
                    match from_json::<K>(text.as_bytes(), &self.unread) {
                        Ok(object) => {
                            advance(version, object.meta().resource_version.clone());
                            if event.kind == EventKind::Deleted {
                                sink.delete(object);
                            } else {
                                sink.apply(object);
                            }
                        }
                        Err(error) => {
                            advance(version, versioned(&text).resource_version);
                            sink.undecodable(&text, &error);
                        }
                    }
                }
            }
        }
        sink.completed(Request::Watch);
        Ok(())
    }
}

fn advance(version: &mut String, seen: Option<String>) {
    if let Some(seen) = seen.filter(|seen| !seen.is_empty()) {
        *version = seen;
    }
}

fn parse_line(line: &str, request: Request) -> Result<Line<'_>> {
    serde_json::from_str(line).map_err(|source| WatchError::Event { request, source })
}

fn versioned(object: &str) -> VersionedMeta {
    serde_json::from_str::<Versioned>(object).ok().and_then(|object| object.metadata).unwrap_or_default()
}

fn error_event(status: &str, request: Request) -> WatchError {
    let status: Status = serde_json::from_str(status).unwrap_or_default();
    WatchError::Status {
        request,
        code: status.code,
        retry_after: retry_after_of(&status),
        reason: status.reason,
        message: status.message,
    }
}

fn retry_after_of(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(u64::from(seconds)))
}

fn build_error(request: Request, error: kube::core::request::Error) -> WatchError {
    WatchError::Request { request, source: Box::new(kube::Error::BuildRequest(error)) }
}

async fn until<T>(deadline: Instant, request: Request, work: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    timeout_at(deadline, work)
        .await
        .map_err(|_| WatchError::Timeout { request, after: deadline.saturating_duration_since(began) })?
}

/// Sends a request; an answer other than success is an error with the server's words.
async fn send(client: &Client, request: http::Request<Vec<u8>>, asked: Request) -> Result<http::Response<Body>> {
    let response = client
        .send(request.map(Body::from))
        .await
        .map_err(|source| WatchError::Request { request: asked, source: Box::new(source) })?;
    if response.status().is_success() {
        return Ok(response);
    }
    let code = response.status().as_u16();
    let header = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let header = header.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let body = read_body(response.into_body(), 0, MAX_ERROR_BODY, asked).await.unwrap_or_default();
    let status: Option<Status> = serde_json::from_slice(&body).ok();
    let retry_after = header.or_else(|| status.as_ref().and_then(retry_after_of));
    let (reason, message) = match status {
        Some(status) => (status.reason, status.message),
        None => (String::new(), String::from_utf8_lossy(&body).chars().take(200).collect()),
    };
    Err(WatchError::Status { request: asked, code, reason, message, retry_after })
}

/// Reads a body that is expected to be about `expected` long.
async fn read_body(mut body: Body, expected: usize, limit: usize, request: Request) -> Result<Bytes> {
    let mut read = Vec::with_capacity(expected.saturating_add(expected / 8).min(limit));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| WatchError::Body { request, source: source.into() })?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            return Err(WatchError::TooLong { request, limit });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.into())
}

/// The lines of a watch's body.
struct Events {
    body: Body,
    lines: Lines,
    limit: usize,
    request: Request,
}

impl Events {
    fn new(body: Body, limit: usize, request: Request) -> Self {
        Self { body, lines: Lines::default(), limit, request }
    }

    /// The next line, with U+FFFD for bytes that are no UTF-8; none at the end. `idle` is called before waiting for the network.
    async fn next(&mut self, mut idle: impl FnMut()) -> Result<Option<String>> {
        loop {
            if let Some(line) = self.lines.next() {
                return Ok(Some(
                    String::from_utf8(line.into())
                        .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
                ));
            }
            idle();
            let Some(frame) = self.body.frame().await else {
                return if self.lines.pending() == 0 {
                    Ok(None)
                } else {
                    Err(WatchError::Body { request: self.request, source: "the last event is cut short".into() })
                };
            };
            let frame = frame.map_err(|source| WatchError::Body { request: self.request, source: source.into() })?;
            let Ok(data) = frame.into_data() else { continue };
            if self.lines.pending() + data.len() > self.limit {
                return Err(WatchError::TooLong { request: self.request, limit: self.limit });
            }
            self.lines.push(&data);
        }
    }
}
