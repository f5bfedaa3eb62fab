//! How a pipeline goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::delta::DeltaCounters;
use crate::sink::OutletStatus;
use crate::source::Gap;

/// What a pipeline is at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun to read: it loads the stored position, or opens its sinks.
    #[default]
    Starting,
    /// It waits to lead.
    Standby,
    /// It reads events.
    Running,
    /// It was shut down, or its source has ended.
    Stopped,
}

/// How a pipeline goes. Counters are since it was spawned, those of sinks since it last began to run.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PipelineStatus {
    /// What it is at.
    pub phase: Phase,
    /// Who leads, where that is known and there is an election.
    pub leader: Option<String>,
    /// All that was there at the start has been told.
    pub synced: bool,
    /// What fails at the source, by the namespace that is watched (the empty string for all).
    pub failures: BTreeMap<Arc<str>, String>,
    /// Why it can't begin, while it can't.
    pub error: Option<String>,
    /// Events that went to receivers, or would have, had a rule hit.
    pub events: u64,
    /// Those that no rule sends anywhere.
    pub unrouted: u64,
    /// Times in which events may have been missed.
    pub gaps: u64,
    /// The last of them.
    pub last_gap: Option<Gap>,
    /// Events that were sent without a place in the checkpoint, as there was none left: a crash may lose them.
    pub untracked: u64,
    /// Positions that wait for a sink.
    pub waiting: usize,
    /// What was new, again, and told before.
    pub deltas: DeltaCounters,
    /// The sinks by name, in their order; empty while it does not run.
    pub outlets: Vec<(Arc<str>, OutletStatus)>,
}

impl PipelineStatus {
    /// Whether it does what it is there for: it waits to lead, or has read what there was at the start.
    pub fn is_ready(&self) -> bool {
        match self.phase {
            Phase::Standby => true,
            Phase::Running => self.synced,
            Phase::Starting | Phase::Stopped => false,
        }
    }
}
