//! What each plugin was sent, and answered.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::api::{
    ContainerUpdate, Event, StartContainerRequest, StateChangeEvent, UpdateContainerRequest, UpdateContainersRequest,
    UpdatePodSandboxRequest, ValidateContainerAdjustmentRequest,
};
use super::trouble::Trouble;

/// How many records are kept by default.
const KEPT: usize = 16_384;

/// A call of a plugin.
#[derive(Debug, Clone)]
pub struct Call {
    /// Index and name: `10-test`.
    pub plugin: Arc<str>,
    /// The method that was called.
    pub method: String,
    /// The message that was sent, encoded.
    pub request: Bytes,
    /// The message that was answered, encoded; or what was wrong.
    pub answer: Result<Bytes, Trouble>,
    /// When the call was made, by tokio's clock.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
}

impl Call {
    /// The event that the call brought; none for `Configure`, `Synchronize` and what is no method at all.
    pub fn event(&self) -> Option<Event> {
        if self.method == "StateChange" {
            return Event::try_from(self.request::<StateChangeEvent>()?.event).ok();
        }
        Event::ALL.into_iter().find(|event| event.name() == self.method)
    }

    /// The message that was sent, if it is of this type.
    pub fn request<M: Message + Default>(&self) -> Option<M> {
        M::decode(&self.request[..]).ok()
    }

    /// The message that was answered, if it is of this type.
    pub fn answer<M: Message + Default>(&self) -> Option<M> {
        M::decode(&self.answer.as_ref().ok()?[..]).ok()
    }

    /// The ids of the pod and the container that the call is about; empty where there is none.
    pub fn about(&self) -> (String, String) {
        let (pod, container) = match (self.method.as_str(), self.event()) {
            ("StateChange", _) => {
                let request = self.request::<StateChangeEvent>().unwrap_or_default();
                (request.pod, request.container)
            }
            (_, Some(Event::UpdatePodSandbox)) => {
                (self.request::<UpdatePodSandboxRequest>().unwrap_or_default().pod, None)
            }
            (_, Some(Event::UpdateContainer)) => {
                let request = self.request::<UpdateContainerRequest>().unwrap_or_default();
                (request.pod, request.container)
            }
            (_, Some(Event::ValidateContainerAdjustment)) => {
                let request = self.request::<ValidateContainerAdjustmentRequest>().unwrap_or_default();
                (request.pod, request.container)
            }
            (_, Some(_)) => {
                let request = self.request::<StartContainerRequest>().unwrap_or_default();
                (request.pod, request.container)
            }
            (_, None) => (None, None),
        };
        (pod.unwrap_or_default().id, container.unwrap_or_default().id)
    }
}

/// `10-test StartContainer POD CONTAINER`, with the event's name whichever call brought it.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pod, container) = self.about();
        let event = self.event();
        let method = event.as_ref().map_or(self.method.as_str(), |event| event.name());
        write!(f, "{} {method}", self.plugin)?;
        [pod, container].iter().filter(|id| !id.is_empty()).try_for_each(|id| write!(f, " {id}"))
    }
}

/// Something that happened between the runtime and a plugin.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Record {
    /// The runtime called the plugin.
    Call(Call),
    /// The plugin asked for updates, when it joined or of its own accord.
    Update {
        /// Index and name.
        plugin: Arc<str>,
        /// What it asked for.
        request: UpdateContainersRequest,
        /// The updates that failed, which a plugin that joins is not told.
        failed: Vec<ContainerUpdate>,
    },
    /// The plugin joined: events come to it from now on.
    Joined {
        /// Index and name.
        plugin: Arc<str>,
        /// The mask of its events.
        events: i32,
    },
    /// A plugin that had connected is gone, or never joined.
    Left {
        /// Index and name; empty if it did not say.
        plugin: Arc<str>,
        /// Why.
        trouble: Trouble,
    },
}

#[derive(Debug)]
struct Records {
    kept: VecDeque<Record>,
    limit: usize,
    dropped: u64,
}

/// What happened between a runtime and its plugins, oldest first. Clones share it.
///
/// The newest 16,384 records are kept by default ([`set_limit`](Self::set_limit)); [`dropped`](Self::dropped) counts the
/// others.
#[derive(Debug, Clone)]
pub struct Log {
    records: Arc<Mutex<Records>>,
    pushed: Arc<Notify>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            records: Arc::new(Mutex::new(Records { kept: VecDeque::new(), limit: KEPT, dropped: 0 })),
            pushed: Arc::default(),
        }
    }
}

impl Log {
    pub(super) fn push(&self, record: Record) {
        let mut records = self.records.lock();
        records.kept.push_back(record);
        records.trim();
        self.pushed.notify_waiters();
    }

    /// Takes the oldest record that is kept, and waits for one if there is none.
    pub async fn next(&self) -> Record {
        loop {
            let pushed = self.pushed.notified();
            if let Some(record) = self.records.lock().kept.pop_front() {
                return record;
            }
            pushed.await;
        }
    }

    /// How many records are kept; 0 keeps none.
    pub fn set_limit(&self, limit: usize) {
        let mut records = self.records.lock();
        records.limit = limit;
        records.trim();
    }

    /// The records that are kept.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().kept.iter().cloned().collect()
    }

    /// The records that were kept, which are forgotten.
    pub fn take(&self) -> Vec<Record> {
        self.records.lock().kept.drain(..).collect()
    }

    /// The calls among the records.
    pub fn calls(&self) -> Vec<Call> {
        let records = self.records.lock();
        let call = |record: &Record| if let Record::Call(call) = record { Some(call.clone()) } else { None };
        records.kept.iter().filter_map(call).collect()
    }

    /// A line for each event that was sent: `10-test StartContainer POD CONTAINER`.
    pub fn events(&self) -> Vec<String> {
        self.calls().iter().filter(|call| call.event().is_some()).map(ToString::to_string).collect()
    }

    /// How many records are not kept any more.
    pub fn dropped(&self) -> u64 {
        self.records.lock().dropped
    }
}

impl Records {
    fn trim(&mut self) {
        while self.kept.len() > self.limit {
            self.kept.pop_front();
            self.dropped += 1;
        }
    }
}
