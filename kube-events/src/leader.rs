//! Leader election through a Lease, so that of several replicas one tells events.
//!
//! The rules are those of client-go's `leaderelection`, so that candidates in Go can take part: who holds the Lease renews
//! it, the others measure by their own clocks for how long it has not changed, and take it after its duration. No two
//! machines' clocks are compared.
//!
//! Crates of the field were not taken: `kube-leader-election` is of an older kube and writes without the version it has
//! read, so that two candidates can win at once; `kube-lease-manager` compares the times of one machine with the clock of
//! another, and neither ends a leadership by itself when the API server can't be reached.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{GetParams, PostParams};
use kube::core::Request;
use kube::core::request::Error;
use metrics::counter;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{ApiError, call};
use crate::clock::{Clock, WallClock};
use crate::pace::up_to;
use crate::telemetry::{self, Counted};

/// The longest Lease that is read.
const MAX_LEASE: usize = 4 << 20;
const FIELD_MANAGER: &str = "kube-events";

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

struct Election {
    client: Client,
    namespace: String,
    name: String,
    identity: String,
    timing: Timing,
    clock: WallClock,
    state: watch::Sender<Leadership>,
    /// The Lease as it was seen last, and when it was first seen so.
    observed: Option<(Lease, Instant)>,
    /// Counts this candidate while it leads.
    led: Option<Counted>,
}

impl Drop for Election {
    fn drop(&mut self) {
        self.state.send_replace(Leadership::Following { leader: None });
    }
}

/// How an attempt ended.
enum Attempt {
    /// The Lease is ours, since the request was sent.
    Held,
    /// Somebody else has it.
    Foreign(String),
}

