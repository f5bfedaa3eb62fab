//! What of a pod and of a node is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::decode;
use crate::fetch::NodeTarget;
use crate::resources::{ContainerKind, ContainerSpec, PodSpecResources, Resources};

/// The annotation of a mirror pod whose value is the uid by which its kubelet knows it. The API server gives the
/// mirror a uid of its own.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub enum PodPhase {
    /// It does not run yet.
    Pending,
    /// It runs.
    Running,
    /// All its containers ended well.
    Succeeded,
    /// All its containers ended, some of them not well.
    Failed,
    /// Its node can't be asked, or it has no phase that is known here.
    #[default]
    Unknown,
}

impl PodPhase {
    /// The phase of a pod's status.
    pub fn of(text: Option<&str>) -> Self {
        match text {
            Some("Pending") => Self::Pending,
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// Whether it is over: nothing of it runs, or will run.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// What controls a pod: the owner reference that is its controller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Owner {
    /// Its kind: `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Owner {
    /// An owner by its kind and name.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }
}

/// What of a [`Pod`] an [`Inventory`](super::Inventory) keeps.
///
/// It is read from a pod's JSON without the rest of it (of 12 KB, some 1 KB), and watched like a pod:
/// `kube::runtime::watcher(Api::<PodRecord>::all(client), …)`.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kubelet_summary::inventory::PodRecord;
///
/// let pod: Pod = serde_json::from_value(serde_json::json!({
///     "metadata": {"name": "web-0", "namespace": "shop", "uid": "u-1"},
///     "spec": {"nodeName": "node-1", "containers": [{"name": "web"}]},
/// }))?;
/// let record = PodRecord::from(pod);
/// assert_eq!(record.node.as_deref(), Some("node-1"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodRecord {
    /// Name, namespace, uid, labels and version. Of the annotations only a mirror pod's is kept, of the owners only the
    /// controller.
    pub metadata: ObjectMeta,
    /// The node it is bound to.
    pub node: Option<String>,
    /// Where it is in its life.
    pub phase: PodPhase,
    /// When its kubelet acknowledged it.
    pub started: Option<Timestamp>,
    /// What its containers ask for and may take.
    pub resources: PodSpecResources,
}

impl PodRecord {
    fn with(metadata: ObjectMeta, pod: &Pod) -> Self {
        let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
        let init = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten().map(|one| {
            let sidecar = one.restart_policy.as_deref() == Some("Always");
            container(one, if sidecar { ContainerKind::Sidecar } else { ContainerKind::Init })
        });
        let main = spec.map(|spec| &spec.containers).into_iter().flatten();
        let containers = init.chain(main.map(|one| container(one, ContainerKind::Main))).collect();
        let own = spec.and_then(|spec| spec.resources.as_ref());
        Self {
            metadata,
            node: spec.and_then(|spec| spec.node_name.clone()).filter(|name| !name.is_empty()),
            phase: PodPhase::of(status.and_then(|status| status.phase.as_deref())),
            started: status.and_then(|status| Some(status.start_time.as_ref()?.0)),
            resources: PodSpecResources {
                containers,
                requests: Resources::of(own.and_then(|own| own.requests.as_ref())),
                limits: Resources::of(own.and_then(|own| own.limits.as_ref())),
                overhead: Resources::of(spec.and_then(|spec| spec.overhead.as_ref())),
            },
        }
    }

    /// What controls it.
    pub fn owner(&self) -> Option<Owner> {
        let owners = self.metadata.owner_references.as_deref().unwrap_or_default();
        let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
        Some(Owner::new(&owner.kind, &owner.name))
    }

