//! What a pipeline's task and its handle share.

use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Phase, PipelineOptions, PipelineStatus};
use crate::checkpoint::Progress;
use crate::delta::DeltaCounters;
use crate::event::EnhancedEvent;
use crate::event_metrics::EventCounts;
use crate::leader::Leadership;
use crate::sink::Outlet;
use crate::source::{Gap, SourceStatus};

pub(super) struct Shared {
    state: Mutex<State>,
    counts: Mutex<EventCounts>,
    leadership: Option<watch::Receiver<Leadership>>,
    /// Told when the phase changes, or it is synced.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    status: PipelineStatus,
    source: Option<watch::Receiver<SourceStatus>>,
    progress: Option<Progress>,
    outlets: Option<Arc<[Outlet]>>,
}

impl Shared {
    pub(super) fn new(options: &PipelineOptions, leadership: Option<watch::Receiver<Leadership>>) -> Self {
        let counts = Mutex::new(EventCounts::new(options.series));
        Self { state: Mutex::default(), counts, leadership, changed: watch::Sender::new(()) }
    }

    pub(super) fn status(&self) -> PipelineStatus {
        let state = self.state.lock();
        let mut status = state.status.clone();
        if let Some(source) = &state.source {
            status.failures.clone_from(&source.borrow().failures);
        }
        status.waiting = state.progress.as_ref().map_or(0, Progress::waiting);
        let outlets = state.outlets.iter().flat_map(|outlets| outlets.iter());
        status.outlets = outlets.map(|outlet| (outlet.name().into(), outlet.status())).collect();
        if let Some(leadership) = &self.leadership
            && let Leadership::Following { leader } = &*leadership.borrow()
        {
            status.leader.clone_from(leader);
        }
        status
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn exposition(&self, name: &str) -> String {
        self.counts.lock().exposition(name)
    }

    /// It begins anew with each phase: what was there before is not known any more.
    pub(super) fn set_phase(&self, phase: Phase) {
        {
            let mut state = self.state.lock();
            state.status.phase = phase;
            state.status.synced = false;
            (state.source, state.progress) = (None, None);
        }
        self.changed.send_replace(());
    }

    pub(super) fn running(&self, source: watch::Receiver<SourceStatus>, progress: Progress) {
        self.set_phase(Phase::Running);
        let mut state = self.state.lock();
        state.status.error = None;
        (state.source, state.progress) = (Some(source), Some(progress));
    }

    pub(super) fn set_synced(&self) {
        self.state.lock().status.synced = true;
        self.changed.send_replace(());
    }

    pub(super) fn set_error(&self, error: String) {
        self.state.lock().status.error = Some(error);
    }

    pub(super) fn add_gap(&self, gap: Gap) {
        let status = &mut self.state.lock().status;
        status.gaps += 1;
        status.last_gap = Some(gap);
    }

    pub(super) fn add_event(&self, event: &EnhancedEvent, is_unrouted: bool, is_untracked: bool) {
        self.counts.lock().observe(event);
        let status = &mut self.state.lock().status;
        status.events += 1;
        status.unrouted += u64::from(is_unrouted);
        status.untracked += u64::from(is_untracked);
    }

    pub(super) fn deltas(&self) -> DeltaCounters {
        self.state.lock().status.deltas
    }

    /// Those of this time, on top of those before.
    pub(super) fn set_deltas(&self, before: DeltaCounters, now: DeltaCounters) {
        self.state.lock().status.deltas = DeltaCounters {
            new: before.new + now.new,
            again: before.again + now.again,
            resets: before.resets + now.resets,
            unchanged: before.unchanged + now.unchanged,
            duplicates: before.duplicates + now.duplicates,
            stale: before.stale + now.stale,
            untracked: before.untracked + now.untracked,
            evicted: before.evicted + now.evicted,
            expired: before.expired + now.expired,
        };
    }
}

/// The outlets of a time that it runs. Dropping them stops them, whoever looks at them.
pub(super) struct Outlets {
    shared: Arc<Shared>,
    outlets: Arc<[Outlet]>,
}

impl Outlets {
    pub(super) fn new(shared: &Arc<Shared>, outlets: Vec<Outlet>) -> Self {
        let outlets: Arc<[Outlet]> = outlets.into();
        shared.state.lock().outlets = Some(Arc::clone(&outlets));
        Self { shared: Arc::clone(shared), outlets }
    }
}

impl Deref for Outlets {
    type Target = [Outlet];

    fn deref(&self) -> &[Outlet] {
        &self.outlets
    }
}

impl Drop for Outlets {
    fn drop(&mut self) {
        self.shared.state.lock().outlets = None;
    }
}
