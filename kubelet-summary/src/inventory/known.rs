//! A pod that is known, and what it has in common with others.

use std::sync::Arc;

use jiff::Timestamp;

use super::record::PodPhase;
use super::uid::PodUid;
use crate::resources::PodSpecResources;
use crate::schema::Time;
use crate::selector::{Scope, Workload};

/// What pods of one template have alike; it is kept once for all of them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Template {
    pub(super) namespace: Arc<str>,
    /// By key.
    pub(super) labels: Box<[(Arc<str>, Arc<str>)]>,
    pub(super) owner: Option<(Arc<str>, Arc<str>)>,
    pub(super) resources: Arc<PodSpecResources<Arc<str>>>,
}

impl Template {
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        let place = self.labels.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.labels.get(place).map(|(_, value)| &**value)
    }
}

impl Template {
    pub(super) fn has_owner(&self, scope: &Scope) -> bool {
        let owner = self.owner.as_ref().map(|(kind, name)| (&**kind, &**name));
        scope.admits_owner(&self.namespace, |key| self.label(key), owner)
    }
}

/// Whether pods have the owner that a scope wants, the host being asked once for those that have all alike and come one
/// after another.
pub(super) fn with_owner(scope: &Scope) -> impl FnMut(&Arc<KnownPod>) -> bool {
    let mut last: Option<(Arc<Template>, bool)> = None;
    move |pod| match &last {
        Some((template, has)) if Arc::ptr_eq(template, &pod.template) => *has,
        _ => {
            let has = pod.template.has_owner(scope);
            last = Some((pod.template.clone(), has));
            has
        }
    }
}

/// A pod that the watch knows.
#[derive(Debug)]
pub struct KnownPod {
    pub(super) uid: PodUid,
    /// Of a static pod: the uid by which its kubelet knows it.
    pub(super) kubelet_uid: Option<Box<PodUid>>,
    pub(super) name: Box<str>,
    pub(super) node: Option<Arc<str>>,
    pub(super) phase: PodPhase,
    pub(super) started: Option<Time>,
    pub(super) template: Arc<Template>,
}

impl KnownPod {
    /// Its uid, by which the API server knows it.
    pub fn uid(&self) -> &PodUid {
        &self.uid
    }

    /// The uid by which its kubelet knows it: of a static pod's mirror it is another one.
    pub fn kubelet_uid(&self) -> &PodUid {
        self.kubelet_uid.as_deref().unwrap_or(&self.uid)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.template.namespace
    }

    /// The node it is bound to.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    pub(crate) fn shared_node(&self) -> Option<&Arc<str>> {
        self.node.as_ref()
    }

    /// Where it is in its life.
    pub fn phase(&self) -> PodPhase {
        self.phase
    }

    /// When its kubelet acknowledged it.
    pub fn started(&self) -> Option<Timestamp> {
        self.started.map(Time::as_timestamp)
    }

    /// One of its labels.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.template.label(key)
    }

    /// Its labels, by key.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.template.labels.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Kind and name of what controls it.
    pub fn owner(&self) -> Option<(&str, &str)> {
        self.template.owner.as_ref().map(|(kind, name)| (&**kind, &**name))
    }

    /// What controls it in the end, as far as the pod itself says: a Deployment for its ReplicaSet, the owner otherwise.
    pub fn workload(&self) -> Workload<'_> {
        Workload::of(self.owner(), self.label(HASH))
    }

    /// Its containers, and what they ask for and may take.
    pub fn resources(&self) -> &PodSpecResources<Arc<str>> {
        &self.template.resources
    }
}

/// The label by which a Deployment tells the pods of its ReplicaSets apart.
const HASH: &str = "pod-template-hash";
