//! Leases from an API server: list, then watch, for ever, through whatever fails.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::serde_json::{self, value::RawValue};
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::{Request, Status};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

use crate::api::{ApiError, call, from_status, send};
use crate::pace::{Backoff, Jitter};

/// Leases in a page: some 1 KB each.
const PAGE: u32 = 500;
/// The longest page, and the longest event.
const MAX_PAGE: usize = 64 << 20;
const MAX_EVENT: usize = 4 << 20;
/// What a page may take.
const LIST_DEADLINE: Duration = Duration::from_mins(1);
/// What the making of a client may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// How long a watch is asked to last, in seconds; a connection that went silent is noticed a quarter later.
const WATCH_SECONDS: u32 = 290;
const WATCH_DEADLINE: Duration = Duration::from_secs(363);
/// A watch that ends sooner than that is no reason to begin the next one at once.
const SHORT: Duration = Duration::from_secs(1);
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What a feed tells of the Leases.
#[derive(Debug)]
pub(super) enum FeedEvent {
    ListBegins,
    Listed(Box<Lease>),
    ListEnds,
    Changed(Box<Lease>),
    /// By its name.
    Deleted(String),
    /// A Lease that can't be read, and why.
    Undecodable(String),
    /// The server answers, and has nothing to tell.
    Connected,
    /// The source failed; it will be tried again.
    Failed(Failure),
}

/// Why there are no news.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) message: String,
    /// For metrics.
    pub(super) word: String,
}

impl From<&ApiError> for Failure {
    fn from(error: &ApiError) -> Self {
        Self { message: error.to_string(), word: error.word() }
    }
}

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Connect = dyn Fn() -> BoxFuture<'static, Result<Client, BoxError>> + Send + Sync;

/// Where a client comes from.
#[derive(Clone)]
pub(super) enum Connection {
    Ready(Client),
    /// Made when it is needed, and tried again where that fails.
    Lazy(Arc<Connect>),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready(_) => "Ready",
            Self::Lazy(_) => "Lazy",
        })
    }
}

/// Which Leases.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) namespace: String,
    /// Only those with this label.
    pub(super) label: Option<(String, String)>,
}

impl Scope {
    /// Whether a Lease of another watch is in it.
    pub(super) fn has(&self, lease: &Lease) -> bool {
        let labels = lease.metadata.labels.as_ref();
        let labelled = |(key, value): &(String, String)| labels.is_some_and(|labels| labels.get(key) == Some(value));
        lease.metadata.namespace.as_ref() == Some(&self.namespace) && self.label.as_ref().is_none_or(labelled)
    }

    fn selector(&self) -> Option<String> {
        self.label.as_ref().map(|(key, value)| format!("{key}={value}"))
    }
}

pub(super) struct Feed {
    scope: Scope,
    out: mpsc::Sender<FeedEvent>,
    jitter: Jitter,
    backoff: Backoff,
}

/// The end of whoever listens.
struct Closed;

impl Feed {
    pub(super) fn new(scope: Scope, out: mpsc::Sender<FeedEvent>) -> Self {
        Self { scope, out, jitter: Jitter::new(None), backoff: Backoff::new(BACKOFF.0, BACKOFF.1) }
    }

    /// Runs until nobody listens any more.
    pub(super) async fn run(mut self, connection: Connection) {
        // The only way out is that the receiver is gone.
        let Err(Closed) = self.run_open(connection).await;
    }

    async fn run_open(&mut self, connection: Connection) -> Result<std::convert::Infallible, Closed> {
        let client = match connection {
            Connection::Ready(client) => client,
            Connection::Lazy(connect) => self.connect(&*connect).await?,
        };
        let mut from: Option<String> = None;
        loop {
            let began = Instant::now();
            let watched = from.is_some();
            let ended = match &mut from {
                None => self.list(&client).await?.map(|version| from = Some(version)),
                Some(version) => self.watch(&client, version).await?,
            };
            let long = watched && began.elapsed() >= SHORT;
            if long {
                self.backoff.reset();
            }
            match ended {
                Ok(()) if watched && !long => self.pause(None).await,
                Ok(()) => {}
                // The version is too old, and only a new list helps; at once, if it was good for a while.
                Err(error) if error.code() == Some(410) => {
                    from = None;
                    if !long {
                        self.fail(&error).await?;
                    }
                }
                Err(error) => self.fail(&error).await?,
            }
        }
    }

    async fn connect(&mut self, connect: &Connect) -> Result<Client, Closed> {
        loop {
            let connected = timeout(CONNECT_DEADLINE, connect()).await;
            match connected.unwrap_or_else(|_| Err(format!("none within {CONNECT_DEADLINE:?}").into())) {
                Ok(client) => {
                    self.backoff.reset();
                    return Ok(client);
                }
                Err(error) => {
                    let message = format!("no client: {error}");
                    self.tell(FeedEvent::Failed(Failure { message, word: "no_client".to_owned() })).await?;
                    self.pause(None).await;
                }
            }
        }
    }

