//! Times as samples: Unix seconds.

use k8s_openapi::jiff::Timestamp;

/// The time as Unix seconds, whole: upstream drops fractions (`time.Unix()`).
pub fn unix_seconds(time: &Timestamp) -> f64 {
    time.as_second() as f64
}
