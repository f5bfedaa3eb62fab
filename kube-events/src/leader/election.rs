//! The candidate's task: take the Lease, renew it, cease in time.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{GetParams, PostParams};
use kube::core::Request;
use kube::core::request::Error;
use metrics::counter;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Leadership, Timing};
use crate::api::{ApiError, call};
use crate::clock::WallClock;
use crate::pace::up_to;
use crate::telemetry::{self, Counted};

/// The longest Lease that is read.
const MAX_LEASE: usize = 4 << 20;
const FIELD_MANAGER: &str = "kube-events";

pub(super) struct Election {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) identity: String,
    pub(super) timing: Timing,
    pub(super) clock: WallClock,
    pub(super) state: watch::Sender<Leadership>,
    /// The Lease as it was seen last, and when it was first seen so.
    pub(super) observed: Option<(Lease, Instant)>,
    /// Counts this candidate while it leads.
    pub(super) led: Option<Counted>,
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
    pub(super) async fn run(mut self, cancel: CancellationToken) {
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
