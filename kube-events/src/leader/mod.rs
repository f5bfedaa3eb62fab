//! Leader election through a Lease, so that of several replicas one tells events.
//!
//! The rules are those of client-go's `leaderelection`, so that candidates in Go can take part: who holds the Lease renews
//! it, the others measure by their own clocks for how long it has not changed, and take it after its duration. No two
//! machines' clocks are compared.
//!
//! Crates of the field were not taken: `kube-leader-election` is of an older kube and writes without the version it has
//! read, so that two candidates can win at once; `kube-lease-manager` compares the times of one machine with the clock of
//! another, and neither ends a leadership by itself when the API server can't be reached.

mod election;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, WallClock};
use election::Election;

/// How long things take in an election. The defaults are client-go's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// For how long a Lease that nobody renews is respected; whole seconds, 15 s by default.
    pub lease_duration: Duration,
    /// How long a leader that can't renew goes on; 10 s by default. The difference to the Lease's duration is what clocks
    /// may run apart, and what the leader's last work may take.
    pub renew_deadline: Duration,
    /// How long between attempts, and a fifth more at random; 2 s by default.
    pub retry_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// Times with which there could be two leaders, or none for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimingError {
    /// A leader would go on after its Lease has ended.
    #[error("the renew deadline ({deadline:?}) must be shorter than the lease duration ({duration:?})")]
    DeadlineTooLong {
        /// The renew deadline.
        deadline: Duration,
        /// The Lease's duration.
        duration: Duration,
    },
    /// A leader would have no second attempt.
    #[error("the retry period ({period:?}) must be at most a half of the renew deadline ({deadline:?}), and not zero")]
    PeriodTooLong {
        /// The retry period.
        period: Duration,
        /// The renew deadline.
        deadline: Duration,
    },
    /// A Lease says its duration in whole seconds.
    #[error("the lease duration ({0:?}) must be whole seconds, from one to i32::MAX")]
    BadDuration(Duration),
}

impl Timing {
    fn check(self) -> Result<Self, TimingError> {
        let Self { lease_duration: duration, renew_deadline: deadline, retry_period: period } = self;
        if duration.subsec_nanos() != 0 || duration.is_zero() || i32::try_from(duration.as_secs()).is_err() {
            return Err(TimingError::BadDuration(duration));
        }
        if deadline >= duration {
            return Err(TimingError::DeadlineTooLong { deadline, duration });
        }
        if period.is_zero() || period > deadline / 2 {
            return Err(TimingError::PeriodTooLong { period, deadline });
        }
        Ok(self)
    }
}

/// Whether this candidate leads, and how long that is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// It leads until then, and longer if it can renew.
    Leading {
        /// When it must have stopped.
        until: Instant,
    },
    /// It does not.
    Following {
        /// Who does, as far as is known.
        leader: Option<String>,
    },
}

/// A candidate that runs. Dropping it stops it, without releasing the Lease.
///
/// Rights, in the Lease's namespace: `get` and `update` on the Lease by its name, and `create` on `leases`.
///
/// ```no_run
/// use kube_events::leader::{Candidate, Timing};
///
/// # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let candidate = Candidate::spawn(client, "monitoring", "kube-events", "pod-7f9c", Timing::default())?;
/// loop {
///     candidate.leading().await;
///     tokio::select! {
///         () = candidate.lost() => continue, // Whatever ran was dropped: another may have begun.
///         () = run_the_pipeline() => break,
///     }
/// }
/// candidate.shutdown().await; // Others need not wait for the Lease's end.
/// # Ok(())
/// # }
/// # async fn run_the_pipeline() {}
/// ```
pub struct Candidate {
    state: watch::Receiver<Leadership>,
    cancel: CancellationToken,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    abort: tokio::task::AbortHandle,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

impl Candidate {
    /// A candidate for a Lease, under a name that no other has (a pod's), on the runtime that this is called in.
    pub fn spawn(
        client: Client,
        namespace: impl Into<String>,
        lease: impl Into<String>,
        identity: impl Into<String>,
        timing: Timing,
    ) -> Result<Self, TimingError> {
        Self::spawn_with(client, namespace, lease, identity, timing, jiff::Timestamp::now)
    }

    /// As [`spawn`](Self::spawn), with another clock than the system's for the times that the Lease shows. Nothing is
    /// decided by them.
    pub fn spawn_with(
        client: Client,
        namespace: impl Into<String>,
        lease: impl Into<String>,
        identity: impl Into<String>,
        timing: Timing,
        clock: impl Clock,
    ) -> Result<Self, TimingError> {
        let timing = timing.check()?;
        let (sender, state) = watch::channel(Leadership::Following { leader: None });
        let election = Election {
            client,
            namespace: namespace.into(),
            name: lease.into(),
            identity: identity.into(),
            timing,
            clock: WallClock(Arc::new(clock)),
            state: sender,
            observed: None,
            led: None,
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn(election.run(cancel.clone()));
        let abort = task.abort_handle();
        Ok(Self { state, cancel, task: tokio::sync::Mutex::new(Some(task)), abort })
    }

    /// Whether it leads at this moment. It is also false when the process was suspended for longer than a leadership
    /// lasts, and has not noticed yet.
    pub fn is_leader(&self) -> bool {
        is_valid(&self.state.borrow())
    }

    /// What is known; the receiver outlives the candidate.
    pub fn state(&self) -> watch::Receiver<Leadership> {
        self.state.clone()
    }

    /// Waits until it leads. For ever, if it was shut down.
    pub async fn leading(&self) {
        let mut state = self.state.clone();
        if state.wait_for(is_valid).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until it does not lead any more: before anybody else does, unless this process's clock stands still.
    pub async fn lost(&self) {
        let mut state = self.state.clone();
        loop {
            let until = match *state.borrow_and_update() {
                Leadership::Leading { until } if until > Instant::now() => until,
                _ => return,
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                changed = state.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Ceases to lead, releases the Lease, and ends, in the time of the renew deadline at most. Stop what needs the
    /// leadership before. Calling it again does no harm.
    pub async fn shutdown(&self) {
        self.cancel.cancel();
        if let Some(task) = self.task.lock().await.take() {
            // An error means that it was aborted.
            let _ = task.await;
        }
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

fn is_valid(state: &Leadership) -> bool {
    matches!(state, Leadership::Leading { until } if *until > Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_which_two_could_lead_are_refused() {
        let timing = Timing::default();
        assert_eq!(timing.check(), Ok(timing));
        let seconds = Duration::from_secs;
        assert!(Timing { renew_deadline: seconds(15), ..timing }.check().is_err());
        assert!(Timing { retry_period: seconds(6), ..timing }.check().is_err());
        assert!(Timing { retry_period: Duration::ZERO, ..timing }.check().is_err());
        assert!(Timing { lease_duration: Duration::from_millis(15_500), ..timing }.check().is_err());
    }
}
