//! Times as samples: Unix seconds.

use k8s_openapi::jiff::Timestamp;

/// The time as Unix seconds, whole: upstream drops fractions (`time.Unix()`).
pub fn unix_seconds(time: &Timestamp) -> f64 {
    time.as_second() as f64
}

/// Whether this is Go's zero time, the first second of the year 1, which stands for "no time".
pub fn is_zero_time(time: &Timestamp) -> bool {
    const FIRST_SECOND_OF_YEAR_1: i64 = -62_135_596_800;
    time.as_second() == FIRST_SECOND_OF_YEAR_1
}
