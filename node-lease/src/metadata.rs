//! What is known of the machine under a node.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::names::is_label_text;

/// The longest value that is taken, in bytes. Cloud identifiers are far shorter; a longer one is no identifier.
pub const MAX_VALUE_LEN: usize = 512;

/// The most unknown annotations that are kept of one Lease.
pub const MAX_OTHER: usize = 32;

/// What can be known of a machine, under its name in OpenTelemetry's semantic conventions (v1.44).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Attribute {
    /// `host.id`: the cloud's instance id, for instance `i-0123456789abcdef0`.
    HostId,
    /// `host.name`: the host name that the cloud gave, for instance `ip-10-0-0-1.ec2.internal`.
    HostName,
    /// `host.type`: the machine type, for instance `m6i.4xlarge`.
    HostType,
    /// `host.image.id`: the image that the machine was started from.
    HostImageId,
    /// `cloud.availability_zone`, for instance `us-east-1a`.
    AvailabilityZone,
    /// `cloud.provider`: `aws`, `gcp` or `azure`.
    Provider,
    /// `cloud.region`, for instance `us-east-1`.
    Region,
    /// `cloud.account.id`: AWS account, GCP project, or Azure subscription.
    AccountId,
}

impl Attribute {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::HostId,
        Self::HostName,
        Self::HostType,
        Self::HostImageId,
        Self::AvailabilityZone,
        Self::Provider,
        Self::Region,
        Self::AccountId,
    ];

    /// The five that the CloudWatch agent writes, and without all of which its reader takes no Lease.
    pub const CLOUDWATCH: [Self; 5] =
        [Self::HostId, Self::HostName, Self::HostType, Self::HostImageId, Self::AvailabilityZone];

    /// The name in OpenTelemetry's semantic conventions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostId => "host.id",
            Self::HostName => "host.name",
            Self::HostType => "host.type",
            Self::HostImageId => "host.image.id",
            Self::AvailabilityZone => "cloud.availability_zone",
            Self::Provider => "cloud.provider",
            Self::Region => "cloud.region",
            Self::AccountId => "cloud.account.id",
        }
    }

    /// The same as a Prometheus label: `host_id`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::HostId => "host_id",
            Self::HostName => "host_name",
            Self::HostType => "host_type",
            Self::HostImageId => "host_image_id",
            Self::AvailabilityZone => "cloud_availability_zone",
            Self::Provider => "cloud_provider",
            Self::Region => "cloud_region",
            Self::AccountId => "cloud_account_id",
        }
    }

    /// The attribute of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.name() == name)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a value is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadValue {
    /// It is empty, or white space: nothing is known.
    Empty,
    /// It is longer than [`MAX_VALUE_LEN`], or has control characters; or its key is none, or one too many.
    Malformed,
}

impl BadValue {
    /// The word for metrics: `empty` or `malformed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Malformed => "malformed",
        }
    }
}

/// A value without the white space around it, or why it is none.
pub(crate) fn checked(value: &str) -> Result<&str, BadValue> {
    let value = value.trim();
    if value.is_empty() {
        return Err(BadValue::Empty);
    }
    if value.len() > MAX_VALUE_LEN || value.chars().any(char::is_control) {
        return Err(BadValue::Malformed);
    }
    Ok(value)
}

/// What is known of the machine under a node. Every value may be missing, and none is ever empty.
///
/// ```
/// use node_lease::{Attribute, NodeMetadata};
///
/// let metadata = NodeMetadata::new().with(Attribute::HostId, "i-0123").with(Attribute::HostName, "");
/// assert_eq!(metadata.get(Attribute::HostId), Some("i-0123"));
/// assert_eq!(metadata.get(Attribute::HostName), None, "an empty text is nothing known");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NodeMetadata {
    host_id: Option<Arc<str>>,
    host_name: Option<Arc<str>>,
    /// What many nodes have alike: a cache keeps it once for all of them.
    group: Arc<Group>,
}

/// The values of a node that are not its own alone: few machine types, images and zones make up a cluster.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    values: [Option<Arc<str>>; Attribute::ALL.len()],
    /// Annotations that this version does not know.
    other: BTreeMap<String, String>,
}

