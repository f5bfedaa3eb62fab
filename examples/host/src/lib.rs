//! What the example hosts share, so that each of them shows only what is its own: which cluster they watch, a small
//! HTTP server with its endpoints, and the metrics about themselves.

pub mod cluster;
mod connection;
pub mod endpoints;
pub mod server;
pub mod stop;
pub mod telemetry;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Logs to standard error, at the level that `RUST_LOG` names; warnings without it.
pub fn log_to_stderr() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
