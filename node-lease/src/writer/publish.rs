//! One Lease, kept as it should be: which request comes first, and what follows from each answer.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;

use super::Owner;
use super::lease::{Desired, holder, node_owner, renewed};
use super::leases::Leases;
use crate::api::ApiError;
use crate::clock::WallClock;
use crate::contract::Contract;
use crate::metadata::NodeMetadata;
use crate::source::node::NodeObject;

/// So many writes are tried for one renewal, before it counts as failed and is backed off.
const MAX_WRITES: usize = 3;

/// How Leases are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By server-side apply, which takes the right to `patch` (and to `create`).
    Apply,
    /// By `create` and `update`, where `patch` is forbidden.
    Update,
}

/// What became of a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Published {
    /// The Lease is this writer's.
    Held,
    /// Another writer has taken the Lease over and renews it: the pod that replaces this one.
    Superseded(String),
}

pub(super) struct Publisher {
    pub(super) leases: Leases,
    pub(super) contract: Contract,
    pub(super) node: NodeObject,
    pub(super) node_name: String,
    pub(super) holder: String,
    pub(super) owner: Owner,
    pub(super) clock: WallClock,
    mode: Mode,
    /// The Lease as it was last seen, if it was there.
    live: Option<Box<Lease>>,
    /// Since when this writer holds the Lease.
    acquired: Option<Timestamp>,
    /// What is there must be looked at before it is written: it is another writer's, or not what it was thought to be.
    look_first: bool,
    /// The Node's uid, once it was looked up.
    node_uid: Option<String>,
    /// The last failure to look it up, so that it is logged once.
    no_owner: Option<String>,
}

