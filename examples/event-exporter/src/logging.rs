//! Logs, to standard error: standard output is for events.

use kube_events::config::{LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;

/// What is logged of this program and its pipeline; of what they are built on, warnings at most.
fn filter(level: LogLevel) -> String {
    let (own, others) = match level {
        LogLevel::Trace => ("trace", "warn"),
        LogLevel::Debug => ("debug", "warn"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Warn => ("warn", "warn"),
        LogLevel::Error => ("error", "error"),
        LogLevel::Off => ("off", "off"),
    };
    // kube's client logs each failed request as an error, and the pipeline says what follows from it: once is enough.
    format!("{others},kube_client::client::builder=off,kube_events={own},event_exporter={own}")
}

/// Logs from now on. `RUST_LOG` goes before the level.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let named = std::env::var("RUST_LOG").ok().filter(|named| !named.is_empty());
    let filter = EnvFilter::builder().parse_lossy(named.unwrap_or_else(|| filter(level)));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => log.with_ansi(colours).init(),
        LogFormat::Json => log.json().init(),
    }
}
