//! What is known of the object that an event is about.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::{OwnerReference, StringMap};

/// Whether the object is still there.
///
/// Kubernetes-event-exporter knows `true` and `false` only, and says `false` when it couldn't look.
/// [`to_bool`](Self::to_bool) gives its word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deletion {
    /// Nobody looked, or the look failed.
    #[default]
    Unknown,
    /// It is there.
    No,
    /// It is there, and has a deletionTimestamp.
    Terminating,
    /// It is gone.
    Yes,
}

impl Deletion {
    /// `deleted` as kubernetes-event-exporter has it: gone, or about to go.
    pub fn to_bool(self) -> bool {
        matches!(self, Self::Yes | Self::Terminating)
    }

    /// `unknown`, `no`, `terminating` or `yes`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::No => "no",
            Self::Terminating => "terminating",
            Self::Yes => "yes",
        }
    }
}

/// The metadata of the object that an event is about. A cache shares it among events as an `Arc`.
///
/// ```
/// use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
/// use kube_events::event::{Deletion, ObjectMetadata};
///
/// let meta = ObjectMeta { labels: Some([("app".to_owned(), "web".to_owned())].into()), ..ObjectMeta::default() };
/// let object = ObjectMetadata::from(meta);
/// assert_eq!(object.labels["app"], "web");
/// assert_eq!(object.deletion, Deletion::No);
/// assert_eq!(ObjectMetadata::unknown().deletion, Deletion::Unknown);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectMetadata {
    /// Its labels.
    pub labels: StringMap,
    /// Its annotations.
    pub annotations: StringMap,
    /// Its owners.
    pub owner_references: Vec<OwnerReference>,
    /// Whether it is still there.
    pub deletion: Deletion,
}

impl ObjectMetadata {
    /// Of an object that nobody looked at.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Of an object that is not there any more, and of which nothing is remembered.
    pub fn gone() -> Self {
        Self { deletion: Deletion::Yes, ..Self::default() }
    }

    /// The owner that manages the object.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }
}

impl From<ObjectMeta> for ObjectMetadata {
    /// Of an object that is there.
    fn from(meta: ObjectMeta) -> Self {
        let deletion = if meta.deletion_timestamp.is_some() { Deletion::Terminating } else { Deletion::No };
        Self {
            labels: meta.labels.unwrap_or_default(),
            annotations: meta.annotations.unwrap_or_default(),
            owner_references: meta.owner_references.unwrap_or_default().into_iter().map(Into::into).collect(),
            deletion,
        }
    }
}
