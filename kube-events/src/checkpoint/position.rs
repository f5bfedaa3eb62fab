//! Where a source is: positions of single items, and marks that a source can go on from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The door that events come through. Both serve the same objects under the same uids: watch one of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventsApi {
    /// `v1`, which every cluster serves.
    #[default]
    #[serde(rename = "v1")]
    Core,
    /// `events.k8s.io/v1`, since Kubernetes 1.19.
    #[serde(rename = "events.k8s.io/v1")]
    Events,
}

impl EventsApi {
    /// Group and version, as objects state them.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Core => "v1",
            Self::Events => "events.k8s.io/v1",
        }
    }
}

impl fmt::Display for EventsApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.api_version())
    }
}

/// Where a source was when it told an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The namespace that is watched, or the empty string for all: each has positions of its own.
    pub partition: Arc<str>,
    /// What a watch can go on from. None within a list, which has no order: only its end is such a place.
    pub resource_version: Option<Arc<str>>,
    /// The time of the event; not later than when it came.
    pub time: Option<Timestamp>,
}

/// A place to go on from: everything before it has been dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// What a watch goes on from.
    pub resource_version: String,
    /// The newest time of an event so far: what is newer was not seen, should the version be forgotten by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<Timestamp>,
}

/// The marks of a source, by the namespace watched (the empty string for all): what a
/// [`Checkpoint`](super::Checkpoint) keeps.
///
/// ```
/// use kube_events::checkpoint::{EventsApi, Marks};
///
/// let marks: Marks = serde_json::from_str(
///     r#"{"apiVersion": "v1", "marks": {"": {"resourceVersion": "81234", "lastEvent": "2026-11-27T12:00:00Z"}}}"#,
/// )?;
/// assert_eq!(marks.api, EventsApi::Core);
/// assert_eq!(marks.of("").map(|mark| mark.resource_version.as_str()), Some("81234"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Which API the versions are of.
    #[serde(rename = "apiVersion")]
    pub api: EventsApi,
    /// By namespace.
    #[serde(default)]
    pub marks: BTreeMap<String, Mark>,
}

impl Marks {
    /// None yet, of this API.
    pub fn new(api: EventsApi) -> Self {
        Self { api, marks: BTreeMap::new() }
    }

    /// The mark of a namespace, or of all (the empty string).
    pub fn of(&self, partition: &str) -> Option<&Mark> {
        self.marks.get(partition)
    }
}
