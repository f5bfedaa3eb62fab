//! What writer and reader agree on: how Leases are called, what stands in them, and how long they are good for.
//!
//! The default is what the CloudWatch agent writes and reads, so that either side may be it. A contract of one's own
//! has other prefixes: both sides then need it.
//!
//! # A Lease
//!
//! ```yaml
//! apiVersion: coordination.k8s.io/v1
//! kind: Lease
//! metadata:
//!   name: cwagent-node-metadata-ip-10-0-0-1.ec2.internal      # prefix + node
//!   labels: {app.kubernetes.io/component: node-metadata}      # ours; the CloudWatch agent's have none
//!   annotations:
//!     cwagent.amazonaws.com/host.id: i-0123456789abcdef0
//!     cwagent.amazonaws.com/host.name: ip-10-0-0-1.ec2.internal
//!     cwagent.amazonaws.com/host.type: m6i.4xlarge
//!     cwagent.amazonaws.com/host.image.id: ami-0123456789abcdef0
//!     cwagent.amazonaws.com/cloud.availability_zone: us-east-1a
//!     cwagent.amazonaws.com/cloud.provider: aws               # ours, from here on
//!     cwagent.amazonaws.com/cloud.region: us-east-1
//!     cwagent.amazonaws.com/cloud.account.id: "123456789012"
//!     cwagent.amazonaws.com/schema.version: "1"
//! spec:
//!   holderIdentity: the writer's pod
//!   leaseDurationSeconds: 7200
//!   renewTime: 2026-11-27T19:33:22.000000Z
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::metadata::{Attribute, BadValue, NodeMetadata, checked};
use crate::names::{MAX_SUBDOMAIN, is_label_text, is_subdomain};

/// The longest name of a Lease: a DNS subdomain's. The API server answers 422 to longer ones.
pub const MAX_NAME_LEN: usize = MAX_SUBDOMAIN;

/// What [`Contract::schema_version_key`] says of Leases that this version writes.
pub const SCHEMA_VERSION: &str = "1";

/// What writer and reader agree on.
///
/// ```
/// use node_lease::{Attribute, Contract};
///
/// let contract = Contract::cloudwatch();
/// assert_eq!(contract.lease_name("node-1")?, "cwagent-node-metadata-node-1");
/// assert_eq!(contract.node_of("cwagent-node-metadata-node-1"), Some("node-1"));
/// assert_eq!(contract.annotation(Attribute::HostId), "cwagent.amazonaws.com/host.id");
///
/// let own = Contract::new("acme-node-", "acme.example/")?;
/// assert_eq!(own.annotation(Attribute::HostId), "acme.example/host.id");
/// # Ok::<(), node_lease::ContractError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    lease_prefix: String,
    annotation_prefix: String,
    label: (String, String),
    lease_duration: Duration,
    renew_interval: Duration,
}

/// A contract or a name that can't be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContractError {
    /// The API server would refuse a Lease of this name.
    #[error("the Lease name {name:?} would have {} characters, and may have {MAX_NAME_LEN}: use a shorter prefix", .name.len())]
    NameTooLong {
        /// The name.
        name: String,
    },
    /// A node's name is no DNS subdomain.
    #[error(
        "{name:?} is no node's name: those are lower-case letters, digits, '-' and '.', and begin and end with a letter or digit"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// The prefix of Leases is no beginning of a name.
    #[error(
        "the Lease prefix {prefix:?} is no beginning of a name: use lower-case letters, digits, '-' and '.', and begin with a letter or digit"
    )]
    BadLeasePrefix {
        /// The prefix.
        prefix: String,
    },
    /// The prefix of annotations is no domain with a slash.
    #[error("the annotation prefix {prefix:?} is no domain followed by '/', as in \"example.com/\"")]
    BadAnnotationPrefix {
        /// The prefix.
        prefix: String,
    },
    /// A label that the API server would refuse.
    #[error(
        "{key:?}: {value:?} is no label: keys and values are up to 63 letters, digits, '-', '_' and '.', and begin and end with a letter or digit; a key may have a domain and '/' before it"
    )]
    BadLabel {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Leases would end before they are renewed.
    #[error(
        "Leases of {duration:?} can't be renewed every {interval:?}: the duration must be whole seconds, from 1 s to 68 years, and longer than the interval and a tenth"
    )]
    BadTimes {
        /// The Lease's duration.
        duration: Duration,
        /// The interval of renewals.
        interval: Duration,
    },
}

impl Default for Contract {
    fn default() -> Self {
        Self::cloudwatch()
    }
}

impl Contract {
    /// What the CloudWatch agent writes and reads: `cwagent-node-metadata-` and `cwagent.amazonaws.com/`, 7200 s,
    /// renewed every hour.
    pub fn cloudwatch() -> Self {
        Self {
            lease_prefix: "cwagent-node-metadata-".to_owned(),
            annotation_prefix: "cwagent.amazonaws.com/".to_owned(),
            label: ("app.kubernetes.io/component".to_owned(), "node-metadata".to_owned()),
            lease_duration: Duration::from_hours(2),
            renew_interval: Duration::from_hours(1),
        }
    }

