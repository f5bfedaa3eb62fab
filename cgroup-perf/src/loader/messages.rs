//! The programs' own messages, for those who want them.

use log::{Level, Log, Metadata, Record};

/// Hands messages to `tracing`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Messages;

impl Log for Messages {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args();
        match record.level() {
            Level::Error => tracing::error!(target: "cgroup_perf::kernel", "{text}"),
            Level::Warn => tracing::warn!(target: "cgroup_perf::kernel", "{text}"),
            Level::Info => tracing::info!(target: "cgroup_perf::kernel", "{text}"),
            Level::Debug => tracing::debug!(target: "cgroup_perf::kernel", "{text}"),
            Level::Trace => tracing::trace!(target: "cgroup_perf::kernel", "{text}"),
        }
    }

    fn flush(&self) {}
}
