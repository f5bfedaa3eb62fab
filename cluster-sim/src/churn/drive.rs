//! Churn in real time.

use std::time::Duration;

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
    pace(events_per_second, &cancellation, || {
        sim.apply_mutations(churn.next(sim.now()));
    })
    .await;
}

/// Calls `event` at a rate until `cancellation`.
async fn pace(per_second: f64, cancellation: &CancellationToken, mut event: impl FnMut()) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = 0.0;
    loop {
        tokio::select! {
            biased;
            () = cancellation.cancelled() => return,
            _ = ticks.tick() => due += per_second.max(0.0) * TICK.as_secs_f64(),
        }
        while due >= 1.0 && !cancellation.is_cancelled() {
            due -= 1.0;
            event();
            // Watchers and requests on this thread get their turn between two events.
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn events_in_ten_seconds(per_second: f64) -> u32 {
        let (cancellation, mut events) = (CancellationToken::new(), 0);
        let stop = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            cancellation.cancel();
        };
        tokio::join!(pace(per_second, &cancellation, || events += 1), stop);
        events
    }

    #[tokio::test(start_paused = true)]
    async fn events_come_at_the_rate_asked_for() {
        for (rate, expected) in [(0.5, 5), (7.0, 70), (333.3, 3333), (4000.0, 40_000)] {
            let events = events_in_ten_seconds(rate).await;
            // The first and the last tick are on the edge.
            let slack = 1 + expected / 400;
            assert!(events.abs_diff(expected) <= slack, "{events} events at {rate}/s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_is_none_means_no_events() {
        for rate in [0.0, -3.0, f64::NAN] {
            assert_eq!(events_in_ten_seconds(rate).await, 0);
        }
    }
}