    /// A contract with other prefixes: of Lease names (`acme-node-`) and of annotations (`acme.example/`).
    pub fn new(lease_prefix: impl Into<String>, annotation_prefix: impl Into<String>) -> Result<Self, ContractError> {
        let (lease_prefix, annotation_prefix) = (lease_prefix.into(), annotation_prefix.into());
        // A prefix may end where a name may not.
        if lease_prefix.is_empty() || !is_subdomain(&format!("{lease_prefix}x")) {
            return Err(ContractError::BadLeasePrefix { prefix: lease_prefix });
        }
        if !annotation_prefix.strip_suffix('/').is_some_and(is_subdomain) {
            return Err(ContractError::BadAnnotationPrefix { prefix: annotation_prefix });
        }
        Ok(Self { lease_prefix, annotation_prefix, ..Self::cloudwatch() })
    }

    /// Other times: how long a Lease is good for without a renewal, and how often it is renewed.
    pub fn times(self, lease_duration: Duration, renew_interval: Duration) -> Result<Self, ContractError> {
        let seconds = i32::try_from(lease_duration.as_secs()).unwrap_or_default();
        let good = seconds > 0
            && lease_duration.subsec_nanos() == 0
            && renew_interval >= Duration::from_secs(1)
            && renew_interval.saturating_add(renew_interval / 10) < lease_duration;
        if !good {
            return Err(ContractError::BadTimes { duration: lease_duration, interval: renew_interval });
        }
        Ok(Self { lease_duration, renew_interval, ..self })
    }

    /// Another label for Leases, by which a reader can select them.
    pub fn label(self, key: impl Into<String>, value: impl Into<String>) -> Result<Self, ContractError> {
        let (key, value) = (key.into(), value.into());
        let name = match key.split_once('/') {
            Some((domain, name)) if is_subdomain(domain) => name,
            Some(_) => "",
            None => &key,
        };
        if !is_label_text(name) || !(value.is_empty() || is_label_text(&value)) {
            return Err(ContractError::BadLabel { key, value });
        }
        Ok(Self { label: (key, value), ..self })
    }

    /// The name of a node's Lease.
    pub fn lease_name(&self, node: &str) -> Result<String, ContractError> {
        if !is_subdomain(node) {
            return Err(ContractError::BadName { name: node.to_owned() });
        }
        let name = format!("{}{node}", self.lease_prefix);
        if name.len() > MAX_NAME_LEN { Err(ContractError::NameTooLong { name }) } else { Ok(name) }
    }

