//! Sharding: several instances share a cluster, and each shows its part of the objects.
//!
//! Which part, is decided object by object from its metadata, so that all shards together show what one alone would:
//! a [`Shard`] is a number among a total; a [`ShardKey`] says what of an object is hashed (FNV-1a, 64 bits), and an
//! [`Assignment`] which hashes are whose. The defaults are those of kube-state-metrics v2.20, so that shards of the two
//! can stand side by side.
//!
//! ```no_run
//! use ksm_core::Ksm;
//! use ksm_core::shard::{Shard, ShardKey, Sharding};
//!
//! # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let sharding = Sharding::new(Shard::new(0, 2)?).key(ShardKey::Namespace);
//! let ksm = Ksm::builder().client(client).sharding(sharding).default_resources()?.spawn()?;
//! ksm.synced().await;
//! // Later: a third shard comes.
//! let resharding = ksm.reshard(Shard::new(0, 3)?)?;
//! resharding.acquired().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What a foreign object costs
//!
//! Whether an object is on this shard is decided by the head of its JSON, before it is decoded; of a watch's event for
//! another shard, no more than the metadata up to the uid (or the owner) is read: a hundredth of what it costs to decode a
//! pod of 10 KB. Of a foreign object in a list, the text is passed over. A server that selects sends neither.
//!
//! What is joined ([`crate::joins`]) must be on one shard to meet: with [`ShardKey::Namespace`], all that is in a
//! namespace is; the labels of nodes, which are in none, don't reach the pods of other shards.
//!
//! # Resharding without a gap
//!
//! [`Ksm::reshard`](crate::Ksm::reshard) gives a running instance another part. Watches go on. What the new part has and
//! the old one had not is listed beside the running watch; what the watch tells meanwhile wins over the list. What only
//! the old part has stays until the new objects are all here **and** the handover time
//! ([`Sharding::handover`]) has passed, or the host calls [`Resharding::release`](crate::Resharding::release). So if
//! all shards are told within that time, no object is ever missing from all of them. Until then an object may be on two
//! shards, with equal samples: queries that count or sum over shards without `max by (…)` see it twice for that long.
//! Nothing is listed where the new part lies within the old one: with [`Assignment::Jump`], each shard that was there
//! before a scale-up.
//!
//! A stream of the host's can't be listed: its resource takes the new part with the stream's next list, and keeps the old
//! one until then.
//!
//! # Selected by the server
//!
//! Kubernetes 1.36 can select by ranges of the hash itself (KEP-5866, feature gate `ShardedListAndWatch`, alpha), so that
//! a shard receives its part only. Its ranges are another assignment than jump hashing, so this is chosen by
//! [`Assignment::HashRange`]; the same ranges are applied here where a server does not select, as each list says by
//! its `shardInfo`. With it, lists are paged (only a list can say so), and resharding reopens a watch with another
//! selector from the version where it was, without a list of what is here already.
//!
//! # By StatefulSet
//!
//! [`auto`] finds ordinal and total by the StatefulSet that this pod belongs to, and follows its replicas.
//!
//! # Metrics
//!
//! `ksm_core_shard_ordinal` and `ksm_core_total_shards` (gauges) say what this shard is,
//! `ksm_core_objects_not_owned_total` (counter by `resource`) how many listed objects and events were for others.

pub mod auto;
mod hash;
mod key;
mod range;

use std::fmt;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use thiserror::Error;

pub use hash::{fnv1a_64, jump_hash};
pub use key::{CustomKey, ShardKey};
pub(crate) use range::{HashRange, HashedField, ShardSelector};

/// One shard of several: its number, from 0, and how many there are.
///
/// ```
/// use ksm_core::shard::Shard;
///
/// let shard = Shard::new(1, 3)?;
/// assert_eq!(shard.to_string(), "1 of 3");
/// assert!(Shard::new(3, 3).is_err());
/// # Ok::<(), ksm_core::shard::ShardError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard {
    ordinal: u32,
    total: u32,
}

/// A number that is no shard.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardError {
    /// There are no shards at all.
    #[error("the total of shards is 0: give at least 1")]
    NoShards,
    /// The number is beyond the total.
    #[error("shard {ordinal} of {total} does not exist: shards are numbered from 0, so the last one is {}", .total - 1)]
    Beyond {
        /// The number.
        ordinal: u32,
        /// How many there are.
        total: u32,
    },
}

impl Shard {
    /// The only shard: it has everything.
    pub const ALL: Self = Self { ordinal: 0, total: 1 };

    /// Shard `ordinal` of `total`.
    pub fn new(ordinal: u32, total: u32) -> Result<Self, ShardError> {
        match total {
            0 => Err(ShardError::NoShards),
            _ if ordinal >= total => Err(ShardError::Beyond { ordinal, total }),
            _ => Ok(Self { ordinal, total }),
        }
    }

