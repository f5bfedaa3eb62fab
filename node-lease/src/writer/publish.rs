//! One Lease, kept as it should be: which request comes first, and what follows from each answer.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::lease::{Desired, holder, renewed};
use super::leases::Leases;
use super::owner::Ownership;
use crate::api::ApiError;
use crate::clock::WallClock;
use crate::contract::Contract;
use crate::metadata::{Attribute, NodeMetadata};

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
    leases: Leases,
    pub(super) contract: Contract,
    holder: String,
    ownership: Ownership,
    pub(super) clock: WallClock,
    mode: Mode,
    /// The Lease as it was last seen, if it was there.
    live: Option<Box<Lease>>,
    /// What the Lease told before this writer wrote it for the first time, where this writer did not know everything.
    inherited: NodeMetadata,
    /// Whether a write was begun: the Lease may be held, whatever became of the answer.
    attempted: bool,
    /// Since when this writer holds the Lease.
    acquired: Option<Timestamp>,
    /// What is there must be looked at before it is written: it is another writer's, or not what it was thought to be.
    look_first: bool,
}

impl Publisher {
    pub(super) fn new(
        leases: Leases,
        contract: Contract,
        holder: String,
        ownership: Ownership,
        clock: WallClock,
    ) -> Self {
        Self {
            leases,
            contract,
            holder,
            ownership,
            clock,
            mode: Mode::Apply,
            live: None,
            inherited: NodeMetadata::new(),
            attempted: false,
            acquired: None,
            look_first: false,
        }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the Lease lacks its owner, who could be known soon.
    pub(super) fn lacks_owner(&self) -> bool {
        self.ownership.is_pending()
    }

    /// Writes the Lease; `complete`: there is nothing more to know. The first time whoever holds it loses it; from then
    /// on it is not taken back from a writer that has taken it over and is alive.
    pub(super) async fn publish(&mut self, known: &NodeMetadata, complete: bool) -> Result<Published, ApiError> {
        if self.look_first
            && let Some(by) = self.look().await?
        {
            return Ok(Published::Superseded(by));
        }
        let mut owner = self.ownership.reference().await?;
        if !self.attempted && (!complete || self.lacks_owner()) {
            self.inherit().await?;
            owner = self.ownership.reference().await?;
        }
        self.attempted = true;
        let metadata = self.with_inherited(known);
        let mut writes = 0;
        loop {
            let answer = self.write(&metadata, owner.clone()).await;
            writes += 1;
            let error = match answer {
                Ok(lease) => {
                    let anew = self.made_anew(&lease);
                    self.acquired.get_or_insert_with(|| self.clock.now());
                    self.live = Some(Box::new(lease));
                    if !anew || writes == MAX_WRITES {
                        return Ok(Published::Held);
                    }
                    self.ownership.forget();
                    owner = self.ownership.reference().await?;
                    continue;
                }
                Err(error) => error,
            };
            match (error.code(), self.mode, &self.live) {
                _ if writes == MAX_WRITES => return Err(error),
                (Some(403), ..) if owner.is_some() && is_about_owner(&error) => {
                    self.ownership.refuse(&error);
                    owner = None;
                }
                // Forbidden to patch: the other way may be allowed.
                (Some(403), Mode::Apply, _) => self.mode = Mode::Update,
                // Neither is allowed, for now.
                (Some(403), Mode::Update, _) => {
                    self.mode = Mode::Apply;
                    return Err(error);
                }
                // It changed, went, or is another one meanwhile; or it was there already.
                (Some(404 | 409 | 422), _, Some(_)) | (Some(409), Mode::Update, _) => {
                    if let Some(by) = self.look().await? {
                        return Ok(Published::Superseded(by));
                    }
                    owner = self.ownership.reference().await?;
                }
                // What is there may be other than it was thought to be.
                (Some(400 | 500), _, Some(_)) => {
                    self.look_first = true;
                    return Err(error);
                }
                _ => return Err(error),
            }
        }
    }

    async fn write(&self, metadata: &NodeMetadata, owner: Option<OwnerReference>) -> Result<Lease, ApiError> {
        let now = self.clock.now();
        let desired = Desired {
            contract: &self.contract,
            name: &self.leases.name,
            namespace: &self.leases.namespace,
            holder: &self.holder,
            metadata,
            owner,
            acquired: self.acquired.unwrap_or(now),
            now,
        };
        match (self.mode, &self.live) {
            (Mode::Apply, live) => {
                let mut lease = desired.lease();
                if let Some(seen) = live {
                    // What changed since it was seen is not overwritten: it may have another holder. One that went is not
                    // made anew unseen: its Node may have gone with it.
                    lease.metadata.resource_version.clone_from(&seen.metadata.resource_version);
                    lease.metadata.uid.clone_from(&seen.metadata.uid);
                }
                self.leases.apply(&lease).await
            }
            (Mode::Update, Some(seen)) => self.leases.update(&desired.onto((**seen).clone())).await,
            (Mode::Update, None) => self.leases.create(&desired.lease()).await,
        }
    }

    /// Looks at what a predecessor wrote, before it is written for the first time by a writer that does not know
    /// everything: server-side apply takes away what the manager of that name, which all writers have, names no more.
    async fn inherit(&mut self) -> Result<(), ApiError> {
        let lease = match self.leases.get().await {
            Ok(lease) => lease,
            Err(error) if matches!(error.code(), Some(403 | 404)) => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Some(annotations) = &lease.metadata.annotations {
            // What is malformed there is none of this writer's making.
            self.inherited = self.contract.read(annotations, |_, _| {});
        }
        self.ownership.inherit(&lease);
        self.live = Some(Box::new(lease));
        Ok(())
    }

    /// What is known, and where that lacks something, what the predecessor knew of the same machine.
    fn with_inherited(&self, known: &NodeMetadata) -> NodeMetadata {
        let mut metadata = known.clone();
        let ids = (known.get(Attribute::HostId), self.inherited.get(Attribute::HostId));
        if !matches!(ids, (Some(ours), Some(theirs)) if ours != theirs) {
            metadata.fill(&self.inherited);
        }
        metadata
    }

    /// Whether a Lease that was written is another one than was there before: that one went meanwhile. (Servers before
    /// 1.31 or so make it anew, though another uid was named.)
    fn made_anew(&self, lease: &Lease) -> bool {
        self.live.as_ref().is_some_and(|seen| seen.metadata.uid != lease.metadata.uid)
    }

    /// Looks what is there; by whom it was taken over, if it was.
    async fn look(&mut self) -> Result<Option<String>, ApiError> {
        let lease = match self.leases.get().await {
            Ok(lease) => lease,
            Err(error) if error.code() == Some(404) => {
                self.ownership.forget();
                (self.live, self.look_first) = (None, false);
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

    /// Deletes the Lease, if it is still held; whether it was.
    pub(super) async fn release(&mut self) -> Result<bool, ApiError> {
        if !self.attempted {
            return Ok(false);
        }
        if let Some(seen) = self.live.as_ref().filter(|seen| holder(seen) == Some(&self.holder)) {
            match self.leases.delete(seen).await {
                Ok(()) => return Ok(true),
                Err(error) if error.code() == Some(404) => return Ok(false),
                Err(error) if error.code() == Some(409) => {}
                Err(error) => return Err(error),
            }
        }
        // It changed since it was written, by another writer, or by somebody who labelled it; or the answer to a write
        // never came.
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

/// Whether a refusal is about the owner: "cannot set an ownerRef on a resource you can't delete", says the admission
/// plugin `OwnerReferencesPermissionEnforcement`, which OpenShift has on.
fn is_about_owner(error: &ApiError) -> bool {
    matches!(error, ApiError::Status { message, .. } if message.contains("ownerRef"))
}
