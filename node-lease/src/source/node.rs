//! What the Node in the API server tells of its machine: for nodes without a metadata service that a pod can reach.

use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Node;
use kube::Client;

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
/// | `host.id` | the last part of `spec.providerID`, for AWS: other clouds' `providerID` has names instead |
/// | `host.name` | the address of type `InternalDNS`, else `Hostname` |
/// | `host.type` | label `node.kubernetes.io/instance-type` |
/// | `cloud.availability_zone`, `cloud.region` | labels `topology.kubernetes.io/zone`, `…/region` |
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
    fn name(&self) -> &str {
        "Node object"
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async { Ok(read(&self.get().await?)) })
    }
}

/// What a Node tells of its machine.
pub fn read(node: &Node) -> Fetched {
    let mut fetched = Fetched::default();
    let label =
        |name: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(name)).map_or("", String::as_str);
    let label_or_old =
        |name: &str, old: &str| if label(name).is_empty() { label(old).to_owned() } else { label(name).to_owned() };
    let addresses = || node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let address =
        |kind: &str| addresses().find(|address| address.type_ == kind).map(|address| address.address.as_str());
    let machine =
        node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref()).map(ProviderId::parse).unwrap_or_default();
    for (attribute, value) in [
        (Attribute::HostId, machine.id),
        (Attribute::Provider, machine.provider),
        (Attribute::AccountId, machine.account),
        (Attribute::HostName, address("InternalDNS").or_else(|| address("Hostname")).unwrap_or_default()),
        (Attribute::HostType, &label_or_old("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")),
        (
            Attribute::AvailabilityZone,
            &label_or_old("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
        ),
        (Attribute::Region, &label_or_old("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")),
    ] {
        fetched.take(attribute, value);
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
    use k8s_openapi::serde_json::{from_value, json};

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

    #[test]
    fn a_node_tells_what_it_has() {
        let node: Node = from_value(json!({
            "metadata": {"name": "n", "labels": {
                "node.kubernetes.io/instance-type": "m6i.large", "failure-domain.beta.kubernetes.io/zone": "us-east-1a",
                "topology.kubernetes.io/region": "us-east-1",
            }},
            "spec": {"providerID": "aws:///us-east-1a/i-0abc"},
            "status": {"addresses": [
                {"type": "Hostname", "address": "short"}, {"type": "InternalDNS", "address": "n.ec2.internal"},
            ]},
        }))
        .unwrap();
        let fetched = read(&node);
        assert!(fetched.is_complete());
        let told: Vec<_> = fetched.metadata.iter().map(|(attribute, value)| (attribute.name(), value)).collect();
        assert_eq!(
            told,
            [
                ("host.id", "i-0abc"),
                ("host.name", "n.ec2.internal"),
                ("host.type", "m6i.large"),
                ("cloud.availability_zone", "us-east-1a"),
                ("cloud.provider", "aws"),
                ("cloud.region", "us-east-1"),
            ]
        );
        assert!(read(&Node::default()).metadata.is_empty());
    }
}
