//! Whether it is healthy, and ready: in words, by what the pipeline is at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube_events::pipeline::{Phase, Pipeline, PipelineStatus};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Who leads must have begun within this: a restart lets another lead.
const BEGINNING: Duration = Duration::from_mins(5);

/// What tells how it is.
pub(crate) struct Watched {
    pub(crate) pipeline: Pipeline,
    /// Cancelled when the pipeline's task has ended, for whatever reason.
    pub(crate) ended: CancellationToken,
    /// Cancelled when the program is asked to end.
    pub(crate) stop: CancellationToken,
    /// Whether there is an election.
    pub(crate) elects: bool,
    /// Since when it begins, as far as anybody has asked.
    beginning: Mutex<Option<Instant>>,
}

/// How it is at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) status: PipelineStatus,
    pub(crate) ended: bool,
    pub(crate) stopping: bool,
    pub(crate) elects: bool,
    pub(crate) beginning_for: Duration,
}

impl Watched {
    pub(crate) fn new(pipeline: Pipeline, stop: CancellationToken, elects: bool) -> Arc<Self> {
        Arc::new(Self { pipeline, ended: CancellationToken::new(), stop, elects, beginning: Mutex::default() })
    }

    pub(crate) fn state(&self) -> State {
        let status = self.pipeline.status();
        let mut beginning = self.beginning.lock();
        *beginning = if status.phase == Phase::Starting { Some(beginning.unwrap_or_else(Instant::now)) } else { None };
        State {
            ended: self.ended.is_cancelled(),
            stopping: self.stop.is_cancelled(),
            elects: self.elects,
            beginning_for: beginning.map_or(Duration::ZERO, |since| since.elapsed()),
            status,
        }
    }
}

impl State {
    /// Whether it goes on, or why a restart would help. An API server that does not answer is no reason: the pipeline
    /// tries again by itself.
    pub(crate) fn healthy(&self) -> Result<String, String> {
        if self.ended {
            return Err("the pipeline has ended".to_owned());
        }
        if self.elects && self.status.phase == Phase::Starting && self.beginning_for >= BEGINNING {
            let why = self.status.error.as_deref().unwrap_or("its checkpoint does not answer");
            return Err(format!("it leads, and could not begin for {} s: {why}", self.beginning_for.as_secs()));
        }
        Ok(self.at())
    }

    /// Whether it does what it is there for, or what it waits for.
    pub(crate) fn ready(&self) -> Result<String, String> {
        if self.ended || self.stopping || !self.status.is_ready() { Err(self.at()) } else { Ok(self.at()) }
    }

    /// What it is at, in words; lines.
    pub(crate) fn at(&self) -> String {
        let mut lines = vec![match (&self.status.phase, &self.status.leader) {
            _ if self.ended => "the pipeline has ended".to_owned(),
            _ if self.stopping => "it ends: what was read is delivered".to_owned(),
            (Phase::Starting, _) => "it begins".to_owned(),
            (Phase::Standby, Some(leader)) => format!("it waits to lead: {leader} leads"),
            (Phase::Standby, None) => "it waits to lead: nobody is known to".to_owned(),
            (Phase::Running, _) if self.status.synced => "it reads events".to_owned(),
            (Phase::Running, _) => "it reads events, and has not read yet what was there at the start".to_owned(),
            (Phase::Stopped, _) => "it has ended".to_owned(),
        }];
        lines.extend(self.status.error.clone());
        for (namespace, failure) in &self.status.failures {
            let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
            lines.push(format!("events{place} can't be read: {failure}"));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(phase: Phase, set: impl FnOnce(&mut State)) -> State {
        let mut status = PipelineStatus::default();
        status.phase = phase;
        let mut state =
            State { status, ended: false, stopping: false, elects: true, beginning_for: Duration::from_secs(1) };
        set(&mut state);
        state
    }

    #[test]
    fn ready_is_synced_or_waiting_to_lead() {
        assert!(state(Phase::Standby, |_| ()).ready().is_ok());
        assert!(state(Phase::Running, |state| state.status.synced = true).ready().is_ok());
        for (phase, told) in [(Phase::Starting, "it begins"), (Phase::Running, "not read yet")] {
            let state = state(phase, |state| {
                state.status.error = Some("no disk".to_owned());
                state.status.failures = [("shop".into(), "403".to_owned())].into();
            });
            let why = state.ready().unwrap_err();
            assert!(why.contains(told) && why.contains("\nno disk\nevents in shop can't be read: 403"), "{why}");
            assert!(state.healthy().is_ok(), "it tries again by itself");
        }
        assert!(state(Phase::Standby, |state| state.stopping = true).ready().is_err());
        assert!(state(Phase::Standby, |state| state.stopping = true).healthy().is_ok());
    }

    #[test]
    fn a_pipeline_that_has_ended_is_not_healthy() {
        let state = state(Phase::Running, |state| (state.ended, state.status.synced) = (true, true));
        assert_eq!(state.healthy(), Err("the pipeline has ended".to_owned()));
        assert!(state.ready().is_err());
    }

    #[test]
    fn a_leader_that_can_not_begin_makes_way() {
        let long = |elects| {
            state(Phase::Starting, |state| {
                (state.beginning_for, state.elects) = (BEGINNING, elects);
                state.status.error = Some("the directory can't be used".to_owned());
            })
        };
        assert!(long(true).healthy().unwrap_err().contains("the directory can't be used"));
        assert!(long(false).healthy().is_ok(), "there is nobody to make way for");
    }
}
