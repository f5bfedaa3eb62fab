//! Watch: changes as they happen, one JSON document per line.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::Call;
use super::query::{Start, WatchOptions};
use super::status::Status;
use crate::http::reply::{BodyError, Reply};
use crate::object::selector::Scope;
use crate::store::entry::{Entry, Form, METADATA_VERSION};
use crate::store::table::{Change, Seen};

/// How many bytes of events are gathered into one piece.
const PIECE: usize = 64 * 1024;
/// How many changes are taken from the queue at once.
const BATCH: usize = 64;
/// Marks the bookmark that ends the initial events of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

pub(crate) fn watch(call: Arc<Call>) -> Result<Reply, Status> {
    let options = WatchOptions::parse(&call.query, call.server.settings.streaming_lists())?;
    let scope = Arc::new(call.sharded_scope()?);

    let mut state = call.server.store.state.write();
    let version = state.version();
    if options.start == Start::Streaming && options.not_older_than > version {
        return Err(Status::too_new(options.not_older_than, version));
    }
    let queue = state.limits.watch_queue;
    let table = state.table_mut(&call.resource).ok_or_else(Status::no_such_path)?;
    let mut initial = Vec::new();
    let mut backlog = Vec::new();
    let mut told = version;
    match options.start {
        Start::After(after) => match table.since(after, &scope) {
            Some(changes) => {
                backlog = changes;
                told = after;
            }
            None => return too_old(&call, Status::too_old(after, table.floor())),
        },
        Start::Present | Start::Streaming => {
            initial = table.iter().filter(|entry| scope.matches(entry)).cloned().collect();
        }
        Start::Next => {}
    }
    let changes = table.watch(Arc::clone(&scope), queue);
    drop(state);

    let timeout = options.timeout.unwrap_or_else(|| {
        // Upstream spreads the ends of watches without a timeout of their own.
        call.server.settings.watch_timeout.mul_f64(rand::rng().random_range(1.0..2.0))
    });
    let watch = Watch {
        form: Form::single(&call.resource, &call.version.name, call.metadata_only),
        initial: initial.into_iter(),
        initial_end: (options.start == Start::Streaming && options.bookmarks).then_some(version),
        waiting: backlog.into(),
        changes,
        scope,
        told,
        bookmarks: options.bookmarks.then(|| ticker(call.server.settings.bookmark_interval)),
        deadline: Instant::now() + timeout,
        silent: call.effects.silent_watch,
        known_faults: call.server.faults.newest(),
        ended: false,
        call,
    };
    Ok(Reply::live(stream::unfold(watch, Watch::next).boxed()))
}

/// A version that is forgotten: an ERROR event within the stream, or the answer's own status.
fn too_old(call: &Call, status: Status) -> Result<Reply, Status> {
    if call.server.settings.expired_watch_as_status() {
        return Err(status);
    }
    let line = format!("{}\n", json!({"type": "ERROR", "object": status.to_json()}));
    Ok(Reply::live(stream::iter([Ok(Bytes::from(line))]).boxed()))
}

