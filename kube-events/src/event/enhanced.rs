//! The event, its object, and what the pipeline adds.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, ObjectMetadata, OwnerReference, StringMap, time};

/// An event with the object that it is about. Cheap to clone: its parts are shared.
///
/// Serializes as kubernetes-event-exporter emits it: the event of core/v1 without `metadata.managedFields`, plus
/// `clusterName` (always, if only as `""`), plus `labels`, `annotations`, `ownerReferences` (where there are any) and
/// `deleted` (always) in `involvedObject`.
///
/// ```
/// use std::sync::Arc;
/// use kube_events::event::{EnhancedEvent, Event, Limits, ObjectMetadata};
///
/// let json = br#"{"metadata": {"name": "web-0.1", "namespace": "shop"}, "reason": "Killing", "count": 1,
///     "involvedObject": {"kind": "Pod", "name": "web-0"}, "lastTimestamp": "2024-05-01T10:00:00Z"}"#;
/// let event = Event::from_json(json, &Limits::default())?;
/// let event = EnhancedEvent::new(event, Arc::new(ObjectMetadata::gone())).with_cluster_name("prod".into());
/// let json: serde_json::Value = serde_json::from_slice(&event.to_json())?;
/// assert_eq!(json["clusterName"], "prod");
/// assert_eq!(json["involvedObject"]["deleted"], true);
/// assert_eq!(event.timestamp_ms(), Some(1_714_557_600_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EnhancedEvent {
    /// The event.
    pub event: Arc<Event>,
    /// The cluster's name, from the configuration.
    pub cluster_name: Arc<str>,
    /// The object that it is about.
    pub object: Arc<ObjectMetadata>,
    /// The labels of the event's namespace, where somebody looked.
    pub namespace_labels: Option<Arc<StringMap>>,
    /// The owners of the object, the nearest first, up to the top; empty where nobody looked.
    pub owner_chain: Arc<[OwnerReference]>,
    /// How many occurrences it stands for since it was last emitted, where somebody counts.
    pub occurrence: Option<Occurrence>,
}

/// How many occurrences an emission of an event stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// Occurrences since the last emission.
    pub delta: u32,
    /// Occurrences in all, as the event counts them.
    pub count: u32,
    /// Why it is emitted.
    pub kind: OccurrenceKind,
}

/// Why an event is emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OccurrenceKind {
    /// It was not seen before.
    New,
    /// Its count rose.
    Again,
    /// Its count fell: its writer began anew.
    Reset,
    /// It changed, its count didn't: `delta` is 0.
    Changed,
}

impl OccurrenceKind {
    /// `new`, `again`, `reset` or `changed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Again => "again",
            Self::Reset => "reset",
            Self::Changed => "changed",
        }
    }
}

impl EnhancedEvent {
    /// Joins an event with its object. The cluster has no name, and nothing more is known.
    pub fn new(event: impl Into<Arc<Event>>, object: Arc<ObjectMetadata>) -> Self {
        Self {
            event: event.into(),
            cluster_name: Arc::default(),
            object,
            namespace_labels: None,
            owner_chain: Arc::default(),
            occurrence: None,
        }
    }

    /// With the cluster's name.
    pub fn with_cluster_name(self, cluster_name: Arc<str>) -> Self {
        Self { cluster_name, ..self }
    }

    /// The event's UID: the same for all occurrences that the API server counts in one event.
    pub fn uid(&self) -> &str {
        &self.event.metadata.uid
    }

    /// The id of one state of the event, `uid/resourceVersion`: what two emissions have in common if they tell the
    /// same twice. None without a UID.
    pub fn revision(&self) -> Option<String> {
        let metadata = &self.event.metadata;
        (!metadata.uid.is_empty()).then(|| format!("{}/{}", metadata.uid, metadata.resource_version))
    }

    /// The id of what the event tells, for grouping: equal for equal cluster, object (by its UID, else by its name;
    /// with its field path), type, reason and source, whatever the message, the count and the time; so it outlives the
    /// event, which the API server drops after an hour and makes anew. FNV-1a over these; stable across versions.
    pub fn fingerprint(&self) -> u64 {
        let event = &self.event;
        let object = &event.involved_object;
        let id = if object.uid.is_empty() { &object.name } else { &object.uid };
        let source =
            if event.source.component.is_empty() { &event.reporting_component } else { &event.source.component };
        let parts: [&str; 9] = [
            &self.cluster_name,
            &object.api_version,
            &object.kind,
            &object.namespace,
            id,
            &object.field_path,
            &event.type_,
            &event.reason,
            source,
        ];
        // A byte that no text has ends each part.
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// When it last happened. See [`Event::timestamp`].
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.event.timestamp()
    }

    /// [`timestamp`](Self::timestamp) in milliseconds since 1970.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp().map(Timestamp::as_millisecond)
    }

    /// [`timestamp`](Self::timestamp) as RFC 3339, in microseconds where it has them.
    pub fn timestamp_rfc3339(&self) -> Option<String> {
        let whole = |time: Timestamp| time.subsec_nanosecond() == 0;
        self.timestamp().map(|time| if whole(time) { time::seconds(time) } else { time::micros(time) })
    }

    /// How often it happened so far. See [`Event::count`].
    pub fn count(&self) -> u32 {
        self.event.count()
    }

    /// The object at the top of the owners that manage it: of a pod its Deployment, say. Where nobody looked further,
    /// the one that manages it directly.
    pub fn top_controller(&self) -> Option<&OwnerReference> {
        self.owner_chain.last().or_else(|| self.object.controller())
    }
}
