//! How messages are made.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a collector's defaults take in one message without trouble.
const MAX_POINTS: usize = 8_192;
/// The message size that gRPC servers accept unless they are told otherwise.
const MAX_BYTES: usize = 4 << 20;

/// How samples become messages.
///
/// ```
/// use ksm_core::otlp::MessageOptions;
///
/// let options = MessageOptions::default().attribute("k8s.cluster.name", "prod-1").max_points(2_000);
/// ```
#[derive(Clone)]
pub struct MessageOptions {
    pub(super) attributes: Vec<(String, String)>,
    pub(super) max_points: usize,
    pub(super) max_bytes: usize,
    pub(super) descriptions: bool,
    pub(super) counters_since: Option<SystemTime>,
    pub(super) clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for MessageOptions {
    fn default() -> Self {
        Self {
            attributes: Vec::new(),
            max_points: MAX_POINTS,
            max_bytes: MAX_BYTES,
            descriptions: true,
            counters_since: None,
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl fmt::Debug for MessageOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageOptions")
            .field("attributes", &self.attributes)
            .field("max_points", &self.max_points)
            .field("max_bytes", &self.max_bytes)
            .field("descriptions", &self.descriptions)
            .field("counters_since", &self.counters_since)
            .finish_non_exhaustive()
    }
}

impl MessageOptions {
    /// Adds an attribute to every resource, as `k8s.cluster.name`. What an object says of itself wins.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }

    /// Adds attributes to every resource.
    pub fn attributes<K: Into<String>, V: Into<String>>(mut self, all: impl IntoIterator<Item = (K, V)>) -> Self {
        self.attributes.extend(all.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    /// The most data points of a message, 8,192 by default; at least one.
    pub fn max_points(mut self, points: usize) -> Self {
        self.max_points = points.max(1);
        self
    }

    /// The most bytes of a message before compression, 4 MiB by default, which is what gRPC servers accept unless they
    /// are configured otherwise. Only a single data point that is longer by itself goes beyond it.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Whether metrics carry their help text; on by default. It stands in the message once per object and family:
    /// about a quarter of an uncompressed message.
    pub fn descriptions(mut self, on: bool) -> Self {
        self.descriptions = on;
        self
    }

    /// Since when counters count whose object does not tell its creation: when the host saw them first. Unset, such
    /// points carry no start time. [`Exporter`](super::Exporter) sets it to its own start.
    pub fn counters_since(mut self, time: SystemTime) -> Self {
        self.counters_since = Some(time);
        self
    }

    /// The clock that data points are dated by; the system's by default.
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.clock)()
    }
}

/// Nanoseconds since 1970 as OTLP has them; 0, which is "unknown" there, for a time before it.
pub(super) fn unix_nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