    async fn tell(&self, event: FeedEvent) -> Result<(), Closed> {
        self.out.send(event).await.map_err(|_| Closed)
    }

    async fn pause(&mut self, asked: Option<Duration>) {
        let pause = self.backoff.next(asked, &mut self.jitter);
        sleep(pause).await;
    }

    async fn fail(&mut self, error: &ApiError) -> Result<(), Closed> {
        self.tell(FeedEvent::Failed(error.into())).await?;
        self.pause(error.retry_after()).await;
        Ok(())
    }

    fn request(&self) -> Request {
        Request::new(format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.scope.namespace))
    }

    /// Lists all Leases; the version that the list is of.
    async fn list(&mut self, client: &Client) -> Result<Result<String, ApiError>, Closed> {
        #[derive(Deserialize)]
        struct Page {
            metadata: Meta,
            items: Option<Vec<Box<RawValue>>>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Meta {
            resource_version: Option<String>,
            #[serde(rename = "continue")]
            token: Option<String>,
        }
        let label_selector = self.scope.selector();
        let mut params = ListParams { limit: Some(PAGE), label_selector, ..ListParams::default() };
        let mut begun = false;
        loop {
            let request = self.request().list(&params);
            let page: Page = match call(client, "list Leases", request, LIST_DEADLINE, MAX_PAGE).await {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            if !std::mem::replace(&mut begun, true) {
                self.tell(FeedEvent::ListBegins).await?;
            }
            for item in page.items.into_iter().flatten() {
                self.tell(decoded(item.get(), FeedEvent::Listed)).await?;
            }
            params.continue_token = page.metadata.token.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                self.tell(FeedEvent::ListEnds).await?;
                return Ok(Ok(page.metadata.resource_version.unwrap_or_default()));
            }
        }
    }

    /// Watches from a version on, which moves with what comes, until the watch's time is over.
    async fn watch(&mut self, client: &Client, version: &mut String) -> Result<Result<(), ApiError>, Closed> {
        let watching = self.watch_to_end(client, version);
        let late = || Ok(Err(ApiError::Timeout { what: "watch Leases", after: WATCH_DEADLINE }));
        timeout(WATCH_DEADLINE, watching).await.unwrap_or_else(|_| late())
    }

    async fn watch_to_end(&self, client: &Client, version: &mut String) -> Result<Result<(), ApiError>, Closed> {
        const WHAT: &str = "watch Leases";
        let label_selector = self.scope.selector();
        let params =
            WatchParams { label_selector, timeout: Some(WATCH_SECONDS), bookmarks: true, ..WatchParams::default() };
        let response = match timeout(LIST_DEADLINE, send(client, WHAT, self.request().watch(&params, version))).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Ok(Err(error)),
            Err(_) => return Ok(Err(ApiError::Timeout { what: WHAT, after: LIST_DEADLINE })),
        };
        self.tell(FeedEvent::Connected).await?;
        let body = response.into_body().into_data_stream().map_err(std::io::Error::other);
        let mut lines = FramedRead::new(StreamReader::new(body), LinesCodec::new_with_max_length(MAX_EVENT));
        while let Some(line) = lines.next().await {
            let line = match line {
                Ok(line) => line,
                Err(source) => return Ok(Err(ApiError::Body { what: WHAT, source: source.into() })),
            };
            if line.trim().is_empty() {
                continue;
            }
            let told = match event(&line, version) {
                Ok(told) => told,
                Err(error) => return Ok(Err(error)),
            };
            self.tell(told).await?;
        }
        Ok(Ok(()))
    }
}

fn decoded(text: &str, event: impl FnOnce(Box<Lease>) -> FeedEvent) -> FeedEvent {
    match serde_json::from_str(text) {
        Ok(lease) => event(Box::new(lease)),
        Err(error) => FeedEvent::Undecodable(error.to_string()),
    }
}

/// A line of a watch; `version` becomes that of its object.
fn event(line: &str, version: &mut String) -> Result<FeedEvent, ApiError> {
    const WHAT: &str = "watch Leases";
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Object {
        metadata: Meta,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        name: Option<String>,
        resource_version: Option<String>,
    }
    let unreadable = |source| ApiError::Decode { what: WHAT, source };
    let Event { kind, object } = serde_json::from_str(line).map_err(unreadable)?;
    if kind == "ERROR" {
        let status: Status = serde_json::from_str(object.get()).map_err(unreadable)?;
        return Err(from_status(WHAT, status.code, None, status));
    }
    let Object { metadata } = serde_json::from_str(object.get()).map_err(unreadable)?;
    if let Some(newer) = metadata.resource_version {
        *version = newer;
    }
    Ok(match (kind, metadata.name) {
        ("ADDED" | "MODIFIED", _) => decoded(object.get(), FeedEvent::Changed),
        ("DELETED", Some(name)) => FeedEvent::Deleted(name),
        // A bookmark, or what later servers may send.
        _ => FeedEvent::Connected,
    })
}
