//! The Node as the owner of its Lease: when it goes, the Lease is collected.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::Owner;
use crate::api::ApiError;
use crate::source::node::NodeObject;

/// Who owns the Lease, as far as it is known.
pub(super) struct Ownership {
    owner: Owner,
    node: NodeObject,
    node_name: String,
    /// The Node's uid, once it was looked up.
    node_uid: Option<String>,
    /// Why it could not be, so that it is logged once.
    unknown: Option<String>,
    /// The last look-up failed, and the next may not.
    pending: bool,
    /// The server lets this writer set no owner.
    refused: bool,
}

/// A Node as an owner.
pub(super) fn node_owner(name: &str, uid: String) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: name.to_owned(),
        uid,
        ..OwnerReference::default()
    }
}

impl Ownership {
    pub(super) fn new(owner: Owner, node: NodeObject, node_name: String) -> Self {
        Self { owner, node, node_name, node_uid: None, unknown: None, pending: false, refused: false }
    }

    /// The owner, which is looked up if it is not known. Without the right to do so, the Lease has none; without the Node,
    /// there is nothing that it could be about.
    pub(super) async fn reference(&mut self) -> Result<Option<OwnerReference>, ApiError> {
        self.pending = false;
        let uid = match (&self.owner, &self.node_uid) {
            _ if self.refused => return Ok(None),
            (Owner::None, _) => return Ok(None),
            (Owner::NodeUid(uid), _) | (Owner::Node, Some(uid)) => Some(uid.clone()),
            (Owner::Node, None) => self.look_up().await?,
        };
        Ok(uid.map(|uid| node_owner(&self.node_name, uid)))
    }

    async fn look_up(&mut self) -> Result<Option<String>, ApiError> {
        let error = match self.node.get().await {
            Ok(node) => {
                (self.node_uid, self.unknown) = (node.metadata.uid, None);
                return Ok(self.node_uid.clone());
            }
            Err(error) if error.code() == Some(404) => return Err(error),
            Err(error) => error,
        };
        self.pending = error.code() != Some(403);
        let why = error.to_string();
        if self.unknown.as_ref() != Some(&why) {
            tracing::warn!(node = self.node_name, error = why, "the Lease has no owner yet: it would outlive its node");
            self.unknown = Some(why);
        }
        Ok(None)
    }

    /// Takes over the owner that a Lease has, where this writer could not find it out.
    pub(super) fn inherit(&mut self, lease: &Lease) {
        let mut owners = lease.metadata.owner_references.iter().flatten();
        if let (Owner::Node, None) = (&self.owner, &self.node_uid) {
            let known = owners.find(|owner| owner.kind == "Node" && owner.name == self.node_name);
            self.node_uid = known.map(|owner| owner.uid.clone());
        }
    }

    /// The Node may have been made anew, and its former uid have taken the Lease with it.
    pub(super) fn forget(&mut self) {
        self.node_uid = None;
    }

    /// The server refuses owners of this writer's: where `OwnerReferencesPermissionEnforcement` is on, setting one takes
    /// the right to delete the object.
    pub(super) fn refuse(&mut self, why: &ApiError) {
        tracing::warn!(error = %why, "the Lease gets no owner: grant `delete` on it, or it outlives its node");
        self.refused = true;
    }

    /// Whether the owner is wanted, not known, and could be known soon.
    pub(super) fn is_pending(&self) -> bool {
        self.pending
    }
}
