//! Times as Kubernetes writes them.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::Serializer;

static SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
static MILLIS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
static MICROS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// `2024-05-01T10:00:00Z`: RFC 3339 in whole seconds, as `firstTimestamp` and `lastTimestamp` are.
pub fn seconds(time: Timestamp) -> String {
    SECONDS.timestamp_to_string(&time)
}

/// `2024-05-01T10:00:00.123Z`.
pub fn millis(time: Timestamp) -> String {
    MILLIS.timestamp_to_string(&time)
}

/// `2024-05-01T10:00:00.123456Z`: RFC 3339 in microseconds, as `eventTime` is.
pub fn micros(time: Timestamp) -> String {
    MICROS.timestamp_to_string(&time)
}

/// Go's zero time, which stands for none.
const YEAR_ONE: i64 = -62_135_596_800;

/// A time, unless it is no time or the zero of those who have no other way to say so.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().filter(|time| time.as_second() != YEAR_ONE)
}

#[expect(clippy::ref_option, reason = "serde's signature")]
pub(super) fn serialize_seconds<S: Serializer>(time: &Option<Timestamp>, out: S) -> Result<S::Ok, S::Error> {
    match *time {
        Some(time) => out.serialize_str(&seconds(time)),
        None => out.serialize_none(),
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
pub(super) fn serialize_micros<S: Serializer>(time: &Option<Timestamp>, out: S) -> Result<S::Ok, S::Error> {
    match *time {
        Some(time) => out.serialize_str(&micros(time)),
        None => out.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_as_kubernetes_does() {
        let time = parse("2023-11-17T20:37:03.123456789+01:00").unwrap();
        assert_eq!(seconds(time), "2023-11-17T19:37:03Z");
        assert_eq!(millis(time), "2023-11-17T19:37:03.123Z");
        assert_eq!(micros(time), "2023-11-17T19:37:03.123456Z");
        for none in ["", "yesterday", "0001-01-01T00:00:00Z", "2023-11-17"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