impl Publisher {
    pub(super) fn new(
        leases: Leases,
        contract: Contract,
        node_name: String,
        holder: String,
        owner: Owner,
        clock: WallClock,
    ) -> Self {
        let node = NodeObject::new(leases.client.clone(), node_name.clone());
        Self {
            leases,
            contract,
            node,
            node_name,
            holder,
            owner,
            clock,
            mode: Mode::Apply,
            live: None,
            acquired: None,
            look_first: false,
            node_uid: None,
            no_owner: None,
        }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Writes the Lease. The first time whoever holds it loses it; from then on it is not taken back from a writer that
    /// has taken it over and is alive.
    pub(super) async fn publish(&mut self, metadata: &NodeMetadata) -> Result<Published, ApiError> {
        if self.look_first
            && let Some(by) = self.look().await?
        {
            return Ok(Published::Superseded(by));
        }
        let mut writes = 0;
        loop {
            let error = match self.write(metadata).await {
                Ok(lease) => {
                    let anew = self.made_anew(&lease);
                    self.acquired.get_or_insert_with(|| self.clock.now());
                    self.live = Some(Box::new(lease));
                    if anew && self.owner == Owner::Node {
                        // The Node may have been made anew too, and its former uid have taken the Lease with it.
                        self.node_uid = None;
                        writes += 1;
                        continue;
                    }
                    return Ok(Published::Held);
                }
                Err(error) => error,
            };
            writes += 1;
            match (error.code(), self.mode, &self.live) {
                _ if writes == MAX_WRITES => return Err(error),
                // Forbidden to patch: the other way may be allowed.
                (Some(403), Mode::Apply, _) => self.mode = Mode::Update,
                // Neither is allowed, for now.
                (Some(403), Mode::Update, _) => {
                    self.mode = Mode::Apply;
                    return Err(error);
                }
                // It changed or went meanwhile, or was there already.
                (Some(404 | 409), _, Some(_)) | (Some(409), Mode::Update, _) => {
                    if let Some(by) = self.look().await? {
                        return Ok(Published::Superseded(by));
                    }
                }
                // What is there may be other than it was thought to be.
                (Some(400 | 422 | 500), _, Some(_)) => {
                    self.look_first = true;
                    return Err(error);
                }
                _ => return Err(error),
            }
        }
    }

    async fn write(&mut self, metadata: &NodeMetadata) -> Result<Lease, ApiError> {
        let owner = self.owner().await;
        let now = self.clock.now();
        let acquired = self.acquired.unwrap_or(now);
        let desired = Desired {
            contract: &self.contract,
            name: &self.leases.name,
            namespace: &self.leases.namespace,
            holder: &self.holder,
            metadata,
            owner,
            acquired,
            now,
        };
        match (self.mode, &self.live) {
            (Mode::Apply, live) => {
                let mut lease = desired.lease();
                if let Some(seen) = live {
                    // What changed since it was seen is not overwritten: it may have another holder.
                    lease.metadata.resource_version.clone_from(&seen.metadata.resource_version);
                }
                self.leases.apply(&lease).await
            }
            (Mode::Update, Some(seen)) => self.leases.update(&desired.onto((**seen).clone())).await,
            (Mode::Update, None) => self.leases.create(&desired.lease()).await,
        }
    }

    /// Whether a Lease that was written is another one than was there before: that one went meanwhile.
    fn made_anew(&self, lease: &Lease) -> bool {
        self.live.as_ref().is_some_and(|seen| seen.metadata.uid != lease.metadata.uid)
    }

    /// Looks what is there; by whom it was taken over, if it was.
    async fn look(&mut self) -> Result<Option<String>, ApiError> {
        let lease = match self.leases.get().await {
            Ok(lease) => lease,
            Err(error) if error.code() == Some(404) => {
                // The Node may have been made anew, and its former uid have taken the Lease with it.
                (self.live, self.node_uid, self.look_first) = (None, None, false);
                return Ok(None);
            }
            // It must not be read: then it can only be written.
            Err(error) if error.code() == Some(403) && self.mode == Mode::Apply => {
                (self.live, self.look_first) = (None, false);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if self.acquired.is_some() && self.is_taken_over(&lease) {
            let by = holder(&lease).unwrap_or_default().to_owned();
            (self.live, self.look_first) = (None, true);
            return Ok(Some(by));
        }
        (self.live, self.look_first) = (Some(Box::new(lease)), false);
        Ok(None)
    }

    /// Whether somebody else holds the Lease and renews it. Two writers of one Lease are on one machine, with one clock.
    fn is_taken_over(&self, lease: &Lease) -> bool {
        let interval = self.contract.renew_interval();
        let alive = SignedDuration::try_from(interval + interval / 2).unwrap_or(SignedDuration::MAX);
        let renewed_lately = renewed(lease).is_some_and(|renewed| self.clock.now().duration_since(renewed) < alive);
        holder(lease).is_some_and(|holder| !holder.is_empty() && holder != self.holder) && renewed_lately
    }

    /// The Node as the Lease's owner. Without its uid the Lease has none, until it is known.
    async fn owner(&mut self) -> Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference> {
        let uid = match &self.owner {
            Owner::None => return None,
            Owner::NodeUid(uid) => uid.clone(),
            Owner::Node => match &self.node_uid {
                Some(uid) => uid.clone(),
                None => self.look_up_node().await?,
            },
        };
        Some(node_owner(&self.node_name, &uid))
    }

    async fn look_up_node(&mut self) -> Option<String> {
        let why = match self.node.get().await {
            Ok(node) => {
                (self.node_uid, self.no_owner) = (node.metadata.uid, None);
                return self.node_uid.clone();
            }
            Err(error) => error.to_string(),
        };
        if self.no_owner.as_ref() != Some(&why) {
            tracing::warn!(node = self.node_name, error = why, "the Lease has no owner yet: it would outlive its node");
            self.no_owner = Some(why);
        }
        None
    }

    /// Deletes the Lease, if it is still held; whether it was.
    pub(super) async fn release(&mut self) -> Result<bool, ApiError> {
        if self.acquired.is_none() {
            return Ok(false);
        }
        if let Some(seen) = &self.live {
            match self.leases.delete(seen).await {
                Ok(()) => return Ok(true),
                Err(error) if error.code() == Some(404) => return Ok(false),
                Err(error) if error.code() == Some(409) => {}
                Err(error) => return Err(error),
            }
        }
        // It changed since it was written: by another writer, or by somebody who labelled it.
        let lease = match self.leases.get().await {
            Err(error) if error.code() == Some(404) => return Ok(false),
            answer => answer?,
        };
        if holder(&lease) != Some(&self.holder) {
            return Ok(false);
        }
        self.leases.delete(&lease).await.map(|()| true)
    }
}
