//! What a kubelet reads of its node and pods; everything else in the objects is passed by undecoded.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A string that is borrowed where it can be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The string of a field that may be missing, or `null`.
pub(super) fn text<'a>(field: Option<&'a Text<'_>>) -> &'a str {
    field.map_or("", Text::as_str)
}

/// The elements of a list that may be missing, or `null`.
pub(super) fn list<T>(field: Option<&Vec<T>>) -> &[T] {
    field.map_or(&[], Vec::as_slice)
}

/// Seconds since 1970.
pub(super) fn seconds(field: Option<&Text<'_>>) -> Option<i64> {
    text(field).parse().ok().map(Timestamp::as_second)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Pod<'a> {
    pub(super) metadata: Metadata<'a>,
    #[serde(default)]
    pub(super) spec: PodSpec<'a>,
    #[serde(default)]
    pub(super) status: PodStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Metadata<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) namespace: Option<Text<'a>>,
    pub(super) uid: Option<Text<'a>>,
    pub(super) creation_timestamp: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct PodSpec<'a> {
    pub(super) host_network: Option<bool>,
    pub(super) containers: Option<Vec<Container<'a>>>,
    pub(super) init_containers: Option<Vec<Container<'a>>>,
    pub(super) volumes: Option<Vec<Volume<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Container<'a> {
    pub(super) name: Option<Text<'a>>,
    /// `Always` makes an init container a sidecar.
    pub(super) restart_policy: Option<Text<'a>>,
    pub(super) resources: Option<Resources<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Resources<'a> {
    pub(super) limits: Option<Amounts<'a>>,
    pub(super) requests: Option<Amounts<'a>>,
}

/// The resources that a kubelet tells of.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Amounts<'a> {
    pub(super) cpu: Option<Quantity<'a>>,
    pub(super) memory: Option<Quantity<'a>>,
    pub(super) storage: Option<Quantity<'a>>,
    #[serde(rename = "ephemeral-storage")]
    pub(super) ephemeral_storage: Option<Quantity<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Volume<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) empty_dir: Option<EmptyDir<'a>>,
    pub(super) git_repo: Option<IgnoredAny>,
    pub(super) config_map: Option<IgnoredAny>,
    pub(super) secret: Option<IgnoredAny>,
    pub(super) projected: Option<IgnoredAny>,
    #[serde(rename = "downwardAPI")]
    pub(super) downward_api: Option<IgnoredAny>,
    pub(super) ephemeral: Option<IgnoredAny>,
    pub(super) persistent_volume_claim: Option<ClaimName<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct EmptyDir<'a> {
    pub(super) medium: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct ClaimName<'a> {
    pub(super) claim_name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct PodStatus<'a> {
    pub(super) phase: Option<Text<'a>>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<Text<'a>>,
    pub(super) start_time: Option<Text<'a>>,
    pub(super) container_statuses: Option<Vec<ContainerStatus<'a>>>,
    pub(super) init_container_statuses: Option<Vec<ContainerStatus<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ContainerStatus<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) state: Option<ContainerState<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ContainerState<'a> {
    pub(super) running: Option<Started<'a>>,
    pub(super) terminated: Option<Started<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Started<'a> {
    pub(super) started_at: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Node<'a> {
    pub(super) metadata: Metadata<'a>,
    #[serde(default)]
    pub(super) status: NodeStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct NodeStatus<'a> {
    pub(super) addresses: Option<Vec<Address<'a>>>,
    pub(super) capacity: Option<Amounts<'a>>,
    pub(super) daemon_endpoints: Option<DaemonEndpoints>,
    pub(super) node_info: Option<NodeInfo<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Address<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    pub(super) address: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DaemonEndpoints {
    pub(super) kubelet_endpoint: Option<Endpoint>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Endpoint {
    #[serde(rename = "Port")]
    pub(super) port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct NodeInfo<'a> {
    pub(super) kubelet_version: Option<Text<'a>>,
    pub(super) swap: Option<Swap>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Swap {
    pub(super) capacity: Option<u64>,
}

/// A PersistentVolumeClaim.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Claim<'a> {
    pub(super) spec: Option<ClaimSpec<'a>>,
    pub(super) status: Option<ClaimStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ClaimSpec<'a> {
    pub(super) resources: Option<Resources<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ClaimStatus<'a> {
    pub(super) capacity: Option<Amounts<'a>>,
}

/// A quantity of Kubernetes
/// ([reference](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)), as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, bound(deserialize = "'de: 'a"))]
pub(super) enum Quantity<'a> {
    Text(Text<'a>),
    Number(u64),
    /// What is none.
    Other(IgnoredAny),
}

impl Quantity<'_> {
    /// In thousandths, with what is smaller left out; `None` if it is no quantity, or too large.
    pub(super) fn thousandths(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.checked_mul(1000),
            Self::Text(text) => thousandths(text.as_str()),
            Self::Other(_) => None,
        }
    }

    /// In wholes.
    pub(super) fn whole(&self) -> Option<u64> {
        self.thousandths().map(|thousandths| thousandths / 1000)
    }
}

fn thousandths(text: &str) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part: u64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    let number = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part)?;
    let binary = |power| 1024_u64.checked_pow(power);
    let factor = match suffix {
        "m" => return Some(number / 1000),
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => binary(1)?,
        "Mi" => binary(2)?,
        "Gi" => binary(3)?,
        "Ti" => binary(4)?,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, expected) in [
            ("16", Some(16_000)),
            ("15910m", Some(15_910)),
            ("0.5", Some(500)),
            ("1.25Gi", Some(1_342_177_280_000)),
            ("104845292Ki", Some(107_361_579_008_000)),
            ("2k", Some(2_000_000)),
            ("99999999Ti", None),
            ("many", None),
            ("", None),
        ] {
            assert_eq!(thousandths(text), expected, "{text}");
        }
    }

    #[test]
    fn objects_may_lack_everything_and_be_null() {
        let pod: Pod<'_> = serde_json::from_str(
            r#"{"metadata": {"name": "a", "creationTimestamp": null, "managedFields": [{"x": {}}]},
                "spec": {"volumes": null, "containers": [{"name": "c", "resources": {"limits": {"memory": 5, "cpu": true}}}]}}"#,
        )
        .unwrap();
        assert_eq!(text(pod.metadata.name.as_ref()), "a");
        let container = &list(pod.spec.containers.as_ref())[0];
        let limits = container.resources.as_ref().unwrap().limits.as_ref().unwrap();
        assert_eq!(limits.memory.as_ref().unwrap().whole(), Some(5));
        assert_eq!(limits.cpu.as_ref().unwrap().whole(), None);
        assert_eq!(seconds(pod.metadata.creation_timestamp.as_ref()), None);
    }
}
