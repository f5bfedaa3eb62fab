//! From the JSON of an enhanced event.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    DecodeError, Deletion, EnhancedEvent, Event, Limits, Marks, ObjectMetadata, Occurrence, OwnerReference, StringMap,
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    cluster_name: String,
    involved_object: ObjectWire,
    namespace_labels: Option<StringMap>,
    occurrence: Option<Occurrence>,
    marks: MarksWire,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectWire {
    labels: StringMap,
    annotations: StringMap,
    owner_references: Vec<OwnerReference>,
    deleted: bool,
    deletion_state: Option<Deletion>,
    owner_chain: Vec<OwnerReference>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MarksWire {
    message_cut: usize,
    values_cut: usize,
    invalid_utf8: bool,
}

impl EnhancedEvent {
    /// Reads an event that was written as [`to_json`](Self::to_json), or as [`rich`](Self::rich), which keeps all of it:
    /// for programs at the other end of a sink. Of the shorter form, `"deleted": false` says that nobody knows.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
    ///
    /// let event = Event { reason: "Killing".to_owned(), ..Event::default() };
    /// let event = EnhancedEvent::new(event, Arc::new(ObjectMetadata::gone())).with_cluster_name("prod".into());
    /// let json = serde_json::to_vec(&event.rich())?;
    /// assert_eq!(EnhancedEvent::from_json(&json)?, event);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_json(json: &[u8]) -> Result<Self, DecodeError> {
        let mut event = Event::from_json(json, &Limits::NONE)?;
        let wire: Wire = serde_json::from_slice(json)?;
        let MarksWire { message_cut, values_cut, invalid_utf8 } = wire.marks;
        event.marks = Marks { message_cut, values_cut, invalid_utf8: invalid_utf8 || event.marks.invalid_utf8 };
        let object = wire.involved_object;
        let short = if object.deleted { Deletion::Yes } else { Deletion::Unknown };
        Ok(Self {
            event: Arc::new(event),
            cluster_name: wire.cluster_name.into(),
            object: Arc::new(ObjectMetadata {
                labels: object.labels,
                annotations: object.annotations,
                owner_references: object.owner_references,
                deletion: object.deletion_state.unwrap_or(short),
            }),
            namespace_labels: wire.namespace_labels.map(Arc::new),
            owner_chain: object.owner_chain.into(),
            occurrence: wire.occurrence,
        })
    }
}