    /// The uid by which its kubelet knows it, where that is not its own.
    pub fn kubelet_uid(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(MIRROR).map(String::as_str)
    }
}

impl From<Pod> for PodRecord {
    fn from(mut pod: Pod) -> Self {
        let mut metadata = std::mem::take(&mut pod.metadata);
        metadata.managed_fields = None;
        metadata.finalizers = None;
        metadata.annotations = metadata.annotations.and_then(only_mirror);
        if let Some(owners) = &mut metadata.owner_references {
            owners.retain(|owner| owner.controller == Some(true));
        }
        Self::with(metadata, &pod)
    }
}

/// Of what a host shares, a copy of what is kept: labels and the owner, and nothing else of the object's metadata.
impl From<&Pod> for PodRecord {
    fn from(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let owners = metadata.owner_references.iter().flatten().filter(|owner| owner.controller == Some(true));
        let mirror = metadata.annotations.as_ref().and_then(|annotations| annotations.get_key_value(MIRROR));
        let metadata = ObjectMeta {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            labels: metadata.labels.clone(),
            owner_references: metadata.owner_references.is_some().then(|| owners.cloned().collect()),
            annotations: mirror.map(|(key, value)| BTreeMap::from([(key.clone(), value.clone())])),
            ..ObjectMeta::default()
        };
        Self::with(metadata, pod)
    }
}

impl From<Arc<Pod>> for PodRecord {
    fn from(pod: Arc<Pod>) -> Self {
        Self::from(&*pod)
    }
}

fn container(container: &Container, kind: ContainerKind) -> ContainerSpec {
    let (requests, limits) = match &container.resources {
        Some(resources) => (Resources::of(resources.requests.as_ref()), Resources::of(resources.limits.as_ref())),
        None => Default::default(),
    };
    ContainerSpec { name: container.name.clone(), kind, requests, limits }
}

pub(super) fn only_mirror(mut annotations: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    annotations.remove_entry(MIRROR).map(|mirror| BTreeMap::from([mirror]))
}

/// What of a [`Node`] an [`Inventory`](super::Inventory) keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRecord {
    /// Name, uid and version.
    pub metadata: ObjectMeta,
    /// Where its kubelet is.
    pub target: NodeTarget,
    /// Whether its kubelet says that it is well; none where it has not said.
    pub ready: Option<bool>,
    /// What its pods may take together.
    pub allocatable: Resources,
}

impl NodeRecord {
    /// Its name; empty where it has none.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

impl From<&Node> for NodeRecord {
    fn from(node: &Node) -> Self {
        let metadata = ObjectMeta {
            name: node.metadata.name.clone(),
            uid: node.metadata.uid.clone(),
            resource_version: node.metadata.resource_version.clone(),
            ..ObjectMeta::default()
        };
        let status = node.status.as_ref();
        let mut conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let ready = conditions.find(|condition| condition.type_ == "Ready");
        Self {
            metadata,
            target: NodeTarget::from_node(node).unwrap_or_else(|| NodeTarget::new("")),
            ready: ready.and_then(|condition| truth(&condition.status)),
            allocatable: Resources::of(status.and_then(|status| status.allocatable.as_ref())),
        }
    }
}

impl From<Node> for NodeRecord {
    fn from(node: Node) -> Self {
        Self::from(&node)
    }
}

impl From<Arc<Node>> for NodeRecord {
    fn from(node: Arc<Node>) -> Self {
        Self::from(&*node)
    }
}

/// A condition's status; `Unknown` is none.
pub(super) fn truth(status: &str) -> Option<bool> {
    match status {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// Amounts, as resource maps have them.
pub(super) type Amounts = BTreeMap<String, Quantity>;

macro_rules! resource_like {
    ($record:ty, $like:ty) => {
        impl Resource for $record {
            type DynamicType = ();
            type Scope = <$like as Resource>::Scope;

            fn kind((): &()) -> Cow<'_, str> {
                <$like as Resource>::kind(&())
            }

            fn group((): &()) -> Cow<'_, str> {
                <$like as Resource>::group(&())
            }

            fn version((): &()) -> Cow<'_, str> {
                <$like as Resource>::version(&())
            }

            fn plural((): &()) -> Cow<'_, str> {
                <$like as Resource>::plural(&())
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource_like!(PodRecord, Pod);
resource_like!(NodeRecord, Node);

impl<'de> Deserialize<'de> for PodRecord {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        decode::Pod::deserialize(deserializer).map(Into::into)
    }
}

impl<'de> Deserialize<'de> for NodeRecord {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        decode::Node::deserialize(deserializer).map(Into::into)
    }
}
