//! One attempt, in a task of its own: callers who go away end nothing.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::time::{Instant, timeout};

use super::Shared;
use super::entry::{Job, Waiter};
use super::outcome::{MissingReason, NodeOutcome};

use crate::fetch::{FetchError, Phase};
use crate::telemetry;

/// Waits for its turn, asks, and tells the table and all callers.
pub(super) async fn fly(shared: Arc<Shared>, job: Job) {
    let Job { name, generation, suspect, stop, ended } = job;
    let outcome = async {
        // Neither is ever closed.
        let places = if suspect { &shared.suspects } else { &shared.permits };
        let _turn = places.acquire().await.ok();
        // The age of what comes counts from here: the kubelet can't have sampled later than it answers.
        let (began, began_at) = (Instant::now(), shared.clock.now());
        let target = shared.table.lock().begin(&name, generation, began)?;
        let flying = telemetry::InFlight::begin();
        // A fetcher of the host's that panics is a failed attempt, else its node would be asked for ever.
        let asking = AssertUnwindSafe(async { shared.fetcher.fetch(&target).await }).catch_unwind();
        let result = match timeout(shared.fetch_timeout, asking).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(FetchError::Other("the fetcher panicked".into())),
            Err(_) => Err(FetchError::Timeout { after: shared.fetch_timeout, phase: Phase::Whole }),
        };
        drop(flying);
        let now = Instant::now();
        telemetry::fetched(result.as_ref().err(), now.saturating_duration_since(began));
        shared.table.lock().finish(&name, generation, (began, began_at), result, now)
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        // Nobody waits for it any more. Of a shared attempt, the node itself does.
        () = ended.closed() => {}
        outcome = outcome => if let Some(outcome) = outcome {
            ended.send_replace(Some(outcome));
        },
    }
}

/// Waits for what an attempt brings.
pub(super) async fn wait(shared: &Shared, mut waiter: Waiter) -> NodeOutcome {
    let ended = waiter.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    ended.unwrap_or_else(|| NodeOutcome::missing(shared.why_gone()))
}

impl Shared {
    /// Why a node is not there that was before.
    pub(super) fn why_gone(&self) -> MissingReason {
        if self.stop.is_cancelled() { MissingReason::Stopped } else { MissingReason::Removed }
    }
}
