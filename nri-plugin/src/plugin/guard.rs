//! Between handlers and the runtime: what fails here must not fail a pod.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use prost::DecodeError;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::{Answer, HandlerError, Plugin};
use crate::api::FailurePolicy;
use crate::connector::AttemptError;
use crate::telemetry;
use crate::ttrpc::{Code, Status};

/// The most of a runtime's patience that is left for the answer to get there.
const MARGIN: Duration = Duration::from_millis(200);

/// What the runtime learns when a handler fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Nothing: the answer is empty, the failure is counted and logged. Runtimes fail a pod for an error, so a plugin
    /// that only looks must never answer with one. One whose `synchronize` fails has joined without the state.
    #[default]
    Observer,
    /// The error. The pod or container fails by it, so that none starts without what the plugin does; from NRI 0.12.5 on
    /// also where the answer is late or the connection is lost, unless a
    /// [policy](crate::SessionBuilder::failure_policy) says otherwise.
    Enforcer,
}

impl Role {
    /// What a runtime is to do without an answer.
    pub(super) fn failure_policy(self) -> FailurePolicy {
        FailurePolicy { fail_request: self == Self::Enforcer, keep_connected: false }
    }
}

/// A handler that failed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{}", with_causes(&**.0))]
    Error(HandlerError),
    #[error("the handler panicked")]
    Panic,
    #[error("the handler took longer than the runtime waits")]
    Overrun,
    #[error("the message can't be read: {0}")]
    Undecodable(#[from] DecodeError),
}

/// An error and what caused it: only this text reaches the runtime, and the log.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        // Some texts have their cause's in them.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

impl Failure {
    pub(super) fn status(&self) -> Status {
        let code = match self {
            Self::Error(_) => Code::Unknown,
            Self::Panic => Code::Internal,
            Self::Overrun => Code::DeadlineExceeded,
            Self::Undecodable(_) => Code::InvalidArgument,
        };
        Status::new(code, self.to_string())
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Error(_) => "error",
            Self::Panic => "panic",
            Self::Overrun => "overrun",
            Self::Undecodable(_) => "undecodable",
        }
    }
}

tokio::task_local! {
    static IN_HANDLER: ();
}

/// Whether a handler is being run, so that the runtime waits.
pub(crate) fn in_handler() -> bool {
    IN_HANDLER.try_with(|()| ()).is_ok()
}

/// When a handler must be done for its answer to come before that moment.
pub(super) fn done_by(deadline: Instant) -> Instant {
    let now = Instant::now();
    let margin = (deadline.saturating_duration_since(now) / 10).min(MARGIN);
    deadline.checked_sub(margin).unwrap_or(now)
}

/// Runs a handler until that moment, however it ends.
pub(super) async fn run<T>(until: Instant, handler: impl Future<Output = Answer<T>>) -> Result<T, Failure> {
    let handler = IN_HANDLER.scope((), AssertUnwindSafe(handler).catch_unwind());
    match timeout_at(until, handler).await {
        Ok(Ok(answer)) => answer.map_err(Failure::Error),
        Ok(Err(_)) => Err(Failure::Panic),
        Err(_) => Err(Failure::Overrun),
    }
}

/// How long a plugin may take to hear that its connection is lost, before a new one is made.
const LOST_DEADLINE: Duration = Duration::from_secs(2);

/// Tells a plugin that its connection is lost.
pub(crate) async fn tell_lost(plugin: &impl Plugin, why: AttemptError) {
    let result = run(Instant::now() + LOST_DEADLINE, async { plugin.lost(why).await }).await;
    telemetry::handled("Lost", word(&result));
    if let Err(failure) = result {
        tracing::warn!("the plugin could not be told that its connection is lost: {failure}");
    }
}

fn word<T>(result: &Result<T, Failure>) -> &'static str {
    result.as_ref().err().map_or("ok", Failure::word)
}

/// Counts how a handler ended, and makes of it what the runtime is to learn.
pub(super) fn settle<T: Default>(role: Role, event: &'static str, result: Result<T, Failure>) -> Result<T, Status> {
    telemetry::handled(event, word(&result));
    result.or_else(|failure| {
        tracing::warn!(event, "a handler failed: {failure}");
        match role {
            Role::Observer => Ok(T::default()),
            Role::Enforcer => Err(failure.status()),
        }
    })
}
