//! Samples and totals, as others want them.

#[cfg(feature = "parquet")]
pub mod arrow;
pub mod openmetrics;
#[cfg(feature = "parquet")]
pub mod parquet;

use crate::quality::Counter;

/// A counter, as it is called in files and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name: `cycles`, `instructions`, `llc_misses`, or another of small letters, digits and underscores.
    pub name: String,
    /// What is counted under it on this machine: `PERF_COUNT_HW_CACHE_MISSES`, `raw 0x37 (LL_CACHE_MISS_RD)`.
    pub event: String,
    /// What is expected of it.
    pub counter: Counter,
}

impl Event {
    /// A counter of some name.
    pub fn new(name: impl Into<String>, event: impl Into<String>, counter: Counter) -> Self {
        Self { name: name.into(), event: event.into(), counter }
    }

    /// A counter whose name is made one that columns and metrics can have: `llc-misses` is `llc_misses`, and `msr/tsc/` is
    /// `msr_tsc`. What is expected of it follows from its name.
    pub fn named(name: &str, event: impl Into<String>) -> Self {
        let plain = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '_' };
        let made = name.chars().map(plain).collect::<String>();
        Self::new(made.trim_matches('_'), event, Counter::by_name(name))
    }

    /// Whether its name is one that columns and metrics can have.
    pub fn has_valid_name(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        self.name.len() <= 64
            && self.name.bytes().all(is_plain)
            && self.name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_such_as_columns_have() {
        for (name, made) in
            [("llc-misses", "llc_misses"), ("msr/tsc/", "msr_tsc"), ("r412E", "r412e"), ("cycles", "cycles")]
        {
            let event = Event::named(name, "x");
            assert_eq!(event.name, made);
            assert!(event.has_valid_name());
        }
        assert!(!Event::named("/", "x").has_valid_name());
        assert_eq!(Event::named("task-clock", "x").counter, Counter::CLOCK);
    }
}
