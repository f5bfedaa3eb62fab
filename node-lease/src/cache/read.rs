//! A Lease → what a reader takes from it, or why it can't be taken.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;

use crate::contract::Contract;
use crate::metadata::{BadValue, NodeMetadata};

/// The longest duration that is believed: a Lease of years would never leave the cache.
const MAX_DURATION: Duration = Duration::from_hours(24 * 7);

/// What a reader takes from a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) metadata: NodeMetadata,
    pub(super) renewed: Timestamp,
    pub(super) duration: Duration,
}

/// Why a Lease of the contract can't be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejection {
    NoRenewTime,
    BadDuration,
    NoMetadata,
}

impl Rejection {
    /// The word for metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NoRenewTime => "no_renew_time",
            Self::BadDuration => "bad_duration",
            Self::NoMetadata => "no_metadata",
        }
    }
}

/// Reads a Lease of the contract; `bad` hears of annotations that can't be taken.
pub(super) fn read(
    contract: &Contract,
    lease: &Lease,
    mut bad: impl FnMut(&str, BadValue),
) -> Result<Reading, Rejection> {
    let spec = lease.spec.as_ref();
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).ok_or(Rejection::NoRenewTime)?.0;
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).ok_or(Rejection::BadDuration)?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).ok_or(Rejection::BadDuration)?;
    let metadata = match &lease.metadata.annotations {
        Some(annotations) => contract.read(annotations, &mut bad),
        None => NodeMetadata::new(),
    };
    if metadata.is_empty() {
        return Err(Rejection::NoMetadata);
    }
    Ok(Reading { metadata, renewed, duration: Duration::from_secs(seconds).min(MAX_DURATION) })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::serde_json::{Value, from_value, json};

    use super::*;
    use crate::metadata::Attribute;

    fn reading(change: impl FnOnce(&mut Value)) -> Result<Reading, Rejection> {
        let mut lease = json!({
            "metadata": {"name": "cwagent-node-metadata-n", "annotations": {"cwagent.amazonaws.com/host.id": "i-1"}},
            "spec": {"leaseDurationSeconds": 7200, "renewTime": "2026-11-27T12:00:00.000000Z"},
        });
        change(&mut lease);
        read(&Contract::cloudwatch(), &from_value(lease).unwrap(), |_, _| {})
    }

    #[test]
    fn a_lease_needs_one_value_a_time_and_a_duration() {
        let read = reading(|_| {}).unwrap();
        assert_eq!(read.metadata.get(Attribute::HostId), Some("i-1"));
        assert_eq!(read.duration, Duration::from_hours(2));
        let rejected: [(_, fn(&mut Value)); 7] = [
            (Rejection::NoRenewTime, |lease| drop(lease["spec"].take())),
            (Rejection::NoRenewTime, |lease| drop(lease["spec"]["renewTime"].take())),
            (Rejection::BadDuration, |lease| drop(lease["spec"]["leaseDurationSeconds"].take())),
            (Rejection::BadDuration, |lease| lease["spec"]["leaseDurationSeconds"] = (-1).into()),
            (Rejection::BadDuration, |lease| lease["spec"]["leaseDurationSeconds"] = 0.into()),
            (Rejection::NoMetadata, |lease| drop(lease["metadata"]["annotations"].take())),
            (Rejection::NoMetadata, |lease| {
                lease["metadata"]["annotations"]["cwagent.amazonaws.com/host.id"] = "".into();
            }),
        ];
        for (why, change) in rejected {
            assert_eq!(reading(change), Err(why));
        }
        let endless = reading(|lease| lease["spec"]["leaseDurationSeconds"] = i32::MAX.into());
        assert_eq!(endless.unwrap().duration, MAX_DURATION);
    }
}
