//! How a source asks, and which events it tells.

use std::time::Duration;

use crate::event::Limits;

/// How a source asks, and which events it tells.
///
/// Ages are the difference between this machine's clock and the event's
/// [timestamp](crate::event::Event::timestamp), which the clock of a node or controller wrote, in whole seconds mostly:
/// events of a clock that is behind look older than they are, those of one that is ahead have no age. That is why age
/// decides about what was there at a fresh start only, unless [`max_watched_age`](Self::max_watched_age) says otherwise:
/// what comes through a watch is new, whatever its clock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOptions {
    /// Of the events that are there at a fresh start, the oldest that is told, by its age when the source was spawned;
    /// `None`: all are. 5 s by default.
    pub max_age: Option<Duration>,
    /// Of the events that come in by watch, the oldest that is told; `None` (the default): all are.
    pub max_watched_age: Option<Duration>,
    /// Only events with these labels.
    pub label_selector: Option<String>,
    /// Only events with these fields, as `involvedObject.kind=Pod` (`regarding.kind=Pod` of events.k8s.io/v1) or
    /// `type!=Normal`.
    pub field_selector: Option<String>,
    /// How long the texts of an event may be.
    pub limits: Limits,
    /// Events per page of a list; 500 by default: some 1 MB.
    pub page_size: u32,
    /// How long a watch is asked to last, in seconds; 290 by default, at most 294. One that lasts a quarter longer, and
    /// a bit, is broken off.
    pub watch_seconds: u32,
    /// A watch that says nothing for so long, not even a bookmark, is begun again; `None` (the default): as long as it
    /// may last; a second at least. Servers send bookmarks about each minute.
    pub max_silence: Option<Duration>,
    /// Items that wait to be taken; 1024 by default. When there are as many, the watch waits.
    pub queue: usize,
    /// The first pause after a failure, which doubles; 1 s by default.
    pub min_backoff: Duration,
    /// The longest pause after a failure; 30 s by default.
    pub max_backoff: Duration,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            max_age: Some(Duration::from_secs(5)),
            max_watched_age: None,
            label_selector: None,
            field_selector: None,
            limits: Limits::default(),
            page_size: 500,
            watch_seconds: 290,
            max_silence: None,
            queue: 1024,
            min_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
        }
    }
}

impl SourceOptions {
    /// What a watch is asked to last.
    pub(super) fn seconds(&self) -> u32 {
        self.watch_seconds.clamp(1, 294)
    }

    /// When a watch is broken off.
    pub(super) fn longest_watch(&self) -> Duration {
        let seconds = Duration::from_secs(u64::from(self.seconds()));
        seconds + seconds / 4 + Duration::from_secs(1)
    }
}
