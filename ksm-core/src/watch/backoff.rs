//! How long to wait after a failure.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::WatchOptions;

/// The longest wait that a server can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Pauses after failures: exponential with jitter, or as long as the server asks for, whichever is longer.
pub(super) struct Backoff {
    builder: ExponentialBuilder,
    delays: ExponentialBackoff,
    longest: Duration,
}

/// The pauses after failures, for ever.
pub(crate) fn pauses(options: &WatchOptions) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(options.min_backoff)
        .with_max_delay(options.max_backoff)
        .with_jitter()
        .without_max_times()
}

impl Backoff {
    pub(super) fn new(options: &WatchOptions) -> Self {
        let builder = pauses(options);
        Self { builder, delays: builder.build(), longest: options.max_backoff }
    }

    pub(super) fn reset(&mut self) {
        self.delays = self.builder.build();
    }

    /// The next pause; `asked` is how long the server wants it to be.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let own = self.delays.next().unwrap_or(self.longest);
        let asked = asked.unwrap_or_default().min(MAX_RETRY_AFTER);
        // Jitter on top of what the server asks for, so that its clients don't come back all at once.
        if asked > own { asked + own / 4 } else { own }
    }
}
