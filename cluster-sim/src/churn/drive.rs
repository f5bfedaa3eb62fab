//! Churn in real time.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Churn;
use crate::Sim;

/// How often events are applied: as many at once as the rate asks for.
const TICK: Duration = Duration::from_millis(20);

/// Lets `churn` happen to a simulated cluster at a rate, until `cancellation` or the end of the task.
///
/// Events are spread evenly; rates of several thousand per second are applied in batches, fifty times a
/// second. A machine too slow for the rate falls behind it and does not catch up: a test that sees fewer
/// events is better off than one that sees a burst. A rate that is not a positive number means none.
pub async fn drive(sim: &Sim, mut churn: Churn, events_per_second: f64, cancellation: CancellationToken) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = 0.0;
    loop {
        tokio::select! {
            biased;
            () = cancellation.cancelled() => return,
            _ = ticks.tick() => due += events_per_second.max(0.0) * TICK.as_secs_f64(),
        }
        while due >= 1.0 && !cancellation.is_cancelled() {
            due -= 1.0;
            sim.apply_mutations(churn.next(Timestamp::now()));
            // Watchers and requests on this thread get their turn between two events.
            tokio::task::yield_now().await;
        }
    }
}