impl NodeMetadata {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of an attribute.
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        self.value(attribute).map(|value| &**value)
    }

    fn value(&self, attribute: Attribute) -> Option<&Arc<str>> {
        match attribute {
            Attribute::HostId => self.host_id.as_ref(),
            Attribute::HostName => self.host_name.as_ref(),
            other => self.group.values.get(other as usize)?.as_ref(),
        }
    }

    /// Takes a value, unless it is [bad](BadValue): then what was known stays.
    pub fn set(&mut self, attribute: Attribute, value: &str) -> Result<(), BadValue> {
        self.put(attribute, checked(value)?.into());
        Ok(())
    }

    pub(crate) fn put(&mut self, attribute: Attribute, value: Arc<str>) {
        match attribute {
            Attribute::HostId => self.host_id = Some(value),
            Attribute::HostName => self.host_name = Some(value),
            other => {
                if let Some(place) = Arc::make_mut(&mut self.group).values.get_mut(other as usize) {
                    *place = Some(value);
                }
            }
        }
    }

    /// The values that other nodes may have too.
    pub(crate) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// The same values from another place.
    pub(crate) fn set_group(&mut self, group: Arc<Group>) {
        self.group = group;
    }

    /// The same with a value more, unless it is [bad](BadValue).
    pub fn with(mut self, attribute: Attribute, value: &str) -> Self {
        // Whoever wants to know calls `set`.
        let _ = self.set(attribute, value);
        self
    }

    /// The attributes that are known, in the order of [`Attribute::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Attribute, &str)> {
        Attribute::ALL.into_iter().filter_map(|attribute| Some((attribute, self.get(attribute)?)))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Takes over all that `newer` knows; what it does not know stays.
    pub fn merge(&mut self, newer: &Self) {
        for attribute in Attribute::ALL {
            if let Some(value) = newer.value(attribute) {
                self.put(attribute, value.clone());
            }
        }
        for (key, value) in newer.other() {
            // What stands there was checked when it came; there may be no room for more.
            let _ = self.set_other(key, value);
        }
    }

    /// Takes over what `fallback` knows and this does not.
    pub fn fill(&mut self, fallback: &Self) {
        for attribute in Attribute::ALL {
            if let (None, Some(value)) = (self.value(attribute), fallback.value(attribute)) {
                self.put(attribute, value.clone());
            }
        }
        for (key, value) in fallback.other() {
            if !self.group.other.contains_key(key) {
                // The same.
                let _ = self.set_other(key, value);
            }
        }
    }

    /// Annotations under the contract's prefix that this crate does not know, by their key without the prefix: what
    /// other versions and other writers publish.
    pub fn other(&self) -> impl Iterator<Item = (&str, &str)> {
        self.group.other.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Adds a value that this crate has no attribute for, by the key of its annotation without the prefix; [`MAX_OTHER`]
    /// of them at most. A reader of this crate finds it in [`other`](Self::other).
    pub fn set_other(&mut self, key: &str, value: &str) -> Result<(), BadValue> {
        let value = checked(value)?;
        let room = self.group.other.len() < MAX_OTHER || self.group.other.contains_key(key);
        if !is_label_text(key) || !room || Attribute::from_name(key).is_some() {
            return Err(BadValue::Malformed);
        }
        Arc::make_mut(&mut self.group).other.insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

impl fmt::Debug for NodeMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(attribute, value)| (attribute.name(), value)))
            .entries(self.other())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_has_its_own_place_and_name() {
        let all = Attribute::ALL.into_iter().fold(NodeMetadata::new(), |all, one| all.with(one, one.name()));
        for attribute in Attribute::ALL {
            assert_eq!(all.get(attribute), Some(attribute.name()));
            assert_eq!(Attribute::from_name(attribute.name()), Some(attribute));
            assert_eq!(attribute.label(), attribute.name().replace('.', "_"));
        }
        assert_eq!(Attribute::from_name("host.ip"), None);
    }

    #[test]
    fn bad_values_leave_what_was_known() {
        let mut metadata = NodeMetadata::new().with(Attribute::HostId, " i-1\n");
        assert_eq!(metadata.get(Attribute::HostId), Some("i-1"));
        assert_eq!(metadata.set(Attribute::HostId, " \t"), Err(BadValue::Empty));
        assert_eq!(metadata.set(Attribute::HostId, "a\nb"), Err(BadValue::Malformed));
        assert_eq!(metadata.set(Attribute::HostId, &"x".repeat(MAX_VALUE_LEN + 1)), Err(BadValue::Malformed));
        assert_eq!(metadata.get(Attribute::HostId), Some("i-1"));
        assert_eq!(metadata.set(Attribute::HostId, &"x".repeat(MAX_VALUE_LEN)), Ok(()));
    }

    #[test]
    fn merging_never_forgets() {
        let mut known = NodeMetadata::new().with(Attribute::HostId, "i-1").with(Attribute::HostName, "old");
        known.merge(&NodeMetadata::new().with(Attribute::HostName, "new"));
        assert_eq!(known, NodeMetadata::new().with(Attribute::HostId, "i-1").with(Attribute::HostName, "new"));
        known.fill(&NodeMetadata::new().with(Attribute::HostName, "other").with(Attribute::Region, "r"));
        assert_eq!(format!("{known:?}"), r#"{"host.id": "i-1", "host.name": "new", "cloud.region": "r"}"#);
    }

    #[test]
    fn unknown_annotations_are_bounded() {
        let mut metadata = NodeMetadata::new();
        for n in 0..MAX_OTHER {
            assert_eq!(metadata.set_other(&n.to_string(), "x"), Ok(()));
        }
        assert_eq!(metadata.set_other("more", "x"), Err(BadValue::Malformed));
        assert_eq!(metadata.set_other("0", "y"), Ok(()), "a known key changes");
        assert_eq!(metadata.set_other("host.id", "x"), Err(BadValue::Malformed), "that is an attribute");
        assert_eq!(metadata.set_other("a/b", "x"), Err(BadValue::Malformed));
        assert_eq!(metadata.set_other("0", " "), Err(BadValue::Empty));
        assert_eq!(metadata.other().count(), MAX_OTHER);
    }
}
