//! Which kubelet to ask, and where it is.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use thiserror::Error;

/// The kubelet's port for authenticated HTTPS.
pub const KUBELET_PORT: u16 = 10250;
/// The kubelet's port for anonymous HTTP, usually off.
pub const READ_ONLY_PORT: u16 = 10255;

/// What kind of address one of a Node's is (`status.addresses[].type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddressType {
    /// `InternalIP`: within the cluster.
    InternalIp,
    /// `ExternalIP`: from outside.
    ExternalIp,
    /// `Hostname`, as the kubelet says it; not always known to DNS.
    Hostname,
    /// `InternalDNS`.
    InternalDns,
    /// `ExternalDNS`.
    ExternalDns,
}

impl AddressType {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::InternalIp, Self::ExternalIp, Self::Hostname, Self::InternalDns, Self::ExternalDns];

    /// The word in a Node's status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InternalIp => "InternalIP",
            Self::ExternalIp => "ExternalIP",
            Self::Hostname => "Hostname",
            Self::InternalDns => "InternalDNS",
            Self::ExternalDns => "ExternalDNS",
        }
    }

    /// The one of that word; none for a word of a later Kubernetes.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One address of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeAddress {
    /// What kind it is.
    pub kind: AddressType,
    /// An IP address, without brackets, or a name.
    pub address: String,
}

/// The environment does not say which node this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("neither NODE_NAME nor K8S_NODE_NAME is set: set it from the field `spec.nodeName` in the pod's manifest")]
pub struct NoNodeName;

/// A node, as whoever asks its kubelet sees it.
///
/// ```
/// use kubelet_summary::fetch::{AddressType, NodeTarget};
///
/// let node = NodeTarget::new("node-1").address(AddressType::InternalIp, "10.0.0.1");
/// assert_eq!((&*node.name, node.port), ("node-1", 10250));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeTarget {
    /// The Node's name.
    pub name: Arc<str>,
    /// Its addresses, in the Node's order: one list for all copies.
    pub addresses: Arc<[NodeAddress]>,
    /// The kubelet's port, 10250 unless the Node says otherwise.
    pub port: u16,
}

impl NodeTarget {
    /// A node of which only the name is known: enough for the node proxy.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), addresses: Arc::default(), port: KUBELET_PORT }
    }

    /// With one more address.
    pub fn address(mut self, kind: AddressType, address: impl Into<String>) -> Self {
        let added = NodeAddress { kind, address: address.into() };
        self.addresses = self.addresses.iter().cloned().chain(std::iter::once(added)).collect();
        self
    }

    /// With another port of the kubelet.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The node that this pod runs on, from the environment: `NODE_NAME` (or `K8S_NODE_NAME`) is its name, `NODE_IP`
    /// (or `HOST_IP`) its address, from the fields `spec.nodeName` and `status.hostIP`. Without an address it is
    /// 127.0.0.1, which reaches the kubelet from a pod in the host's network only. No kubelet's certificate is for that
    /// address: `DirectBuilder::local` has it checked against the node's name.
    pub fn local() -> Result<Self, NoNodeName> {
        Self::local_by(|name| std::env::var(name).ok())
    }

    fn local_by(variable: impl Fn(&str) -> Option<String>) -> Result<Self, NoNodeName> {
        let first = |names: [&str; 2]| {
            names.into_iter().filter_map(&variable).map(|value| value.trim().to_owned()).find(|value| !value.is_empty())
        };
        let name = first(["NODE_NAME", "K8S_NODE_NAME"]).ok_or(NoNodeName)?;
        let address = first(["NODE_IP", "HOST_IP"]).unwrap_or_else(|| "127.0.0.1".to_owned());
        Ok(Self::new(name).address(AddressType::InternalIp, address))
    }

    /// What a Node object says: `status.addresses` of the kinds that are known here, and
    /// `status.daemonEndpoints.kubeletEndpoint.Port`. None where the object has no name.
    pub fn from_node(node: &Node) -> Option<Self> {
        let mut target = Self::new(node.metadata.name.as_deref().filter(|name| !name.is_empty())?);
        let Some(status) = &node.status else { return Some(target) };
        let known = status.addresses.iter().flatten().filter_map(|told| {
            let kind = AddressType::from_word(&told.type_)?;
            Some(NodeAddress { kind, address: told.address.clone() })
        });
        target.addresses = known.collect();
        let endpoint = status.daemon_endpoints.as_ref().and_then(|endpoints| endpoints.kubelet_endpoint.as_ref());
        if let Some(port) = endpoint.and_then(|endpoint| u16::try_from(endpoint.port).ok()).filter(|port| *port > 0) {
            target.port = port;
        }
        Some(target)
    }

    /// The first address of the kinds in `preferred`, in that order.
    pub fn preferred(&self, preferred: &[AddressType]) -> Option<&NodeAddress> {
        preferred.iter().find_map(|kind| {
            self.addresses.iter().find(|address| address.kind == *kind && !address.address.trim().is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(status: &serde_json::Value) -> Node {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "n"}, "status": status})).unwrap()
    }

    #[test]
    fn a_node_says_where_its_kubelet_is() {
        let target = NodeTarget::from_node(&node(&serde_json::json!({
            "addresses": [
                {"type": "Hostname", "address": "host"},
                {"type": "InternalIP", "address": "fd00::1"},
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "Quantum", "address": "?"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 1234}},
        })))
        .unwrap();
        let want = NodeTarget::new("n")
            .address(AddressType::Hostname, "host")
            .address(AddressType::InternalIp, "fd00::1")
            .address(AddressType::InternalIp, "10.0.0.1")
            .port(1234);
        assert_eq!(target, want);
        let first = |kinds: &[AddressType]| target.preferred(kinds).map(|address| address.address.as_str());
        assert_eq!(first(&[AddressType::InternalIp, AddressType::Hostname]), Some("fd00::1"));
        assert_eq!(first(&[AddressType::ExternalIp, AddressType::Hostname]), Some("host"));
        assert_eq!(first(&[AddressType::ExternalIp]), None);
    }

    #[test]
    fn the_local_node_is_from_the_environment() {
        let local = |variables: &[(&str, &str)]| {
            NodeTarget::local_by(|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let node = |address: &str| Ok(NodeTarget::new("n").address(AddressType::InternalIp, address));
        assert_eq!(local(&[("NODE_NAME", "n")]), node("127.0.0.1"));
        assert_eq!(local(&[("K8S_NODE_NAME", "n"), ("HOST_IP", "fd00::1")]), node("fd00::1"));
        assert_eq!(local(&[("NODE_NAME", "n"), ("NODE_IP", "10.0.0.1"), ("HOST_IP", "?")]), node("10.0.0.1"));
        assert!(local(&[("NODE_NAME", " ")]).unwrap_err().to_string().contains("spec.nodeName"));
    }

    #[test]
    fn a_node_that_says_nothing_has_the_usual_port() {
        for status in [
            serde_json::json!({}),
            serde_json::json!({"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}),
            serde_json::json!({"daemonEndpoints": {"kubeletEndpoint": {"Port": 70_000}}}),
        ] {
            assert_eq!(NodeTarget::from_node(&node(&status)), Some(NodeTarget::new("n")), "{status}");
        }
        assert_eq!(NodeTarget::from_node(&Node::default()), None);
    }
}