impl Election {
    async fn run(mut self, cancel: CancellationToken) {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.compete() => {}
        }
        self.follow(None);
        // An attempt may have been cut off after the server has taken it: the Lease may be ours.
        let after = self.timing.renew_deadline;
        let released = timeout(after, self.release()).await;
        if let Err(error) = released.unwrap_or(Err(ApiError::Timeout { what: "release Lease", after })) {
            tracing::warn!(lease = self.name, %error, "the leader's Lease may not be released: others wait for its end");
        }
    }

    async fn compete(&mut self) {
        loop {
            let sent = Instant::now();
            let leading_until = match *self.state.borrow() {
                Leadership::Leading { until } => Some(until),
                Leadership::Following { .. } => None,
            };
            // A leader has no time for an answer beyond its own end, and keeps some for another attempt.
            let deadline = leading_until.map_or(self.timing.renew_deadline, |until| {
                let left = until.saturating_duration_since(sent);
                left.min(self.timing.retry_period.max(left / 2))
            });
            let attempt = timeout(deadline, self.attempt(deadline)).await;
            match attempt.unwrap_or(Err(ApiError::Timeout { what: "update Lease", after: deadline })) {
                Ok(Attempt::Held) => self.lead(sent + self.timing.renew_deadline),
                Ok(Attempt::Foreign(leader)) => self.follow(Some(leader)),
                Err(error) => {
                    counter!(telemetry::LEADER_FAILURES, "reason" => error.word()).increment(1);
                    tracing::warn!(lease = self.name, %error, "the leader's Lease can't be read or written");
                }
            }
            let pause = self.timing.retry_period + up_to(self.timing.retry_period / 5);
            let next = Instant::now() + pause;
            let until = match *self.state.borrow() {
                Leadership::Leading { until } => Some(until),
                Leadership::Following { .. } => None,
            };
            if let Some(until) = until.filter(|until| *until <= next) {
                // The last attempt is made in time, if there is time for one.
                let left = until.saturating_duration_since(Instant::now());
                if left > self.timing.retry_period / 4 && !left.is_zero() {
                    sleep(left / 2).await;
                } else {
                    tokio::time::sleep_until(until).await;
                    self.follow(None);
                }
            } else {
                sleep(pause).await;
            }
        }
    }

    fn lead(&mut self, until: Instant) {
        if self.led.is_none() {
            self.led = Some(Counted::new(telemetry::LEADING));
            counter!(telemetry::LEADER_CHANGES, "to" => "leader").increment(1);
            tracing::info!(lease = self.name, identity = self.identity, "leads");
        }
        self.state.send_replace(Leadership::Leading { until });
    }

    fn follow(&mut self, leader: Option<String>) {
        if self.led.take().is_some() {
            counter!(telemetry::LEADER_CHANGES, "to" => "follower").increment(1);
            tracing::info!(lease = self.name, identity = self.identity, "does not lead any more");
        }
        self.state.send_if_modified(|state| {
            let new = Leadership::Following { leader };
            let changed = *state != new;
            *state = new;
            changed
        });
    }

    async fn attempt(&mut self, deadline: Duration) -> Result<Attempt, ApiError> {
        let found = match self.get(deadline).await {
            Ok(lease) => lease,
            Err(error) if error.code() == Some(404) => {
                let created = self.create(deadline).await?;
                self.observed = Some((created, Instant::now()));
                return Ok(Attempt::Held);
            }
            Err(error) => return Err(error),
        };
        // What has changed is measured from now on.
        let since = match &self.observed {
            Some((known, since)) if known.spec == found.spec => *since,
            _ => Instant::now(),
        };
        self.observed = Some((found.clone(), since));
        let spec = found.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let ours = holder == self.identity;
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.timing.lease_duration, Duration::from_secs);
        if !holder.is_empty() && !ours && since.elapsed() <= duration {
            return Ok(Attempt::Foreign(holder));
        }
        let updated = self.update(found, &spec, ours, deadline).await?;
        self.observed = Some((updated, Instant::now()));
        Ok(Attempt::Held)
    }

    /// Gives the Lease away if it is ours, so that others need not wait for its end.
    async fn release(&self) -> Result<(), ApiError> {
        let deadline = self.timing.renew_deadline;
        let mut lease = match self.get(deadline).await {
            Ok(lease) => lease,
            Err(error) if error.code() == Some(404) => return Ok(()),
            Err(error) => return Err(error),
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(self.clock.now()));
        spec.acquire_time = spec.renew_time.clone();
        let request = encoded(&lease).and_then(|body| self.request().replace(&self.name, &params(), body));
        self.call("update Lease", request, deadline).await.map(drop)
    }

    fn request(&self) -> Request {
        Request::new(format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace))
    }

    async fn call(
        &self,
        what: &'static str,
        request: Result<http::Request<Vec<u8>>, Error>,
        deadline: Duration,
    ) -> Result<Lease, ApiError> {
        call(&self.client, what, request, deadline, MAX_LEASE).await
    }

    async fn get(&self, deadline: Duration) -> Result<Lease, ApiError> {
        self.call("get Lease", self.request().get(&self.name, &GetParams::default()), deadline).await
    }

    async fn create(&self, deadline: Duration) -> Result<Lease, ApiError> {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            ..ObjectMeta::default()
        };
        let spec = Some(self.spec(&LeaseSpec::default(), false));
        let request = encoded(&Lease { metadata, spec }).and_then(|body| self.request().create(&params(), body));
        self.call("create Lease", request, deadline).await
    }

    /// Takes or renews the Lease if it is still as it was read.
    async fn update(
        &self,
        mut lease: Lease,
        spec: &LeaseSpec,
        ours: bool,
        deadline: Duration,
    ) -> Result<Lease, ApiError> {
        lease.spec = Some(self.spec(spec, ours));
        let request = encoded(&lease).and_then(|body| self.request().replace(&self.name, &params(), body));
        self.call("update Lease", request, deadline).await
    }

    fn spec(&self, before: &LeaseSpec, ours: bool) -> LeaseSpec {
        let now = Some(MicroTime(self.clock.now()));
        let taken_over = i32::from(!ours && before.holder_identity.is_some());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timing.lease_duration.as_secs()).ok(),
            acquire_time: if ours { before.acquire_time.clone() } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(taken_over)),
            ..before.clone()
        }
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn encoded(lease: &Lease) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(lease).map_err(Error::SerializeBody)
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
