//! How long to leave a workload alone after a failure.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry;

/// The first pause by default.
pub const DEFAULT_FIRST: Duration = Duration::from_secs(1);
/// The longest pause by default.
pub const DEFAULT_LONGEST: Duration = Duration::from_mins(5);
/// How many workloads are kept by default.
pub const DEFAULT_CAPACITY: usize = 10_000;

/// Growing pauses after failures, for each workload its own: the first one, twice that, and so on up to the longest.
/// A success ends them.
///
/// A workload that nobody asks for is forgotten when its pause has been over for as long as the longest one, and the one
/// whose pause ends first where there are too many.
///
/// ```
/// use std::time::Duration;
///
/// use kubelet_summary::backoff::Backoff;
/// use tokio::time::Instant;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let backoff = Backoff::default();
/// assert_eq!(backoff.check("shop/web"), Ok(()));
/// backoff.failed("shop/web", Instant::now());
/// assert_eq!(backoff.check("shop/web"), Err(Duration::from_secs(1)));
/// assert_eq!(backoff.check("shop/db"), Ok(()));
/// tokio::time::sleep(Duration::from_secs(1)).await;
/// assert_eq!(backoff.check("shop/web"), Ok(()));
/// # }
/// ```
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    entries: HashMap<Box<str>, Entry, foldhash::fast::RandomState>,
    /// When it was last looked for those that nobody asks for.
    swept: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    pause: Duration,
    /// When the failure was noted.
    noted: Instant,
    until: Instant,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(DEFAULT_FIRST, DEFAULT_LONGEST)
    }
}

impl Backoff {
    /// Pauses from `first`, doubling to `longest`. A first pause of zero, or above the longest, is the longest.
    pub fn new(first: Duration, longest: Duration) -> Self {
        let first = if first.is_zero() { longest } else { first.min(longest) };
        let state = State { entries: HashMap::default(), swept: Instant::now() };
        Self { first, longest, capacity: DEFAULT_CAPACITY, state: Mutex::new(state) }
    }

    /// How many workloads are kept at most; at least one.
    pub fn capacity(mut self, workloads: usize) -> Self {
        self.capacity = workloads.max(1);
        self
    }

    /// Whether a workload may be asked for; else the time that is left.
    pub fn check(&self, workload: &str) -> Result<(), Duration> {
        let until = self.state.lock().entries.get(workload).map(|entry| entry.until);
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(left) if !left.is_zero() => Err(left),
            _ => Ok(()),
        }
    }

    /// A question that was asked at `began` failed. Of several that ran at once, the first one counts.
    pub fn failed(&self, workload: &str, began: Instant) {
        let now = Instant::now();
        let mut state = self.state.lock();
        self.sweep(&mut state, now);
        let pause = match state.entries.get(workload) {
            Some(entry) if entry.noted > began => return,
            Some(entry) => entry.pause.saturating_mul(2).min(self.longest),
            None => self.first,
        };
        if state.entries.len() >= self.capacity && !state.entries.contains_key(workload) {
            let first = state.entries.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| key.clone());
            if let Some(first) = first {
                state.entries.remove(&first);
                metrics::counter!(telemetry::BACKOFF_FORGOTTEN).increment(1);
            }
        }
        let until = now.checked_add(pause).unwrap_or(now);
        state.entries.insert(workload.into(), Entry { pause, noted: now, until });
    }

    /// A question was answered: the next failure's pause is the first one again.
    pub fn succeeded(&self, workload: &str) {
        self.state.lock().entries.remove(workload);
    }

    /// How many workloads are kept.
    pub fn len(&self) -> usize {
        self.state.lock().entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sweep(&self, state: &mut State, now: Instant) {
        if now.saturating_duration_since(state.swept) >= self.longest {
            state.swept = now;
            state.entries.retain(|_, entry| now.saturating_duration_since(entry.until) < self.longest);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// The time that is left, in seconds.
    fn left(backoff: &Backoff, workload: &str) -> u64 {
        backoff.check(workload).err().unwrap_or_default().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_to_five_minutes_and_begin_anew_after_a_success() {
        let backoff = Backoff::default();
        for round in 0..2 {
            for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
                assert_eq!(backoff.check("w"), Ok(()), "round {round}, before {seconds} s");
                backoff.failed("w", Instant::now());
                assert_eq!(left(&backoff, "w"), seconds);
                advance(Duration::from_nanos(seconds * 1_000_000_000 - 1)).await;
                assert_eq!(backoff.check("w"), Err(Duration::from_nanos(1)));
                advance(Duration::from_nanos(1)).await;
            }
            backoff.succeeded("w");
            assert!(backoff.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn questions_at_once_count_once() {
        let backoff = Backoff::default();
        let began = Instant::now();
        advance(Duration::from_millis(1)).await;
        backoff.failed("w", began);
        backoff.failed("w", began);
        assert_eq!(left(&backoff, "w"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn workloads_that_nobody_asks_for_are_forgotten() {
        let backoff = Backoff::default().capacity(3);
        for workload in ["a", "b", "c", "d"] {
            backoff.failed(workload, Instant::now());
            advance(Duration::from_millis(10)).await;
        }
        assert_eq!(backoff.len(), 3);
        assert_eq!(backoff.check("a"), Ok(()), "its pause would have ended first");
        assert!(backoff.check("d").is_err());
        advance(DEFAULT_LONGEST + Duration::from_secs(2)).await;
        backoff.failed("e", Instant::now());
        assert_eq!(backoff.len(), 1);
    }
}
