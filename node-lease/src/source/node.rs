//! What the Node in the API server tells of its machine: for nodes without a metadata service that a pod can reach.

use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Node;
use kube::Client;

use super::error::UNINITIALIZED;
use super::{Fetched, MetadataSource, SourceError};
use crate::api::call;
use crate::metadata::Attribute;

const DEADLINE: Duration = Duration::from_secs(10);

/// The longest Node that is read: with many images and annotations they have tens of kilobytes.
const MAX_NODE: usize = 4 << 20;

/// The Node object as a source. It needs the right to `get` it.
///
/// | attribute | from |
/// |---|---|
/// | `host.id` | the last part of `spec.providerID` on AWS, the annotation `container.googleapis.com/instance_id` on GKE; elsewhere `providerID` has names instead |
/// | `host.name` | the address of type `InternalDNS`, else `Hostname` |
/// | `host.type` | label `node.kubernetes.io/instance-type` |
/// | `cloud.availability_zone`, `cloud.region` | labels `topology.kubernetes.io/zone`, `…/region`; Azure's zones outside zones are fault domains, and left out |
/// | `cloud.provider` | the scheme of `providerID` |
/// | `cloud.account.id` | `providerID`, for GCE (project) and Azure (subscription) |
///
/// The image is not known to Kubernetes.
#[derive(Clone)]
pub struct NodeObject {
    client: Client,
    node: String,
}

impl std::fmt::Debug for NodeObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeObject").field("node", &self.node).finish_non_exhaustive()
    }
}

impl NodeObject {
    /// The Node of that name.
    pub fn new(client: Client, node: impl Into<String>) -> Self {
        Self { client, node: node.into() }
    }

    /// The object.
    pub(crate) async fn get(&self) -> Result<Node, crate::ApiError> {
        let request = kube::core::Request::new("/api/v1/nodes").get(&self.node, &kube::api::GetParams::default());
        call(&self.client, "get Node", request, DEADLINE, MAX_NODE).await
    }
}