fn ticker(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// A running watch.
struct Watch {
    call: Arc<Call>,
    form: Form,
    scope: Arc<Scope>,
    /// Objects still to be told as synthetic ADDED events.
    initial: std::vec::IntoIter<Arc<Entry>>,
    /// The version of the bookmark that ends the initial events, until it is sent.
    initial_end: Option<u64>,
    /// Changes taken but not sent.
    waiting: VecDeque<Arc<Change>>,
    changes: mpsc::Receiver<Arc<Change>>,
    /// The newest version that the client knows of; nothing at or before it is sent.
    told: u64,
    bookmarks: Option<Interval>,
    deadline: Instant,
    silent: bool,
    known_faults: u64,
    ended: bool,
}

/// What woke a watch.
enum Wake {
    Changes,
    Bookmark,
    Deadline,
    Closed,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<Bytes, BodyError>, Self)> {
        if self.ended {
            return None;
        }
        let mut piece = Vec::new();
        while piece.is_empty() {
            if self.is_silent() {
                std::future::pending::<()>().await;
            }
            self.write_initial(&mut piece);
            self.write_waiting(&mut piece);
            if !piece.is_empty() {
                break;
            }
            let wake = self.wait().await;
            if self.is_silent() {
                continue;
            }
            match wake {
                Wake::Changes => {}
                Wake::Bookmark => self.write_progress(&mut piece),
                Wake::Deadline => {
                    if self.bookmarks.is_some() {
                        self.write_progress(&mut piece);
                    }
                    self.ended = true;
                }
                Wake::Closed => self.ended = true,
            }
            if self.ended && piece.is_empty() {
                return None;
            }
        }
        Some((Ok(Bytes::from(piece)), self))
    }

    fn is_silent(&mut self) -> bool {
        let newest = self.call.server.faults.newest();
        if !self.silent && newest > self.known_faults {
            self.silent = self.call.server.faults.silences(&self.call.subject(), self.known_faults);
            self.known_faults = newest;
        }
        self.silent
    }

    async fn wait(&mut self) -> Wake {
        let mut batch = Vec::with_capacity(BATCH);
        let tick = async {
            match &mut self.bookmarks {
                Some(interval) => interval.tick().await,
                None => std::future::pending().await,
            }
        };
        let wake = tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.deadline) => Wake::Deadline,
            _ = tick => Wake::Bookmark,
            taken = self.changes.recv_many(&mut batch, BATCH) => if taken == 0 { Wake::Closed } else { Wake::Changes },
        };
        self.waiting.extend(batch);
        wake
    }

    fn write_initial(&mut self, piece: &mut Vec<u8>) {
        while piece.len() < PIECE {
            let Some(entry) = self.initial.next() else { break };
            event(piece, "ADDED", |piece| entry.write(&self.form, piece));
        }
        if self.initial.len() == 0
            && let Some(version) = self.initial_end.take()
        {
            self.write_bookmark(piece, version, &json!({INITIAL_EVENTS_END: "true"}));
        }
    }

    fn write_waiting(&mut self, piece: &mut Vec<u8>) {
        while piece.len() < PIECE && self.initial.len() == 0 {
            let Some(change) = self.waiting.pop_front() else { break };
            if change.version <= self.told {
                continue;
            }
            self.told = change.version;
            let (kind, entry) = match change.seen_by(&self.scope) {
                Some(Seen::Added(entry)) => ("ADDED", entry),
                Some(Seen::Modified(entry)) => ("MODIFIED", entry),
                Some(Seen::Deleted(entry)) => ("DELETED", entry),
                None => continue,
            };
            event(piece, kind, |piece| entry.write(&self.form, piece));
        }
    }

    /// Everything up to now, then a bookmark if that is news.
    fn write_progress(&mut self, piece: &mut Vec<u8>) {
        let before = self.told;
        // Changes are queued before their version can be read here: once the queue is empty, the client knows all of
        // them.
        let version = self.call.server.store.state.read().version();
        while let Ok(change) = self.changes.try_recv() {
            self.waiting.push_back(change);
        }
        while !self.waiting.is_empty() {
            let mut more = Vec::new();
            self.write_waiting(&mut more);
            piece.append(&mut more);
        }
        let version = version.max(self.told);
        if version > before {
            self.told = version;
            self.write_bookmark(piece, version, &Value::Null);
        }
    }

    fn write_bookmark(&self, piece: &mut Vec<u8>, version: u64, annotations: &Value) {
        let (kind, api_version) = if self.form.metadata_only {
            ("PartialObjectMetadata".to_owned(), METADATA_VERSION.to_owned())
        } else {
            (self.call.resource.kind.clone(), self.call.resource.api_version(&self.call.version.name))
        };
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if let (Value::Object(metadata), false) = (&mut metadata, annotations.is_null()) {
            metadata.insert("annotations".into(), annotations.clone());
        }
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        event(piece, "BOOKMARK", |piece| piece.extend_from_slice(object.to_string().as_bytes()));
    }
}

fn event(piece: &mut Vec<u8>, kind: &str, object: impl FnOnce(&mut Vec<u8>)) {
    piece.extend_from_slice(br#"{"type":""#);
    piece.extend_from_slice(kind.as_bytes());
    piece.extend_from_slice(br#"","object":"#);
    object(piece);
    piece.extend_from_slice(b"}\n");
}
