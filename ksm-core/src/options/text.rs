//! Small grammars of option values.

use std::time::Duration;

use jiff::SignedDuration;

/// A positive duration as Go writes it: `60s`, `1m30s`, `1.5h`. The error says what is wanted.
///
/// ```
/// use std::time::Duration;
/// use ksm_core::options::duration;
///
/// assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
/// assert!(duration("0s").is_err() && duration("soon").is_err());
/// ```
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    match parsed {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a duration is a positive time like 500ms, 60s or 1m30s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1.5h"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("-1s").is_err() && duration("5").is_err() && duration("").is_err());
    }
}