impl MetadataSource for NodeObject {
    fn name(&self) -> &'static str {
        "Node object"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async {
            match self.get().await {
                Ok(node) => Ok(read(&node)),
                Err(error) if error.code() == Some(404) => Err(SourceError::NoNode { node: self.node.clone() }),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// What a Node tells of its machine.
pub fn read(node: &Node) -> Fetched {
    let (labels, annotations) = (node.metadata.labels.as_ref(), node.metadata.annotations.as_ref());
    // By its name of today, or by the one of before.
    let label = |names: [&str; 2]| {
        let values = names.into_iter().filter_map(|name| labels?.get(name));
        values.map(String::as_str).find(|value| !value.is_empty()).unwrap_or_default()
    };
    let addresses = || node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let address =
        |kind: &str| addresses().find(|address| address.type_ == kind).map(|address| address.address.as_str());
    let ProviderId { provider, id, account } =
        node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).map(ProviderId::parse).unwrap_or_default();
    let id = match annotations.and_then(|annotations| annotations.get("container.googleapis.com/instance_id")) {
        Some(number) if provider == "gcp" => number,
        _ => id,
    };
    let zone = label(["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"]);
    let zone = if provider == "azure" && !zone.contains('-') { "" } else { zone };
    let mut fetched = Fetched::default();
    for (attribute, value) in [
        (Attribute::HostId, id),
        (Attribute::HostName, address("InternalDNS").or_else(|| address("Hostname")).unwrap_or_default()),
        (Attribute::HostType, label(["node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"])),
        (Attribute::AvailabilityZone, zone),
        (Attribute::Provider, provider),
        (Attribute::Region, label(["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"])),
        (Attribute::AccountId, account),
    ] {
        fetched.take(attribute, value);
    }
    let taints = || node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    if taints().any(|taint| taint.key == UNINITIALIZED) {
        fetched.problems.push(SourceError::NodeUninitialized);
    }
    fetched
}

/// `spec.providerID`, as the clouds' controllers write it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ProviderId<'a> {
    /// As OpenTelemetry calls it; empty for clouds that it has no name for.
    pub(crate) provider: &'static str,
    /// The machine, where it is the cloud's own id.
    id: &'a str,
    account: &'a str,
}

impl<'a> ProviderId<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let Some((scheme, path)) = text.split_once("://") else { return Self::default() };
        let mut parts = path.trim_start_matches('/').split('/');
        match scheme {
            // aws:///us-east-1a/i-0123456789abcdef0
            "aws" => {
                let id = parts.next_back().filter(|id| id.starts_with("i-")).unwrap_or_default();
                Self { provider: "aws", id, account: "" }
            }
            // gce://project/zone/name
            "gce" => Self { provider: "gcp", id: "", account: parts.next().unwrap_or_default() },
            // azure:///subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachines/…
            "azure" => {
                let is_subscription = parts.next().is_some_and(|word| word.eq_ignore_ascii_case("subscriptions"));
                let account = parts.next().filter(|_| is_subscription).unwrap_or_default();
                Self { provider: "azure", id: "", account }
            }
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn provider_ids_of_three_clouds() {
        let parsed = |text| {
            let ProviderId { provider, id, account } = ProviderId::parse(text);
            [provider, id, account]
        };
        assert_eq!(parsed("aws:///us-east-1a/i-0abc"), ["aws", "i-0abc", ""]);
        assert_eq!(parsed("aws:///us-east-1a/fargate-ip-10-0-0-1"), ["aws", "", ""]);
        assert_eq!(parsed("gce://my-project/europe-west1-b/node-1"), ["gcp", "", "my-project"]);
        let scale_set = "azure:///subscriptions/11-22/resourceGroups/rg/providers/Microsoft.Compute/virtualMachineScaleSets/a/virtualMachines/0";
        assert_eq!(parsed(scale_set), ["azure", "", "11-22"]);
        for strange in ["kind://docker/kind/kind-control-plane", "", "aws", "azure:///x/y"] {
            assert_eq!(parsed(strange)[1..], ["", ""], "{strange}");
        }
    }

    fn told(node: Value) -> String {
        let fetched = read(&from_value(node).unwrap());
        assert!(fetched.is_complete());
        format!("{:?}", fetched.metadata)
    }

    #[test]
    fn a_node_tells_what_it_has() {
        let node = json!({
            "metadata": {"name": "n", "labels": {
                "node.kubernetes.io/instance-type": "m6i.large", "failure-domain.beta.kubernetes.io/zone": "us-east-1a",
                "topology.kubernetes.io/region": "us-east-1", "failure-domain.beta.kubernetes.io/region": "of before",
            }},
            "spec": {"providerID": "aws:///us-east-1a/i-0abc"},
            "status": {"addresses": [
                {"type": "Hostname", "address": "short"}, {"type": "InternalDNS", "address": "n.ec2.internal"},
            ]},
        });
        let all = r#"{"host.id": "i-0abc", "host.name": "n.ec2.internal", "host.type": "m6i.large", "cloud.availability_zone": "us-east-1a", "cloud.provider": "aws", "cloud.region": "us-east-1"}"#;
        assert_eq!(told(node), all);
        assert_eq!(told(json!({"metadata": {}})), "{}");
        let named = json!({"metadata": {}, "status": {"addresses": [{"type": "Hostname", "address": "short"}]}});
        assert_eq!(told(named), r#"{"host.name": "short"}"#);
    }

    #[test]
    fn a_fault_domain_is_no_zone() {
        let node = |zone: &str| {
            json!({
                "metadata": {"labels": {"topology.kubernetes.io/zone": zone}},
                "spec": {"providerID": "azure:///subscriptions/11-22/x"},
            })
        };
        let outside = r#"{"cloud.provider": "azure", "cloud.account.id": "11-22"}"#;
        assert_eq!(told(node("0")), outside);
        assert!(told(node("westeurope-1")).contains(r#""cloud.availability_zone": "westeurope-1""#));
    }

    #[test]
    fn gke_notes_the_instance_id() {
        let node = |id: &str| {
            json!({
                "metadata": {"annotations": {"container.googleapis.com/instance_id": "4520031799277581759"}},
                "spec": {"providerID": id},
            })
        };
        let gce = r#"{"host.id": "4520031799277581759", "cloud.provider": "gcp", "cloud.account.id": "p"}"#;
        assert_eq!(told(node("gce://p/z/n")), gce);
        assert_eq!(told(node("aws:///z/i-1")), r#"{"host.id": "i-1", "cloud.provider": "aws"}"#, "no other cloud's");
    }
}
