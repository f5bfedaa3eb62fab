//! How a pipeline runs.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::checkpoint::SaveOptions;
use crate::delta::DeltaLimits;
use crate::leader::Timing;

/// How a pipeline runs. The defaults fit a cluster of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineOptions {
    /// Events whose objects are looked up at once, in order: one that takes long holds up those after it until its
    /// deadline, and no more than so many are in memory. 256 by default.
    pub look_ups: usize,
    /// What the look-ups of one event (object, namespace, owners) may take together; what is not known then is emitted
    /// as unknown. 10 s by default; [`Objects`](crate::object::Objects) has a shorter one of its own.
    pub look_up_deadline: Duration,
    /// How many owners are followed up from the object ([`EnhancedEvent::owner_chain`]); none by default: it costs a
    /// read for each.
    ///
    /// [`EnhancedEvent::owner_chain`]: crate::event::EnhancedEvent::owner_chain
    pub owners: usize,
    /// Which events are remembered, to tell counts by their difference.
    pub deltas: DeltaLimits,
    /// Series of [`Pipeline::exposition`](super::Pipeline::exposition) at most; 10,000 by default.
    pub series: NonZeroUsize,
    /// Positions that wait for acknowledgements, some 100 bytes each; 20,000 by default. From half of it on, one stands
    /// for thousands of events: a sink that takes nothing holds up the checkpoint, and nobody else.
    pub positions: usize,
    /// How positions are kept.
    pub save: SaveOptions,
    /// What look-ups and deliveries that are under way may take at a shutdown; 10 s by default.
    pub drain: Duration,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        const SERIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
        Self {
            look_ups: 256,
            look_up_deadline: Duration::from_secs(10),
            owners: 0,
            deltas: DeltaLimits::default(),
            series: SERIES,
            positions: 20_000,
            save: SaveOptions::default(),
            drain: Duration::from_secs(10),
        }
    }
}

/// Which Lease decides who of several runs; see [`Candidate`](crate::leader::Candidate).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionOptions {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// A name that no other candidate has: the pod's.
    pub identity: String,
    /// How long a leadership lasts.
    pub timing: Timing,
}

impl ElectionOptions {
    /// With the times of client-go.
    pub fn new(namespace: impl Into<String>, lease: impl Into<String>, identity: impl Into<String>) -> Self {
        let (namespace, lease, identity) = (namespace.into(), lease.into(), identity.into());
        Self { namespace, lease, identity, timing: Timing::default() }
    }
}