    /// Its number, from 0.
    pub fn ordinal(self) -> u32 {
        self.ordinal
    }

    /// How many shards there are.
    pub fn total(self) -> u32 {
        self.total
    }

    /// Whether there is no other.
    pub fn is_all(self) -> bool {
        self.total == 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.ordinal, self.total)
    }
}

/// Which hashes are whose. All shards must use the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Assignment {
    /// Jump consistent hashing, exactly as in kube-state-metrics.
    #[default]
    Jump,
    /// Equal ranges of the hash space, applied by the API server where it can (see the [module](self)) and the key is
    /// [`ShardKey::Uid`] or [`ShardKey::Namespace`].
    HashRange,
}

impl Assignment {
    /// Whether a hash is a shard's.
    pub fn owns(self, shard: Shard, hash: u64) -> bool {
        match self {
            _ if shard.is_all() => true,
            Self::Jump => jump_hash(hash, shard.total) == shard.ordinal,
            Self::HashRange => HashRange::of(shard).has(hash),
        }
    }

    /// Whether everything of `inner` is `outer`'s too.
    pub(crate) fn covers(self, outer: Shard, inner: Shard) -> bool {
        match self {
            _ if outer.is_all() => true,
            // A shard that is added takes from all others, and no other takes anything.
            Self::Jump => outer.ordinal == inner.ordinal && outer.total <= inner.total,
            Self::HashRange => HashRange::of(outer).contains(HashRange::of(inner)),
        }
    }
}

/// How an instance takes part in sharding; see the [module](self).
#[derive(Debug, Clone)]
pub struct Sharding {
    /// Which shard it is at first.
    pub shard: Shard,
    /// What of an object is hashed.
    pub key: ShardKey,
    /// Which hashes are whose.
    pub assignment: Assignment,
    /// How long objects that went to another shard stay after the new ones are here: 30 s unless told otherwise, two
    /// scrapes at most people's cadence.
    pub handover: Duration,
}

impl Sharding {
    /// Sharding as kube-state-metrics does it: by uid and jump hashing.
    pub fn new(shard: Shard) -> Self {
        Self { shard, key: ShardKey::Uid, assignment: Assignment::Jump, handover: Duration::from_secs(30) }
    }

    /// Hashes this of an object.
    pub fn key(mut self, key: ShardKey) -> Self {
        self.key = key;
        self
    }

    /// Assigns hashes so.
    pub fn assignment(mut self, assignment: Assignment) -> Self {
        self.assignment = assignment;
        self
    }

    /// Keeps objects that went to another shard for so long after the new ones are here.
    pub fn handover(mut self, handover: Duration) -> Self {
        self.handover = handover;
        self
    }

    /// Whether an object is on this shard.
    ///
    /// ```
    /// use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    /// use ksm_core::shard::{Shard, Sharding};
    ///
    /// let object = ObjectMeta { uid: Some("abc-3".into()), ..ObjectMeta::default() };
    /// assert!(Sharding::new(Shard::new(1, 2)?).owns(&object));
    /// assert!(!Sharding::new(Shard::new(0, 2)?).owns(&object));
    /// # Ok::<(), ksm_core::shard::ShardError>(())
    /// ```
    pub fn owns(&self, meta: &ObjectMeta) -> bool {
        self.assignment.owns(self.shard, self.key.hash(meta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hash_is_one_shards_and_a_covered_part_is_within() {
        let shards: Vec<Shard> =
            (1..=6).flat_map(|total| (0..total).map(move |ordinal| Shard { ordinal, total })).collect();
        for assignment in [Assignment::Jump, Assignment::HashRange] {
            let mut covered = 0;
            for hash in (0..300).map(|n| fnv1a_64(&format!("uid-{n}"))) {
                for total in 1..=6 {
                    let owners = (0..total).filter(|ordinal| assignment.owns(Shard { ordinal: *ordinal, total }, hash));
                    assert_eq!(owners.count(), 1);
                }
                for outer in &shards {
                    for inner in shards.iter().filter(|inner| assignment.covers(*outer, **inner)) {
                        covered += usize::from(outer != inner);
                        assert!(!assignment.owns(*inner, hash) || assignment.owns(*outer, hash), "{outer} {inner}");
                    }
                }
            }
            assert!(covered > 300 * 20, "{assignment:?} has parts within parts: {covered}");
        }
    }

    #[test]
    fn errors_say_what_to_change() {
        assert_eq!(Shard::new(0, 0).unwrap_err().to_string(), "the total of shards is 0: give at least 1");
        let error = Shard::new(2, 2).unwrap_err().to_string();
        assert!(error.ends_with("shards are numbered from 0, so the last one is 1"), "{error}");
    }
}