    /// The node that a Lease of this name is about, if it is one of this contract.
    pub fn node_of<'n>(&self, lease_name: &'n str) -> Option<&'n str> {
        lease_name.strip_prefix(&self.lease_prefix).filter(|node| !node.is_empty())
    }

    /// The annotation that an attribute stands in.
    pub fn annotation(&self, attribute: Attribute) -> String {
        format!("{}{}", self.annotation_prefix, attribute.name())
    }

    /// The annotation that tells the version of what stands in the others: [`SCHEMA_VERSION`].
    pub fn schema_version_key(&self) -> String {
        format!("{}schema.version", self.annotation_prefix)
    }

    /// The label of Leases: key and value.
    pub fn label_pair(&self) -> (&str, &str) {
        (&self.label.0, &self.label.1)
    }

    /// How long a Lease is good for without a renewal, in whole seconds.
    pub fn lease_duration(&self) -> Duration {
        self.lease_duration
    }

    /// `spec.leaseDurationSeconds`.
    pub fn lease_duration_seconds(&self) -> i32 {
        i32::try_from(self.lease_duration.as_secs()).unwrap_or(i32::MAX)
    }

    /// How often a Lease is renewed.
    pub fn renew_interval(&self) -> Duration {
        self.renew_interval
    }

    /// Metadata as annotations.
    pub fn write(&self, metadata: &NodeMetadata) -> BTreeMap<String, String> {
        let other = metadata.other().map(|(key, value)| (format!("{}{key}", self.annotation_prefix), value.to_owned()));
        let known = metadata.iter().map(|(attribute, value)| (self.annotation(attribute), value.to_owned()));
        other.chain(known).chain([(self.schema_version_key(), SCHEMA_VERSION.to_owned())]).collect()
    }

    /// Annotations as metadata. `bad` hears of each that is under the prefix and can't be taken.
    pub fn read(&self, annotations: &BTreeMap<String, String>, mut bad: impl FnMut(&str, BadValue)) -> NodeMetadata {
        let mut metadata = NodeMetadata::new();
        // The keys with a prefix stand side by side.
        let under_prefix = annotations.range(self.annotation_prefix.clone()..);
        for (key, value) in under_prefix {
            let Some(name) = key.strip_prefix(&self.annotation_prefix) else { break };
            let value = match checked(value) {
                Ok(value) => value,
                Err(why) => {
                    bad(key, why);
                    continue;
                }
            };
            match Attribute::from_name(name) {
                Some(attribute) => metadata.put(attribute, value.into()),
                None => {
                    if let Err(why) = metadata.set_other(name, value) {
                        bad(key, why);
                    }
                }
            }
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_a_server_sees_them() {
        let contract = Contract::cloudwatch();
        assert_eq!(contract.lease_name(&"n".repeat(231)).map(|name| name.len()), Ok(MAX_NAME_LEN));
        let long = contract.lease_name(&"n".repeat(232)).unwrap_err();
        assert!(matches!(long, ContractError::NameTooLong { .. }));
        assert!(long.to_string().contains("254 characters"), "{long}");
        for bad in ["", "Node", "a_b", "a..b", "-a", "a.", "ä"] {
            assert!(matches!(contract.lease_name(bad), Err(ContractError::BadName { .. })), "{bad:?}");
        }
        assert_eq!(contract.node_of("cwagent-node-metadata-a.b"), Some("a.b"));
        assert_eq!(contract.node_of("cwagent-node-metadata-"), None);
        assert_eq!(contract.node_of("kube-scheduler"), None);
    }

    #[test]
    fn prefixes_and_times_are_checked() {
        assert!(Contract::new("acme-", "acme.example/").is_ok());
        for bad in ["", "Acme-", "-a"] {
            assert!(matches!(Contract::new(bad, "a.b/"), Err(ContractError::BadLeasePrefix { .. })), "{bad:?}");
        }
        for bad in ["", "/", "acme.example", "Acme/"] {
            assert!(matches!(Contract::new("a-", bad), Err(ContractError::BadAnnotationPrefix { .. })), "{bad:?}");
        }
        let times = |duration, interval| {
            Contract::cloudwatch().times(Duration::from_millis(duration), Duration::from_millis(interval))
        };
        assert_eq!(times(7_200_000, 3_600_000), Ok(Contract::cloudwatch()));
        assert!(times(1_500, 1_000).is_err(), "no whole seconds");
        assert!(times(1_000, 1_000).is_err(), "never renewed in time");
        assert!(times(u64::MAX, 1_000).is_err(), "more than an i32 of seconds");
    }

    #[test]
    fn labels_are_checked() {
        let label = |key: &str, value: &str| Contract::cloudwatch().label(key, value).map(|it| it.label.1);
        assert_eq!(label("example.com/a_b", "C-d.e"), Ok("C-d.e".to_owned()));
        assert_eq!(label("a", ""), Ok(String::new()));
        for (key, value) in [("", "a"), ("a/b/c", "a"), ("A.b/c", "a"), ("a", "a,b"), ("a", "-b"), ("a=b", "c")] {
            assert!(matches!(label(key, value), Err(ContractError::BadLabel { .. })), "{key} {value}");
        }
        assert!(label("a", &"x".repeat(64)).is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        let contract = Contract::cloudwatch();
        let metadata = Attribute::ALL.into_iter().fold(NodeMetadata::new(), |all, one| all.with(one, one.label()));
        let written = contract.write(&metadata);
        assert_eq!(written.len(), 9);
        assert_eq!(written["cwagent.amazonaws.com/cloud.availability_zone"], "cloud_availability_zone");
        let read = contract.read(&written, |key, why| panic!("{key}: {why:?}"));
        assert_eq!(contract.write(&read), written);
        assert_eq!(read.iter().collect::<Vec<_>>(), metadata.iter().collect::<Vec<_>>());
        assert_eq!(read.other().collect::<Vec<_>>(), [("schema.version", "1")]);
    }

    #[test]
    fn bad_annotations_are_told_and_strange_ones_kept() {
        let annotations = [
            ("a.example/x", "not ours"),
            ("cwagent.amazonaws.com/host.id", "i-1"),
            ("cwagent.amazonaws.com/host.name", ""),
            ("cwagent.amazonaws.com/host.type", "a\u{7}b"),
            ("cwagent.amazonaws.com/host.serial", "s"),
            ("cwagent.amazonaws.comx/host.id", "not ours either"),
            ("z", "not ours"),
        ];
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let mut bad = Vec::new();
        let read = Contract::cloudwatch().read(&annotations, |key, why| bad.push((key.to_owned(), why.as_str())));
        assert_eq!(read.iter().collect::<Vec<_>>(), [(Attribute::HostId, "i-1")]);
        assert_eq!(read.other().collect::<Vec<_>>(), [("host.serial", "s")]);
        let bad: Vec<_> = bad.iter().map(|(key, why)| (key.as_str(), *why)).collect();
        assert_eq!(
            bad,
            [("cwagent.amazonaws.com/host.name", "empty"), ("cwagent.amazonaws.com/host.type", "malformed")]
        );
    }
}
