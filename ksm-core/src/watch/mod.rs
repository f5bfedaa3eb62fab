//! Objects from an API server: list, then watch, for ever, through whatever fails.
//!
//! It is a reflector's source like `kube::runtime::watcher`, with what an agent needs beyond it: objects are handed
//! over while the list is being read, so that a list of 100,000 pods is never in memory; one bad object costs itself
//! only; a streaming list that the server refuses falls back to pages for good; `Retry-After` is honoured; a watch that
//! went silent ends by a deadline; a cluster that lacks the newest version of a resource is watched in an older one.

mod answer;
mod ask;
mod backoff;
mod collection;
pub(crate) mod discovery;
mod error;
mod lines;
mod missing;
mod part;
mod reflector;
mod versions;

use std::time::Duration;

#[cfg(feature = "custom-resource-state")]
pub(crate) use backoff::pauses;
pub use collection::Collection;
pub use error::WatchError;
pub(crate) use part::changed;
pub use part::{Missing, Part};
pub use reflector::Reflector;

use crate::decode::Head;

/// What a reflector tells as it goes; the calls come from one task.
pub trait EventSink<K>: Send {
    /// A list begins.
    fn init(&mut self);
    /// A listed object.
    fn init_apply(&mut self, object: K);
    /// The list is complete.
    fn init_done(&mut self);
    /// An object is new or has changed.
    fn apply(&mut self, object: K);
    /// An object is gone; this is its last state.
    fn delete(&mut self, object: K);
    /// An object could not be read: its text and the error. The object counts as absent.
    fn undecodable(&mut self, text: &str, error: &serde_json::Error);
    /// A list or a watch failed; it will be tried again.
    fn failed(&mut self, error: &WatchError);
    /// A list or watch request was answered; a watch goes on from here.
    fn answered(&mut self, request: Request);
    /// A list under an [object limit](WatchOptions::object_limit) is about to be complete: so many objects it took in,
    /// and so many it left out (`None`: some, and the server does not say how many).
    fn limited(&mut self, listed: u64, left_out: Option<u64>) {
        let _ = (listed, left_out);
    }
    /// The server was asked for its versions of this resource: it is watched in this one from now on (`batch/v1beta1`),
    /// or there is none, so that there are no objects either. The server is asked again from time to time.
    fn resolved(&mut self, api_version: Option<&str>) {
        let _ = api_version;
    }
    /// A list or watch request ended well: the page was read, the watch's time was over. One that does not is
    /// [`failed`](Self::failed).
    fn completed(&mut self, request: Request) {
        let _ = request;
    }
    /// All events that were at hand have been told.
    fn flush(&mut self);

    /// Signals that [`part`](Self::part) may say something else now. None where the sink wants everything, for ever.
    fn part_changes(&self) -> Option<tokio::sync::watch::Receiver<u64>> {
        None
    }
    /// Which part of the collection is wanted from now on. Asked before each list and watch, and after each signal.
    fn part(&mut self) -> Part {
        Part::default()
    }
    /// Whether an object is wanted, by its head. It is asked before the object is decoded, of those listed and watched.
    fn admits(&mut self, _head: &Head<'_>) -> bool {
        true
    }
    /// Whether an object of the list of what is [`missing`](Part::missing) is wanted and unknown yet.
    fn misses(&mut self, _head: &Head<'_>) -> bool {
        false
    }
    /// An object of that list. What the watch has told of it since the list began is newer.
    fn found(&mut self, _object: K) {}
    /// That list failed, and will be tried again. The watch goes on.
    fn missing_failed(&mut self, error: &WatchError) {
        self.failed(error);
    }
    /// That list is complete; `number` is [its own](Missing::number).
    fn found_all(&mut self, _number: u64) {}
}

/// What was asked of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// One page of a list, or a streaming list.
    List,
    /// A watch.
    Watch,
}

impl Request {
    /// The word for metrics: `list` or `watch`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

/// How lists are fetched first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListStrategy {
    /// In pages: every server can.
    #[default]
    Pages,
    /// As a stream of events (`sendInitialEvents`, KEP-3157): the server needs less memory for it. Falls back to pages,
    /// for good, where the server refuses.
    Streaming,
}

/// Which state a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListSemantic {
    /// The most recent one (a quorum read).
    #[default]
    MostRecent,
    /// Any that the server has at hand (`resourceVersion=0`), like kube-state-metrics' `--use-apiserver-cache`: cheaper
    /// for the server, and possibly old.
    Any,
}

/// How a reflector asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOptions {
    /// Pages or stream.
    pub strategy: ListStrategy,
    /// Most recent or any state.
    pub semantic: ListSemantic,
    /// Objects per page; 150 by default: some 1.5 MB of pods, which is the most that a list needs beside the store.
    pub page_size: u32,
    /// The most objects that a list takes in; `None`: all of them. Those beyond it count as absent, which is told (see
    /// [`EventSink::limited`]), and come in with their next change: a limit bounds lists, as kube-state-metrics'
    /// `--object-limit` does, not watches. Lists come in pages then.
    pub object_limit: Option<u64>,
    /// Label selector.
    pub label_selector: Option<String>,
    /// Field selector.
    pub field_selector: Option<String>,
    /// How long a watch lasts before it is renewed, in seconds; 290 by default, at most 294. A connection that went
    /// silent is noticed a quarter later.
    pub watch_seconds: u32,
    /// How long a page may take, from request to last byte; 60 s by default.
    pub list_timeout: Duration,
    /// The longest body of a page, and the longest event of a watch, in bytes; 1 GiB by default.
    pub max_body: usize,
    /// The first pause after a failure; doubles up to [`max_backoff`](Self::max_backoff), with jitter. 0.8 s by default.
    pub min_backoff: Duration,
    /// The longest pause after a failure; 30 s by default.
    pub max_backoff: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            strategy: ListStrategy::default(),
            semantic: ListSemantic::default(),
            page_size: 150,
            object_limit: None,
            label_selector: None,
            field_selector: None,
            watch_seconds: 290,
            list_timeout: Duration::from_mins(1),
            max_body: 1 << 30,
            min_backoff: Duration::from_millis(800),
            max_backoff: Duration::from_secs(30),
        }
    }
}
