//! The clocks of samples.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`, by which samples are told.
pub fn monotonic() -> u64 {
    u64::try_from(nanoseconds(ClockId::Monotonic)).unwrap_or(0)
}

/// How many nanoseconds the wall clock is ahead of it.
pub fn offset() -> i64 {
    let before = nanoseconds(ClockId::Monotonic);
    let wall = nanoseconds(ClockId::Realtime);
    // In the middle of the two, where the other was read.
    wall.saturating_sub(i64::midpoint(before, nanoseconds(ClockId::Monotonic)))
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
