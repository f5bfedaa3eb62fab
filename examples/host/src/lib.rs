//! What the example hosts share, so that each of them shows only what is its own: how they log and end, and with the
//! feature `cluster` which cluster they watch, a small HTTP server with its endpoints and the frame of its pages, who
//! may use it, files that change while it runs, and the metrics about themselves.

#[cfg(feature = "cluster")]
pub mod auth;
#[cfg(feature = "cluster")]
pub mod checkpoint;
#[cfg(feature = "node")]
pub mod clock;
#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "cluster")]
pub mod config;
#[cfg(feature = "cluster")]
mod connection;
#[cfg(feature = "cluster")]
pub mod endpoints;
pub mod exit;
#[cfg(feature = "cluster")]
pub mod files;
#[cfg(feature = "cluster")]
pub mod flags;
#[cfg(feature = "lease")]
pub mod metadata;
#[cfg(feature = "node")]
pub mod names;
#[cfg(feature = "cluster")]
pub mod page;
#[cfg(feature = "cluster")]
mod passwords;
#[cfg(feature = "parquet")]
pub mod recording;
#[cfg(feature = "nri")]
pub mod runtime;
#[cfg(feature = "cluster")]
pub mod server;
pub mod stop;
#[cfg(feature = "cluster")]
mod switch;
#[cfg(feature = "cluster")]
pub mod telemetry;
#[cfg(feature = "cluster")]
pub mod tls;
#[cfg(feature = "cluster")]
pub mod units;
#[cfg(feature = "cluster")]
mod web_config;

use tracing_subscriber::EnvFilter;

/// Warnings. kube's client logs each failed request as an error, ksm-core says it again with the resource and what
/// follows from it: once is enough.
const DEFAULT_FILTER: &str = "warn,kube_client::client::builder=off";

/// This machine's name, where it has one that is text.
#[cfg(feature = "cluster")]
pub fn host_name() -> Option<String> {
    #[cfg(unix)]
    let name = nix::unistd::gethostname().ok()?.into_string().ok();
    #[cfg(not(unix))]
    let name = None;
    name
}

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
