//! What the example hosts share, so that each of them shows only what is its own: which cluster they watch, a small
//! HTTP server with its endpoints and the frame of its pages, who may use it, files that change while it runs, and the metrics about themselves.

pub mod auth;
pub mod cluster;
mod connection;
pub mod endpoints;
pub mod files;
pub mod flags;
pub mod page;
mod passwords;
pub mod server;
pub mod stop;
mod switch;
pub mod telemetry;
pub mod tls;
pub mod units;
mod web_config;

use tracing_subscriber::EnvFilter;

/// Warnings. kube's client logs each failed request as an error, ksm-core says it again with the resource and what
/// follows from it: once is enough.
const DEFAULT_FILTER: &str = "warn,kube_client::client::builder=off";

/// Logs to standard error what `RUST_LOG` admits; warnings without it.
pub fn log_to_stderr() {
    log_to_stderr_by_default(DEFAULT_FILTER);
}

/// The same, with another filter where there is no `RUST_LOG`.
pub fn log_to_stderr_by_default(default: &str) {
    let named = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = EnvFilter::builder().parse_lossy(named.as_deref().unwrap_or(default));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
